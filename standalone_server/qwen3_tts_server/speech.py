"""POST /tts/stream and POST /tts/interrupt: the API that existing clients know.

A client_id is a session: its requests play one after another. Audio is raw PCM, 16 bits, little
endian, 24 kHz, mono, in whole samples, under the documented name `audio/l16;rate=24000`.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_server.access import session_id
from qwen3_tts_server.audio_formats import Encoder
from qwen3_tts_server.bodies import CLIENT_ID, Body, ClientId, Language, Text, parse, reply
from qwen3_tts_server.streaming import Shared
from qwen3_tts_server.text import Chosen, chosen_normalizer

__all__ = ["InterruptRequest", "Interrupted", "SpeechApi", "StreamRequest", "client_id"]

_CLIENT_ID = re.compile(CLIENT_ID)
_AUDIO_HEADERS = {"Content-Type": "audio/l16;rate=24000", "X-Audio-Format": "s16le"}


class StreamRequest(Body):
    """What to say, how, and in whose queue."""

    text: Text
    language: Language = None
    voice: Annotated[
        str | None, Field(description="A voice by its name; the default voice if absent.")
    ] = None
    client_id: ClientId = None
    normalize: Chosen = None


class InterruptRequest(Body):
    """Whose speech to stop."""

    client_id: ClientId = None


class Interrupted(BaseModel):
    """What an interrupt ended."""

    status: Annotated[
        Literal["interrupted", "idle"],
        Field(description="`idle` where there was nothing to stop, also for an unknown client."),
    ]
    client_id: str
    queue: Literal["flushed"] = "flushed"
    stopped: Annotated[int, Field(description="Requests that were being spoken.")] = 0
    flushed: Annotated[int, Field(description="Requests that waited.")] = 0
    generated_ms: Annotated[int, Field(description="Of all of them, audio that was made.")] = 0
    delivered_ms: Annotated[
        int, Field(description="Of that, what was handed to the connections.")
    ] = 0


def client_id(request: web.Request, in_body: str | None = None, *, absent: str = "default") -> str:
    """Return the client's id from the body, the query or the X-Client-Id header, else `absent`.

    Raises:
        InvalidRequestError: they disagree, or the id is malformed.
    """
    everywhere = (in_body, request.query.get("client_id"), request.headers.get("X-Client-Id"))
    given = {name for name in everywhere if name}
    if len(given) > 1:
        raise InvalidRequestError("client_id differs between body, query and X-Client-Id")
    found = given.pop() if given else absent
    if not _CLIENT_ID.fullmatch(found):
        raise InvalidRequestError(
            "client_id must be 1 to 128 printable ASCII characters, no spaces"
        )
    return found


class SpeechApi:
    """The two routes.

    Args:
        shared: what all routes work with.
    """

    def __init__(
        self,
        shared: Shared,
    ) -> None:
        self._shared = shared
        self._synthesizer = shared.synthesizer
        self._options = shared.options
        self._metrics = shared.metrics
        self._streams = shared.streams

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """POST /tts/stream {text, language, voice, client_id} -> audio as it is made."""
        account = self._shared.log.account(request)
        self._streams.check_open()
        with self._streams.open():
            wanted = parse(StreamRequest, await request.read())
            options = SessionOptions(
                voice=wanted.voice or None,
                language=wanted.language or "Auto",
                normalizer=chosen_normalizer(wanted.normalize, self._options.text),
            )
            name = session_id(request, client_id(request, wanted.client_id))
            account.asks(options, name)
            account.text(wanted.text)
            session = await self._synthesizer().open_session(session_id=name)
            position = session.queued
            utterance = session.utter(wanted.text, options=options)
            headers = _AUDIO_HEADERS | {"X-Queue-Position": str(position)}
            # A queued request is answered at once, as clients expect. One whose turn it is waits
            # for its first event, so that what fails before any audio is a proper error.
            return await self._streams.answer(
                request, utterance, Encoder(), headers, account=account, at_once=position > 0
            )

    async def interrupt(self, request: web.Request) -> web.StreamResponse:
        """POST /tts/interrupt?client_id= -> what it stopped; 200 also where there was nothing."""
        started = time.monotonic()
        name = client_id(request, await _client_id_in_body(request))
        session = self._synthesizer().get_session(session_id(request, name))
        if session is None:
            return reply(Interrupted(status="idle", client_id=name))
        report = await session.interrupt()
        self._metrics.interrupted(report, time.monotonic() - started)
        body = Interrupted(
            status="interrupted" if report.stopped or report.flushed else "idle",
            client_id=name,
            stopped=len(report.stopped),
            flushed=len(report.flushed),
            generated_ms=report.generated_ms,
            delivered_ms=report.delivered_ms,
        )
        return reply(body)


async def _client_id_in_body(request: web.Request) -> str | None:
    """Accept {"client_id": ...} in an interrupt's body too; most clients send none."""
    if not request.body_exists:
        return None
    return parse(InterruptRequest, await request.read()).client_id
