"""What clients did wrong, or we did: one JSON shape for every error.

{"error": {"code": "queue_full", "message": "...", "type": "rate_limit_error", "param": null,
           "retryable": true, "request_id": "..."}}

`message`, `type`, `code` and `param` are what OpenAI's clients read.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, Field

from qwen3_tts_live.errors import (
    AuthenticationError,
    CapacityError,
    InvalidRequestError,
    OverloadedError,
    QueueFullError,
    SpeechError,
    StorageError,
    TextTooLongError,
    UnknownLanguageError,
    UnknownVoiceError,
    VoiceExistsError,
)

__all__ = [
    "PROBLEM",
    "REQUEST_ID",
    "Failure",
    "FieldError",
    "HttpLog",
    "Refused",
    "guard",
    "parse_json",
    "problem",
]

logger = logging.getLogger(__name__)

#: The id that `request_log` gave the request, and the code of the problem that answered it.
REQUEST_ID = web.RequestKey("request_id", str)
PROBLEM = web.RequestKey("problem", str)

_STATUS: tuple[tuple[type[SpeechError], int], ...] = (
    (QueueFullError, 429),
    (CapacityError, 503),
    (OverloadedError, 503),
    (TextTooLongError, 413),
    (VoiceExistsError, 409),
    (StorageError, 507),
    (AuthenticationError, 503),  # our key at the engine's server, not the client's here
    (InvalidRequestError, 400),
    (SpeechError, 503),
)

_PARAMS: dict[type[SpeechError], str] = {
    UnknownVoiceError: "voice",
    UnknownLanguageError: "language",
}

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    # Everything comes from this server; blob: is for audio that the page saves.
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


Kind = Literal["invalid_request_error", "rate_limit_error", "server_error"]


class Problem(BaseModel):
    """What went wrong."""

    code: Annotated[str, Field(description="Its name, for programs.")]
    message: Annotated[str, Field(description="What happened and what to do, for people.")]
    type: Kind
    param: Annotated[str | None, Field(description="The field that is to blame, if one is.")]
    retryable: Annotated[bool, Field(description="The same request may succeed later.")]
    request_id: Annotated[str, Field(description="The server's log names it too.")]


class Failure(BaseModel):
    """The body of every error."""

    error: Problem


class Refused(Exception):
    """An error response, for whoever is too deep to return one; the arguments of `problem`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.headers = headers or {}


class HttpLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's own log, in which who speaks no HTTP is no error of ours: anyone could fill it."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **more: Any) -> None:
        """Log an exception, with its traceback unless it is a client's."""
        if isinstance(exc_info, HttpProcessingError):
            reason = str(exc_info).splitlines()[0][:200]
            self.debug("what %s sent is no HTTP: %s", args[0] if args else "a client", reason)
        else:
            self.error(msg, *args, exc_info=exc_info, **more)


class FieldError(InvalidRequestError):
    """A field of a request is missing or wrong.

    Args:
        field: its name.
        message: what is wrong with it, and what to send.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def problem(
    request: web.Request,
    status: int,
    code: str,
    message: str,
    *,
    retryable: bool = False,
    retry_after: float | None = None,
    param: str | None = None,
) -> web.Response:
    """Return an error response in the one shape; `param` is the field that is to blame."""
    request[PROBLEM] = code
    told = Problem(
        code=code,
        message=message,
        param=param,
        type=_kind(status),
        retryable=retryable,
        request_id=request[REQUEST_ID],
    )
    response = web.json_response(text=Failure(error=told).model_dump_json(), status=status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def _kind(status: int) -> Kind:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def from_speech_error(request: web.Request, error: SpeechError) -> web.Response:
    """Return the response for an error of the library."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    retry_after = error.retry_after or (1.0 if error.retryable else None)
    return problem(
        request,
        status,
        error.code,
        error.message,
        retryable=error.retryable,
        retry_after=retry_after,
        param=error.field if isinstance(error, FieldError) else _PARAMS.get(type(error)),
    )


def from_refusal(request: web.Request, error: Refused) -> web.Response:
    """Return the response for a refusal."""
    response = problem(
        request,
        error.status,
        error.code,
        error.message,
        retryable=error.retryable,
        retry_after=error.retry_after,
    )
    response.headers.update(error.headers)
    return response


@web.middleware
async def guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give every failure the one shape."""
    try:
        return await handler(request)
    except SpeechError as error:
        return from_speech_error(request, error)
    except Refused as error:
        return from_refusal(request, error)
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        message = f"{request.method} {request.path}: {error.reason}"
        response = problem(request, error.status, code, message)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except ConnectionError:
        raise  # the client left: there is nobody to tell
    except Exception:
        logger.exception("the request failed")
        message = "the server failed; its log has the details under this request id"
        return problem(request, 500, "internal", message)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the standing headers on a response that is about to be sent."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]


def parse_json(data: bytes) -> dict[str, object]:
    """Return the JSON object in `data`.

    Raises:
        InvalidRequestError: it is not JSON, or not an object.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequestError('the body must be a JSON object: {"text": "..."}')
    return value
