"""The parts that `openapi_paths.py` puts together. Knows no route.

Where a schema belongs may stand the model that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from qwen3_tts_server.bodies import CLIENT_ID

__all__ = [
    "ADDING",
    "CLIENT_IDS",
    "MODEL",
    "RECORDING",
    "REMOVED",
    "REMOVING",
    "TRANSCRIPT",
    "VOICE_NAME",
    "Part",
    "answer",
    "delete",
    "form_body",
    "get",
    "header",
    "json_answer",
    "json_body",
    "one_of",
    "parameter",
    "post",
    "query",
    "upgrade",
]

#: An object of an OpenAPI document.
Part = dict[str, Any]


def get(*about: str, public: bool = False, speaks: bool = True, **more: Any) -> dict[str, Part]:
    """Return a GET operation; the arguments are those of `_operation`."""
    return {"get": _operation(*about, public=public, speaks=speaks and not public, **more)}


def post(*about: str, **more: Any) -> dict[str, Part]:
    """Return a POST operation; the arguments are those of `_operation`."""
    return {"post": _operation(*about, acts=True, **more)}


def delete(*about: str, **more: Any) -> dict[str, Part]:
    """Return a DELETE operation; the arguments are those of `_operation`."""
    return {"delete": _operation(*about, acts=True, **more)}


def upgrade(tag: str, summary: str, text: str, parameters: Iterable[Part] = ()) -> dict[str, Part]:
    """Return a WebSocket's operation: OpenAPI knows it as a GET that is answered with 101."""
    return {
        "get": _operation(
            tag,
            summary,
            text,
            parameters=parameters,
            answers={101: answer("The WebSocket is open.", {})},
            fails=(400, 426),
            acts=True,
        )
    }


def _operation(
    tag: str,
    summary: str,
    text: str = "",
    *,
    body: Part | None = None,
    parameters: Iterable[Part] = (),
    answers: Mapping[int, Part],
    fails: Iterable[int] = (),
    public: bool = False,  # needs no key
    any_host: bool = False,  # does not look at the Host
    acts: bool = False,  # is refused to pages of other origins, and counts for the rate limit
    speaks: bool = True,  # needs a model
) -> Part:
    statuses = set(fails) if any_host else {421, *fails}
    statuses |= {400, 408, 413, 415} if body is not None else set()
    statuses |= set() if public else {401}
    statuses |= {403, 429} if acts else set()
    statuses |= {503} if speaks else set()
    all_answers: dict[int, Part] = {
        status: {"$ref": f"#/components/responses/{status}"} for status in statuses
    }
    all_answers |= answers
    responses = {str(status): all_answers[status] for status in sorted(all_answers)}
    operation: Part = {"tags": [tag], "summary": summary, "responses": responses}
    operation |= {"description": text} if text else {}
    operation |= {"parameters": list(parameters)} if parameters else {}
    operation |= {"requestBody": body} if body is not None else {}
    return operation | ({"security": []} if public else {})


def json_body(
    model: type[BaseModel], examples: Mapping[str, object], *, required: bool = True
) -> Part:
    """Return a request's body; `examples` are by what they show."""
    shown = {
        re.sub(r"\W+", "-", summary.lower()): {"summary": summary, "value": value}
        for summary, value in examples.items()
    }
    content = {"application/json": {"schema": model, "examples": shown}}
    return {"required": required, "content": content}


def form_body(example: Mapping[str, str], **fields: Part) -> Part:
    """Return a form as a request's body; the first two of its `fields` are required."""
    schema: Part = {"type": "object", "properties": fields, "required": list(fields)[:2]}
    schema["additionalProperties"] = False
    shown = {"schema": schema, "example": dict(example)}
    return {"required": True, "content": {"multipart/form-data": shown}}


def json_answer(what: str, example: BaseModel) -> Part:
    """Return an answer of JSON, of the model that `example` is one of."""
    shown = {"schema": type(example), "example": example.model_dump(mode="json")}
    return answer(what, {"application/json": shown})


def answer(what: str, content: Part, headers: Mapping[str, Part] | None = None) -> Part:
    """Return an answer; `content` is by its type."""
    all_headers: Part = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    all_headers |= headers or {}
    made: Part = {"description": what, "headers": all_headers}
    return made | ({"content": content} if content else {})


def parameter(where: str, name: str, what: str, schema: Part, **more: object) -> Part:
    """Return a parameter; `where` is `path`, `query` or `header`."""
    return {"name": name, "in": where, "description": what, "schema": schema} | more


def query(name: str, what: str, schema: Part) -> Part:
    """Return a parameter in the query."""
    return parameter("query", name, what, schema)


def header(name: str, what: str, schema: Part, **more: object) -> Part:
    """Return a parameter in a header."""
    return parameter("header", name, what, schema, **more)


def one_of(names: Iterable[str]) -> Part:
    """Return the schema of a string that is one of `names`."""
    return {"type": "string", "enum": list(names)}


# ------------------------------------------------------------------ what several operations have

MODEL = "Qwen/Qwen3-TTS-12Hz-0.6B-Base"

_ID = {"type": "string", "pattern": CLIENT_ID}
CLIENT_IDS = [
    query("client_id", "Whose queue it is, where the body does not say.", _ID),
    header("X-Client-Id", "The same, for balancers that route by a header.", _ID),
]

VOICE_NAME: Part = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}
RECORDING: Part = {
    "type": "string",
    "contentMediaType": "application/octet-stream",
    "description": "0.5 to 60 s of wav, flac, ogg, mp3, aiff, m4a or webm; 5 to 15 s are best.",
}
TRANSCRIPT: Part = {
    "type": "string",
    "description": "What the recording says, word for word: closer to the voice, slower to start.",
}
REMOVED = parameter("path", "name", "The voice.", VOICE_NAME, required=True, example="anna")
#: How adding and removing a voice fail, beyond what all requests do.
ADDING = (409, 501, 507)
REMOVING = (400, 404, 409, 501, 507)
