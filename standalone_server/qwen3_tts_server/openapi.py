"""GET /openapi.json: what every route takes and answers, in OpenAPI 3.1.

The schemas are those of the models that read the requests and write the answers. What each route
is for is in `openapi_paths.py`; here is what all of them have in common.
"""

from __future__ import annotations

import importlib.metadata
from functools import cached_property
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from qwen3_tts_server.bodies import Body
from qwen3_tts_server.openapi_paths import TAGS, paths
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.problems import Failure

__all__ = ["OpenApi", "document"]

_ABOUT = """\
Streaming text to speech with Qwen3-TTS: audio comes while it is made, and when an interrupt is \
answered, the work has stopped.

Every error has one shape, also that of a route that there is not (404) and of a method that a \
route does not have (405). Every response has `X-Request-Id`, which the server's log names too: \
the request's own, if it brought one.

POST, DELETE and WebSocket handshakes that a browser sends for a page of another origin are \
refused, unless the server was started with `--cors-origin`."""

_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Token KEY` works too. A browser's WebSocket offers the "
        "subprotocol `api-key.KEY` beside the real one.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

_FAILURES = {
    400: "The body, a field, a parameter or the client's id is wrong; the message says what to "
    "send.",
    401: "The server has keys, and none of them came with the request.",
    403: "A browser says that the request comes from a page of another origin.",
    404: "There is nothing of that name.",
    408: "The body took longer than `--read-timeout`, or a recording than `--upload-timeout`.",
    409: "The name is taken, or the voice is the one that speaks by default.",
    413: "The text is longer than `--max-text`, or the recording larger than `--max-upload`.",
    415: "The body is of another content type, or compressed.",
    421: "The `Host` is not one of `--allowed-host`.",
    426: "This is a WebSocket, and the request opens none.",
    429: "This client has `--max-queued` requests already, or its key or address is over "
    "`--rate-limit`.",
    501: "The engine cannot clone voices.",
    503: "The server is full, loading or shutting down, or the voice failed before any audio.",
    507: "The voice could not be stored, or there are `--max-voices` already.",
}
_FAILURE_HEADERS: dict[int, Any] = {
    401: {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    429: {"Retry-After": {"$ref": "#/components/headers/Retry-After"}},
    503: {"Retry-After": {"$ref": "#/components/headers/Retry-After"}},
}
_HEADERS = {
    "X-Request-Id": {
        "description": "What the server's log calls the request.",
        "schema": {"type": "string"},
        "required": True,
    },
    "Retry-After": {
        "description": "Seconds after which to try again, if that can help.",
        "schema": {"type": "integer", "minimum": 1},
    },
}


class OpenApi:
    """The route.

    Args:
        options: the server's settings.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self.routes = [web.get("/openapi.json", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """GET /openapi.json."""
        return web.json_response(self._document)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return document(self._options)  # takes tens of milliseconds, and few ask for it


def document(options: ServerOptions) -> dict[str, Any]:
    """Return the document of a server with these settings."""
    models: set[type[BaseModel]] = set()
    made: dict[str, Any] = {
        "openapi": "3.1.1",
        "info": {
            "title": "qwen3-tts-live",
            "version": importlib.metadata.version("qwen3-tts-live"),
            "description": _ABOUT,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": what} for name, what in TAGS.items()],
        "paths": _linked(paths(), models),
        "components": {
            "responses": _linked(_failures(), models),
            "schemas": _schemas(models),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }
    if options.api_keys:
        made["security"] = [{name: []} for name in _SECURITY]
    return made


def _failures() -> dict[str, Any]:
    body = {"application/json": {"schema": Failure}}
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    return {
        str(status): {
            "description": what,
            "headers": headers | _FAILURE_HEADERS.get(status, {}),
            "content": body,
        }
        for status, what in _FAILURES.items()
    }


def _linked(part: Any, models: set[type[BaseModel]]) -> Any:
    """Return `part` with references in place of the models in it, which are added to `models`."""
    if isinstance(part, dict):
        return {name: _linked(inner, models) for name, inner in part.items()}
    if isinstance(part, list):
        return [_linked(inner, models) for inner in part]
    if isinstance(part, type):
        models.add(part)
        return {"$ref": f"#/components/schemas/{part.__name__}"}
    return part


def _schemas(models: set[type[BaseModel]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(
            ref_template="#/components/schemas/{model}",
            schema_generator=_Schema,
            mode="validation" if issubclass(model, Body) else "serialization",
        )
        found |= schema.pop("$defs", {}) | {model.__name__: schema}
    return dict(sorted(found.items()))


class _Schema(GenerateJsonSchema):
    """Without titles, which repeat the names, and without defaults, which are all None or empty."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])
