"""One voice, and the voices that a checkpoint can speak with.

Data and names only: how audio becomes an embedding is in `cloning.py`, what ids mean to the
talker is the model's.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.errors import InvalidRequestError, UnknownVoiceError

__all__ = ["ModelType", "Voice", "VoiceRegistry"]

logger = logging.getLogger(__name__)

# Far above what can be queued with voices that were removed in the meantime; each is a few kB.
_MOST_RETIRED = 64

ModelType: TypeAlias = Literal["base", "custom_voice", "voice_design"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voice:
    """Who speaks. A voice has one of speaker id and embedding, or neither: VoiceDesign.

    Attributes:
        name: how it is asked for.
        speaker_id: a row of the talker's codec embedding (CustomVoice).
        dialect: the name, among the checkpoint's languages, of the dialect that this speaker
            speaks in place of Chinese.
        embedding: (hidden,) the speaker embedding of a clone (Base).
        codes: (frames, 16) the reference in the prompt, for in-context cloning.
        ref_text: what the reference says; given exactly where `codes` is.
    """

    name: str
    speaker_id: int | None = None
    dialect: str | None = None
    embedding: NDArray[np.float32] | None = None
    codes: NDArray[np.int64] | None = None
    ref_text: str = ""


class VoiceRegistry:
    """The voices of one checkpoint.

    Args:
        model_type: what kind of checkpoint it is.
        hidden_size: length of the embeddings that it takes.
        voices: its voices; the first is the default.
        languages: id of each language and dialect, by its name in lower case.
    """

    def __init__(
        self,
        model_type: ModelType,
        hidden_size: int,
        voices: Iterable[Voice],
        languages: Mapping[str, int],
    ) -> None:
        self._model_type = model_type
        self._languages = languages
        self._voices: dict[str, Voice] = {}
        # Removed ones, for what was asked for before; the oldest are forgotten.
        self._retired: OrderedDict[str, Voice] = OrderedDict()
        for voice in voices:
            if voice.embedding is not None and len(voice.embedding) != hidden_size:
                logger.info(
                    "voice %s was made for another model size (%d values, this one takes %d); "
                    "add it again to use it here",
                    voice.name,
                    len(voice.embedding),
                    hidden_size,
                )
            else:
                self._voices.setdefault(voice.name.lower(), voice)

    def add(self, voice: Voice) -> None:
        """Speak with one more voice from now on, or with a new one under an old name."""
        self._voices[voice.name.lower()] = voice

    def remove(self, name: str) -> None:
        """List a voice no more; `get` still knows it, for what was asked for before."""
        if voice := self._voices.pop(name.lower(), None):
            self._retired[name.lower()] = voice
            if len(self._retired) > _MOST_RETIRED:
                self._retired.popitem(last=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Every voice's name; the first is the default. Empty for VoiceDesign."""
        return tuple(voice.name for voice in self._voices.values())

    def get(self, name: str | None) -> Voice:
        """Return the voice of that name, in any case, or the default one for None.

        Raises:
            UnknownVoiceError: there is none of that name, or a Base checkpoint has none at all.
        """
        if name is not None:
            key = name.lower()
            if voice := self._voices.get(key) or self._retired.get(key):
                return voice
            known = ", ".join(self.names) or "none"
            raise UnknownVoiceError(f"unknown voice {name[:40]!r}; known: {known}")
        if self._voices:
            return next(iter(self._voices.values()))
        if self._model_type == "voice_design":
            return Voice(name="designed")
        raise UnknownVoiceError(
            "this checkpoint has no voice of its own: upload one to the server (POST /tts/voices), "
            "store one with `qwen3-tts-live voices add`, or start with --ref-audio"
        )

    def language_id(self, language: str, voice: Voice) -> int | None:
        """Return the talker's id for a canonical language; None leaves it to the model (Auto).

        A speaker with a dialect speaks it in place of Chinese and of Auto, and any other
        language as it is.

        Raises:
            InvalidRequestError: the checkpoint does not have the language.
        """
        key = language.lower()
        if voice.dialect is not None and key in ("chinese", "auto"):
            key = voice.dialect
        if key == "auto":
            return None
        if key not in self._languages:
            known = ", ".join(sorted(self._languages))
            raise InvalidRequestError(f"this checkpoint does not speak {language}; it has {known}")
        return self._languages[key]
