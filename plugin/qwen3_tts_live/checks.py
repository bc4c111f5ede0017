"""What a session's options may be, given what a synthesizer can do.

Asked wherever options come in: in this process, and before they are sent to a server. Knows
nothing about sessions or the wire.
"""

from __future__ import annotations

import math
from dataclasses import replace

from qwen3_tts_live.errors import InvalidRequestError, UnknownVoiceError
from qwen3_tts_live.synthesizer import SessionOptions, SynthesizerInfo
from qwen3_tts_live.text.languages import AUTO, canonical_language

__all__ = ["checked_options"]


def checked_options(options: SessionOptions, info: SynthesizerInfo) -> SessionOptions:
    """Return `options` with names made canonical.

    Raises:
        UnknownLanguageError: the language is none of the ten, nor Auto.
        UnknownVoiceError: the voice is none of the synthesizer's.
        InvalidRequestError: the synthesizer does not speak the language, or the lead is none.
    """
    language = canonical_language(options.language)
    if language not in (AUTO, *info.languages):
        known = ", ".join(info.languages)
        raise InvalidRequestError(f"{info.model} does not speak {language}; it has {known}")
    voice = None if options.voice is None else _voice(options.voice, info.voices)
    if options.max_lead is not None and not 0 < options.max_lead < math.inf:
        raise InvalidRequestError("max_lead must be seconds above 0, or None for no limit")
    return replace(options, language=language, voice=voice)


def _voice(name: str, voices: tuple[str, ...]) -> str:
    """Return a voice's name as the synthesizer spells it."""
    for known in voices:
        if known.lower() == name.lower():
            return known
    names = ", ".join(voices) or "only its own"
    raise UnknownVoiceError(f"unknown voice {name[:40]!r}; known: {names}")
