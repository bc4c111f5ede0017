"""From reference audio to a voice, cached by what the audio holds.

Knows nothing about files beyond `reference.py`, and nothing about torch: the encoder is passed in.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.voices.reference import AudioSource, load_reference, with_silence
from qwen3_tts_live.voices.voice import Voice

__all__ = ["Cloner", "VoiceEncoder"]


class VoiceEncoder(Protocol):
    """What a checkpoint does for cloning. Samples are (n,) float32 mono at 24 kHz."""

    def encode_speaker(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the speaker embedding, (hidden,)."""
        ...

    def encode_reference(self, samples: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the codec frames, (frames, 16)."""
        ...


class Cloner:
    """Clones voices with one checkpoint.

    Args:
        encoder: the checkpoint.
        most: voices to remember; one is a few kilobytes, so the number only has to be above what
            is in use at once.
    """

    def __init__(self, encoder: VoiceEncoder, most: int = 64) -> None:
        self._encoder = encoder
        self._most = most
        self._made: OrderedDict[str, Voice] = OrderedDict()

    def clone(self, name: str, source: AudioSource, ref_text: str | None = None) -> Voice:
        """Return the voice of a reference.

        Args:
            name: the voice's name.
            source: the reference audio.
            ref_text: what it says, word for word. With it the reference itself goes into every
                prompt: closer to the voice, and slower to start. Without it only its speaker
                embedding is used.

        Raises:
            InvalidRequestError: the audio is not usable, or the text is blank.
        """
        text = "" if ref_text is None else ref_text.strip()
        if ref_text is not None and not text:
            raise InvalidRequestError(
                "the reference's text is blank: give what it says, word for word, "
                "or none at all to clone by its sound alone"
            )
        samples = load_reference(source)
        key = hashlib.sha256(samples.tobytes() + text.encode()).hexdigest()
        voice = self._made.pop(key, None) or self._encode(samples, text)
        self._made[key] = voice
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        return replace(voice, name=name)

    def _encode(self, samples: NDArray[np.float32], text: str) -> Voice:
        codes = self._encoder.encode_reference(with_silence(samples)) if text else None
        embedding = self._encoder.encode_speaker(samples)
        return Voice(name="", embedding=embedding, codes=codes, ref_text=text)
