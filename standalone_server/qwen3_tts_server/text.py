"""How a request may choose its text's reading, and POST /tts/text, which shows it.

Knows nothing about audio: it answers with what would be said, and says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from qwen3_tts_live.errors import InvalidRequestError, TextTooLongError
from qwen3_tts_live.text import LexiconEntry, NormalizerSettings, TextFrontEnd, TextSegment
from qwen3_tts_live.text.languages import AUTO, canonical_language
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.problems import FieldError, parse_json

__all__ = ["TextApi", "chosen_normalizer", "string_field", "text_field"]

# What a request may choose. The grammar is the deployment's to choose, as it loads and costs, and
# so are the sizes of segments.
_FIELDS: dict[str, type] = {
    "enabled": bool,
    "markup": bool,
    "acronyms": str,
    "inline_code": str,
    "tables": str,
    "images": str,
    "code_phrase": str,
    "lexicon": dict,
}
_MAX_ENTRIES = 1000
_MAX_LENGTH = 100  # characters of a phrase, or of either side of an entry


class TextApi:
    """The route that shows what would be said.

    Args:
        options: the server's settings.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options

    async def show(self, request: web.Request) -> web.Response:
        """POST /tts/text {text, language, normalize} -> {"segments": [...]}."""
        fields = parse_json(await request.read())
        text = text_field(fields)
        if len(text) > self._options.max_text:
            raise TextTooLongError(f"text may have {self._options.max_text} characters")
        language = canonical_language(string_field(fields, "language"))
        settings = chosen_normalizer(fields, self._options.text)
        # A long text takes a second or two, which the audio of others must not wait for.
        segments = await asyncio.to_thread(_read, text, language, settings)
        body = [
            {"raw": segment.raw, "spoken": segment.spoken, "language": segment.language}
            for segment in segments
        ]
        return web.json_response({"segments": body})


def _read(text: str, language: str, settings: NormalizerSettings) -> list[TextSegment]:
    front_end = TextFrontEnd(language, settings)
    return front_end.push(text) + front_end.end()


def string_field(fields: Mapping[str, object], name: str, *, required: bool = False) -> str:
    """Return a field of a request; empty if it may be missing and is.

    Raises:
        InvalidRequestError: it is no string, or missing.
    """
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        kind = "missing" if value is None else f"a {type(value).__name__}"
        raise FieldError(name, f"{name} must be a string; it is {kind}")
    return value


def text_field(fields: Mapping[str, object], name: str = "text") -> str:
    """Return the text of a request, which is its field `name`.

    Raises:
        InvalidRequestError: it is missing, empty, or no text.
    """
    text = string_field(fields, name, required=True)
    if not text.strip():
        raise FieldError(name, f"{name} is empty; send what to say")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise FieldError(name, f"{name} holds a NUL or half of a surrogate pair; send UTF-8 text")
    return text


def chosen_normalizer(fields: Mapping[str, object], base: NormalizerSettings) -> NormalizerSettings:
    """Return the server's settings with what the field `normalize` changes.

    Raises:
        InvalidRequestError: the field makes no sense; the message says what to send.
    """
    wanted = fields.get("normalize")
    if wanted is None:
        return base
    if isinstance(wanted, bool):
        return replace(base, enabled=wanted)
    if not isinstance(wanted, dict):
        raise InvalidRequestError("normalize must be true, false or an object of settings")
    for name, value in wanted.items():
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise InvalidRequestError(f"normalize.{name[:40]} is unknown; known: {known}")
        if not isinstance(value, _FIELDS[name]):
            kind = "an object" if name == "lexicon" else f"a {_FIELDS[name].__name__}"
            raise InvalidRequestError(f"normalize.{name} must be {kind}")
        if isinstance(value, str) and len(value) > _MAX_LENGTH:
            raise InvalidRequestError(f"normalize.{name} may have {_MAX_LENGTH} characters")
    changes: dict[str, Any] = dict(wanted)
    if "lexicon" in changes:
        changes["lexicon"] = (*base.lexicon, *_entries(changes["lexicon"]))
    return replace(base, **changes)


def _entries(lexicon: dict[str, object]) -> Iterator[LexiconEntry]:
    if len(lexicon) > _MAX_ENTRIES:
        raise InvalidRequestError(f"normalize.lexicon may have {_MAX_ENTRIES} entries")
    for written, said in lexicon.items():
        for language, spoken in (said if isinstance(said, dict) else {AUTO: said}).items():
            if not isinstance(spoken, str) or max(len(written), len(spoken)) > _MAX_LENGTH:
                raise InvalidRequestError(
                    f"normalize.lexicon[{written[:40]!r}] must be a string that says how to say "
                    "it, or an object of such strings by language; all may have "
                    f"{_MAX_LENGTH} characters"
                )
            yield LexiconEntry(written, spoken, language)
