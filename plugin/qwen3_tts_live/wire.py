"""The WebSocket protocol, version 1: every message, and the header of an audio frame.

`docs/protocol.md` is the page for people. Text messages are JSON objects with a `type`; unknown
fields are errors. Binary messages, from the server alone, are audio. Knows nothing about sockets,
and nothing about how either end keeps its promises.
"""

from __future__ import annotations

import json
import struct
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from qwen3_tts_live.audio import PcmSamples
from qwen3_tts_live.errors import InvalidRequestError, SpeechError

__all__ = [
    "PATH",
    "SESSION_ID",
    "SUBPROTOCOL",
    "Cancel",
    "ClientMessage",
    "Close",
    "Closed",
    "Done",
    "End",
    "Error",
    "Hello",
    "Interrupt",
    "Interrupted",
    "Limits",
    "Malformed",
    "Mark",
    "Open",
    "Opened",
    "Options",
    "ServerMessage",
    "Taken",
    "Text",
    "Utter",
    "error_message",
    "pack_audio",
    "parse_from_client",
    "parse_from_server",
    "raised",
    "unpack_audio",
]

#: What client and server agree on in the handshake; another version would have another name.
SUBPROTOCOL = "qwen3-tts-live.v1"
#: Where the server answers.
PATH = "/tts/ws"

# Utterance and offset of the first sample: 49 hours of audio. Eight bytes, so that a browser can
# look at the samples behind them in place.
_HEADER = struct.Struct("<II")

Number = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
#: What the name of a session may be, as a regular expression.
SESSION_ID = r"^[\x21-\x7e]{1,128}$"
SessionId = Annotated[str, Field(pattern=SESSION_ID)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str

    def dump(self) -> str:
        """Return the message as it is sent: without what has its default."""
        return json.dumps({"type": self.type} | self.model_dump(mode="json", exclude_defaults=True))


class Options(BaseModel):
    """How to speak; `synthesizer.SessionOptions` on the wire.

    `max_lead` are the seconds of audio that may be ahead of what the client has `taken`; null for
    as much as the client reads. `normalize` is what POST /tts/text knows by that name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: str | None = None
    language: str = "Auto"
    instruct: str | None = None
    seed: int | None = None
    max_lead: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 3.0
    normalize: bool | dict[str, JsonValue] | None = None


# ------------------------------------------------------------------ from the client


class Open(_Message):
    """Open a session under a number of the client's choice, or give an open one new options.

    Sessions of one `id` are one session, also for POST /tts/stream's client_id.
    """

    type: Literal["open"] = "open"
    request: Number
    session: Number
    id: SessionId | None = None
    options: Options = Options()


class Utter(_Message):
    """Queue an utterance. Its number is the client's choice and higher than all before it."""

    type: Literal["utter"] = "utter"
    session: Number
    utterance: Number
    options: Options | None = None


class Text(_Message):
    """More text of an utterance."""

    type: Literal["text"] = "text"
    utterance: Number
    text: str


class End(_Message):
    """The text of an utterance is complete."""

    type: Literal["end"] = "end"
    utterance: Number


class Taken(_Message):
    """How many samples of an utterance its consumer has taken so far, all together."""

    type: Literal["taken"] = "taken"
    utterance: Number
    samples: Annotated[int, Field(ge=0)]


class Cancel(_Message):
    """Stop one utterance; answered by its `done`."""

    type: Literal["cancel"] = "cancel"
    utterance: Number


class Interrupt(_Message):
    """Stop what a session plays and flush what waits; answered by `interrupted`."""

    type: Literal["interrupt"] = "interrupt"
    request: Number
    session: Number


class Close(_Message):
    """Interrupt and forget a session; answered by `closed`."""

    type: Literal["close"] = "close"
    request: Number
    session: Number


# ------------------------------------------------------------------ from the server


class Limits(BaseModel):
    """What the server accepts: characters of an utterance, utterances that one session queues."""

    model_config = ConfigDict(frozen=True)

    max_text: int
    max_queued: int


class _ServerMessage(_Message):
    # A newer server of the same version may say more than this client knows.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Hello(_ServerMessage):
    """What the server can do: its first message, and again when that changes.

    `added` are the voices that can be removed; None where voices cannot be added.
    """

    type: Literal["hello"] = "hello"
    model: str
    sample_rate: int
    languages: tuple[str, ...]
    voices: tuple[str, ...]
    added: tuple[str, ...] | None = None
    limits: Limits


class Opened(_ServerMessage):
    """The session is open; `id` is what it is known by outside this connection."""

    type: Literal["opened"] = "opened"
    request: Number
    session: Number
    id: str


class Mark(_ServerMessage):
    """Ties a slice of the text to samples; comes before that audio. See `synthesizer.Mark`."""

    type: Literal["mark"] = "mark"
    utterance: Number
    text: str
    start: int
    end: int
    exact: bool


class Done(_ServerMessage):
    """An utterance is over, and nothing of it follows. See `synthesizer.Finished`."""

    type: Literal["done"] = "done"
    utterance: Number
    reason: Literal["completed", "interrupted"]
    samples: int
    queue_seconds: float | None = None
    ttfb_seconds: float | None = None
    ttfa_seconds: float | None = None


class Interrupted(_ServerMessage):
    """What an interrupt ended; no audio of it follows.

    `generated` and `sent` count the samples of all that was stopped and flushed.
    """

    type: Literal["interrupted"] = "interrupted"
    request: Number
    session: Number
    stopped: tuple[Number, ...]
    flushed: tuple[Number, ...]
    generated: int
    sent: int


class Closed(_ServerMessage):
    """The session is closed."""

    type: Literal["closed"] = "closed"
    request: Number
    session: Number


class Error(_ServerMessage):
    """What went wrong. It ends the utterance or answers the request that it names.

    `request_id` is what the server's log calls the utterance, or else the connection.
    """

    type: Literal["error"] = "error"
    code: str
    message: str
    retryable: bool
    retry_after: float | None = None
    request: Number | None = None
    utterance: Number | None = None
    request_id: str | None = None


ClientMessage: TypeAlias = Open | Utter | Text | End | Taken | Cancel | Interrupt | Close
ServerMessage: TypeAlias = Hello | Opened | Mark | Done | Interrupted | Closed | Error

_FROM_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)
_FROM_SERVER: TypeAdapter[ServerMessage] = TypeAdapter(
    Annotated[ServerMessage, Field(discriminator="type")]
)


class Malformed(InvalidRequestError):
    """A message that is none of the protocol's.

    Attributes:
        references: `request` and `utterance`, where the message names them.
    """

    NAMES: ClassVar = ("request", "utterance")

    def __init__(self, message: str, references: dict[str, int] | None = None) -> None:
        super().__init__(message)
        self.references = references or {}


def parse_from_client(data: str) -> ClientMessage:
    """Return the message in `data`.

    Raises:
        Malformed: it is none that a client may send.
    """
    try:
        return _FROM_CLIENT.validate_json(data)
    except ValidationError as error:
        raise Malformed(_reason(error), _references(data)) from error


def parse_from_server(data: str) -> ServerMessage:
    """Return the message in `data`.

    Raises:
        Malformed: it is none that a server may send.
    """
    try:
        return _FROM_SERVER.validate_json(data)
    except ValidationError as error:
        raise Malformed(_reason(error)) from error


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or 'message'}: {first['msg']}"[:300]


def _references(data: str) -> dict[str, int]:
    """Return what a malformed message is about, so that whoever sent it can tell."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    named = ((name, value.get(name)) for name in Malformed.NAMES)
    return {name: n for name, n in named if type(n) is int and 0 <= n < 2**32}


# ------------------------------------------------------------------ audio


def pack_audio(utterance: int, offset: int, pcm: bytes) -> bytes:
    """Return a binary message: `pcm` is 16-bit little-endian mono at 24 kHz, whole samples."""
    return _HEADER.pack(utterance, offset) + pcm


def unpack_audio(data: bytes) -> tuple[int, int, PcmSamples]:
    """Return the utterance, the offset of the first sample, and the samples, shape (n,).

    Raises:
        Malformed: there is no header, or half a sample.
    """
    if len(data) < _HEADER.size or len(data) % 2:
        raise Malformed(f"an audio frame of {len(data)} bytes has no header or half a sample")
    utterance, offset = _HEADER.unpack_from(data)
    return utterance, offset, np.frombuffer(data, "<i2", offset=_HEADER.size).astype(np.int16)


# ------------------------------------------------------------------ errors


def error_message(
    error: SpeechError,
    *,
    request: int | None = None,
    utterance: int | None = None,
    request_id: str | None = None,
) -> Error:
    """Return the message for an error of the library."""
    return Error(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        retry_after=error.retry_after,
        request=request,
        utterance=utterance,
        request_id=request_id,
    )


def raised(error: Error) -> SpeechError:
    """Return the exception that a server's error stands for: the same class as in its process."""
    kind = _kinds(SpeechError).get(error.code, SpeechError)
    exception = kind(error.message, retry_after=error.retry_after)
    exception.retryable = error.retryable
    exception.code = error.code
    return exception


def _kinds(base: type[SpeechError]) -> dict[str, type[SpeechError]]:
    found = {base.code: base}
    for kind in base.__subclasses__():
        if "code" in vars(kind):
            found |= _kinds(kind)
    return found
