"""From the seam's words to the wire's: what a client sends of its options, and makes of a hello.

Knows nothing about sessions or connections.
"""

from __future__ import annotations

from dataclasses import fields

from pydantic import JsonValue

from qwen3_tts_live import wire
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.synthesizer import SessionOptions, SynthesizerInfo
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["info_of", "options_on_the_wire"]

# What a request may choose about its text; the rest is the server's (see its text.py).
_NORMALIZE = ("enabled", "markup", "acronyms", "inline_code", "tables", "images", "code_phrase")


def info_of(hello: wire.Hello) -> SynthesizerInfo:
    """Return what the server said that it can do."""
    return SynthesizerInfo(hello.model, hello.languages, hello.voices, hello.sample_rate)


def options_on_the_wire(options: SessionOptions) -> wire.Options:
    """Return checked options as they are sent.

    Raises:
        InvalidRequestError: they hold what only the server may choose.
    """
    return wire.Options(
        voice=options.voice,
        language=options.language,
        instruct=options.instruct,
        seed=options.seed,
        max_lead=options.max_lead,
        normalize=None if options.normalizer is None else _normalize(options.normalizer),
    )


def _normalize(settings: NormalizerSettings) -> dict[str, JsonValue]:
    default = NormalizerSettings()
    fixed = [field.name for field in fields(settings) if field.name not in _NORMALIZE]
    fixed.remove("lexicon")
    if wrong := [name for name in fixed if getattr(settings, name) != getattr(default, name)]:
        raise InvalidRequestError(f"{', '.join(wrong)}: the server chooses that, not its clients")
    chosen: dict[str, JsonValue] = {name: getattr(settings, name) for name in _NORMALIZE}
    lexicon: dict[str, dict[str, JsonValue]] = {}
    for entry in settings.lexicon:
        lexicon.setdefault(entry.written, {})[entry.language] = entry.spoken
    return {**chosen, "lexicon": {**lexicon}}
