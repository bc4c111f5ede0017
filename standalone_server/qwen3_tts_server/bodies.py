"""What requests and answers hold: one description reads them, writes them and documents them.

Each body of JSON is a pydantic model beside its route; `openapi.py` shows their schemas. Here are
their base, and the fields that several have. Knows no route.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.text.languages import AUTO, LANGUAGES
from qwen3_tts_server.problems import FieldError

__all__ = [
    "CLIENT_ID",
    "Body",
    "ClientId",
    "Language",
    "LanguageName",
    "MoreText",
    "Text",
    "checked",
    "parse",
    "reply",
]

#: What a client's id looks like; empty counts as absent.
CLIENT_ID = r"^[\x21-\x7e]{0,128}$"

# What pydantic finds, in our words; by its names of errors.
_SAYS = {
    "json_invalid": "is not valid JSON: {error}",
    "model_type": "must be a JSON object",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "string_too_long": "may have {max_length} characters",
    "string_type": "must be a string",
    "bool_type": "must be a boolean: true or false",
    "float_type": "must be a number",
}


class Body(BaseModel):
    """A JSON object. Fields that are not named here are ignored, and null is as good as absent."""

    model_config = ConfigDict(frozen=True, strict=True)


BodyT = TypeVar("BodyT", bound=BaseModel)


def parse(model: type[BodyT], data: bytes) -> BodyT:
    """Return the `model` that the JSON in `data` is.

    Raises:
        InvalidRequestError: it is none; the message says what to send.
    """
    with _told():
        return model.model_validate_json(data)


def checked(model: type[BodyT], fields: object, within: str = "") -> BodyT:
    """Return the `model` that `fields` are.

    Args:
        model: what they should be.
        fields: a JSON object.
        within: goes before the name of a field in errors: "options.".

    Raises:
        FieldError: a field is missing or wrong.
    """
    with _told(within):
        return model.model_validate(fields)


@contextmanager
def _told(within: str = "") -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if (says := _SAYS.get(first["type"])) is not None:
            says = says.format(**first.get("ctx", {}))
        says = says or f"is wrong: {first['msg']}"
        if "hex escape" in says:  # what programs do that cut UTF-16 anywhere
            says += "; half of a surrogate pair? Send UTF-8"
        if not first["loc"]:
            raise InvalidRequestError(f"the body {says}") from error
        name = f"{within}{first['loc'][0]}"
        raise FieldError(name, f"{name} {says}") from error


def reply(body: BaseModel, status: int = 200) -> web.Response:
    """Return an answer with `body` as JSON."""
    return web.json_response(text=body.model_dump_json(), status=status)


def _speakable(text: str, info: ValidationInfo) -> str:
    name = info.field_name or "text"
    if not text.strip():
        raise FieldError(name, f"{name} is empty; send what to say")
    if "\0" in text:
        raise FieldError(name, f"{name} holds a NUL; send UTF-8 text")
    return text


Text = Annotated[
    str,
    AfterValidator(_speakable),
    Field(
        description="What to say, as it is written: Markdown, numbers and emoji are read as people "
        "would.",
        json_schema_extra={"pattern": r"^[^\x00]*\S[^\x00]*$"},
    ),
]


class MoreText(Body):
    """A message with a piece of text."""

    text: str


LanguageName = Annotated[
    str,
    Field(
        json_schema_extra={
            "anyOf": [
                {"enum": ["", AUTO, *LANGUAGES]},
                {"pattern": f"^({'|'.join(LANGUAGES.values())})([-_][A-Za-z]+)?$"},
            ]
        }
    ),
]
Language = Annotated[
    LanguageName | None,
    Field(
        description="`Auto` if absent. A code or a locale, such as `zh` or `en-US`, will do. The "
        "engine may have fewer languages: see GET /info."
    ),
]

ClientId = Annotated[
    str | None,
    Field(
        description="Whose queue it joins: up to 128 printable ASCII characters without spaces; "
        "`default` if absent. It may also come as the query's `client_id` or in the header "
        "`X-Client-Id`; they must agree.",
        json_schema_extra={"pattern": CLIENT_ID},
    ),
]
