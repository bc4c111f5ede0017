"""How a request may choose its text's reading, and POST /tts/text, which shows it.

Knows nothing about audio: it answers with what would be said, and says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from qwen3_tts_live.errors import TextTooLongError
from qwen3_tts_live.text import LexiconEntry, NormalizerSettings, TextFrontEnd, TextSegment
from qwen3_tts_live.text.languages import AUTO, canonical_language
from qwen3_tts_server.bodies import Body, Language, LanguageName, Text, checked, parse, reply
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.problems import FieldError

__all__ = [
    "Chosen",
    "Segment",
    "Segments",
    "TextApi",
    "TextRequest",
    "chosen_normalizer",
    "read_chosen",
]

_MAX_ENTRIES = 1000
_MAX_LENGTH = 100  # characters of a phrase, or of either side of an entry


def _entries(lexicon: object) -> tuple[LexiconEntry, ...]:
    if not isinstance(lexicon, dict):
        raise FieldError("normalize.lexicon", "normalize.lexicon must be an object")
    if len(lexicon) > _MAX_ENTRIES:
        raise FieldError("normalize.lexicon", f"normalize.lexicon may have {_MAX_ENTRIES} entries")
    return tuple(_read_entries(lexicon))


def _read_entries(lexicon: dict[str, object]) -> Iterator[LexiconEntry]:
    for written, said in lexicon.items():
        for language, spoken in (said if isinstance(said, dict) else {AUTO: said}).items():
            if not isinstance(spoken, str) or max(len(written), len(spoken)) > _MAX_LENGTH:
                raise FieldError(
                    "normalize.lexicon",
                    f"normalize.lexicon[{written[:40]!r}] must be a string that says how to say "
                    "it, or an object of such strings by language; all may have "
                    f"{_MAX_LENGTH} characters",
                )
            yield LexiconEntry(written, spoken, language)


_Phrase = Annotated[str, Field(max_length=_MAX_LENGTH)]
_Written = Annotated[_Phrase, Field(json_schema_extra={"allOf": [{"pattern": r"\S"}]})]
_Lexicon = Annotated[
    dict[_Written, _Phrase | dict[LanguageName, _Phrase]], Field(max_length=_MAX_ENTRIES)
]
_SayOrSkip = Literal["say", "skip"] | None


class Normalize(Body):
    """How one request's text is read. What is absent is as the server has it."""

    # The grammar is the deployment's to choose, as it loads and costs, and so are the sizes of
    # segments.
    model_config = ConfigDict(extra="forbid")

    enabled: Annotated[
        bool | None, Field(description="False says the text as it is written, without markup.")
    ] = None
    markup: Annotated[bool | None, Field(description="Remove Markdown, HTML tags and emoji.")] = (
        None
    )
    acronyms: Annotated[
        Literal["spaces", "dots", "off"] | None,
        Field(description="How to spell: `A I`, `A.I.` or `AI`."),
    ] = None
    inline_code: Annotated[_SayOrSkip, Field(description="As it stands, or not at all.")] = None
    tables: Annotated[_SayOrSkip, Field(description="Row by row, or not at all.")] = None
    images: Annotated[_SayOrSkip, Field(description="Their alternative text.")] = None
    code_phrase: Annotated[
        _Phrase | None, Field(description="Said in place of a block of code.")
    ] = None
    lexicon: Annotated[
        tuple[LexiconEntry, ...],
        PlainValidator(_entries, json_schema_input_type=_Lexicon),
        Field(description="How to say what is written so, in any language or by language."),
    ] = ()

    def over(self, base: NormalizerSettings) -> NormalizerSettings:
        """Return `base` with what is chosen here.

        Raises:
            InvalidRequestError: a choice makes no sense.
        """
        changes: dict[str, Any] = {name: value for name, value in self if value is not None}
        return replace(base, **changes | {"lexicon": (*base.lexicon, *self.lexicon)})


def read_chosen(value: object) -> bool | Normalize | None:
    """Return what a field `normalize` says.

    Raises:
        FieldError: it says nothing that we know.
    """
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, dict):
        message = "normalize must be true, false or an object of settings"
        raise FieldError("normalize", message)
    for name in value:
        if name not in Normalize.model_fields:
            known = ", ".join(Normalize.model_fields)
            name = f"normalize.{name[:40]}"
            raise FieldError(name, f"{name} is unknown; known: {known}")
    return checked(Normalize, value, "normalize.")


Chosen = Annotated[
    bool | Normalize | None,
    BeforeValidator(read_chosen),
    Field(
        description="How the text is read: true, false (as it is written), or what is different "
        "from the server's own settings."
    ),
]


def chosen_normalizer(
    chosen: bool | Normalize | None, base: NormalizerSettings
) -> NormalizerSettings:
    """Return the server's settings, `base`, with what a request chose.

    Raises:
        InvalidRequestError: the choice makes no sense; the message says what to send.
    """
    if isinstance(chosen, Normalize):
        return chosen.over(base)
    return base if chosen is None else replace(base, enabled=chosen)


class TextRequest(Body):
    """What to show."""

    text: Text
    language: Language = None
    normalize: Chosen = None


class Segment(BaseModel):
    """A piece of a text."""

    raw: Annotated[str, Field(description="As it was sent: all of them join to the text.")]
    spoken: Annotated[str, Field(description="As it is said; empty if there is nothing to say.")]
    language: Annotated[str, Field(description="In which language it is said.")]


class Segments(BaseModel):
    """What would be spoken, one segment after another."""

    segments: list[Segment]


class TextApi:
    """The route that shows what would be said.

    Args:
        options: the server's settings.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options

    async def show(self, request: web.Request) -> web.Response:
        """POST /tts/text {text, language, normalize} -> {"segments": [...]}."""
        wanted = parse(TextRequest, await request.read())
        if len(wanted.text) > self._options.max_text:
            raise TextTooLongError(f"text may have {self._options.max_text} characters")
        language = canonical_language(wanted.language or AUTO)
        settings = chosen_normalizer(wanted.normalize, self._options.text)
        # A long text takes a second or two, which the audio of others must not wait for.
        segments = await asyncio.to_thread(_read, wanted.text, language, settings)
        shown = [Segment(raw=s.raw, spoken=s.spoken, language=s.language) for s in segments]
        return reply(Segments(segments=shown))


def _read(text: str, language: str, settings: NormalizerSettings) -> list[TextSegment]:
    front_end = TextFrontEnd(language, settings)
    return front_end.push(text) + front_end.end()
