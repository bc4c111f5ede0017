"""POST /tts/stream and POST /tts/interrupt: the API that existing clients know.

A client_id is a session: its requests play one after another. Audio is raw PCM, 16 bits, little
endian, 24 kHz, mono, in whole samples, under the documented name `audio/l16;rate=24000`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk
from qwen3_tts_live.errors import InvalidRequestError, OverloadedError, SpeechError
from qwen3_tts_live.synthesizer import (
    Event,
    Finished,
    SessionOptions,
    Synthesizer,
    Utterance,
)
from qwen3_tts_live.text import NormalizerSettings
from qwen3_tts_server.access import session_id
from qwen3_tts_server.metrics import Metrics
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.problems import REQUEST_ID, parse_json, problem
from qwen3_tts_server.text import chosen_normalizer, string_field, text_field

__all__ = ["SpeechApi"]

logger = logging.getLogger(__name__)

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
# What a client that never reads can make the kernel hold: with the system's default it is 80
# seconds of speech, which no interrupt can take back. Below about 8 KiB each chunk is a wake-up.
_SEND_BUFFER = 16 * 1024
# Bytes handed over at a time: 80 ms. As each piece waits for the one before to be gone, it is also
# the most that this process still holds of a stream when it is interrupted.
_PIECE = 3840
_AUDIO_HEADERS = {
    "Content-Type": "audio/l16;rate=24000",
    "X-Audio-Format": "s16le",
    "X-Accel-Buffering": "no",  # nginx: pass every chunk on at once
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What POST /tts/stream asks for."""

    text: str
    client_id: str
    language: str
    voice: str | None
    normalizer: NormalizerSettings

    @classmethod
    def parse(cls, body: bytes, request: web.Request, base: NormalizerSettings) -> StreamRequest:
        """Read and check the request; `base` are the server's settings for text.

        Raises:
            InvalidRequestError: what is wrong with it.
        """
        fields = parse_json(body)
        return cls(
            text=text_field(fields),
            client_id=client_id(request, string_field(fields, "client_id")),
            language=string_field(fields, "language") or "Auto",
            voice=string_field(fields, "voice") or None,
            normalizer=chosen_normalizer(fields, base),
        )


def client_id(request: web.Request, in_body: str = "") -> str:
    """Return the client's id from the body, the query or the X-Client-Id header.

    Raises:
        InvalidRequestError: they disagree, or the id is malformed.
    """
    given = {in_body, request.query.get("client_id", ""), request.headers.get("X-Client-Id", "")}
    given.discard("")
    if len(given) > 1:
        raise InvalidRequestError("client_id differs between body, query and X-Client-Id")
    found = given.pop() if given else "default"
    if not _CLIENT_ID.fullmatch(found):
        raise InvalidRequestError(
            "client_id must be 1 to 128 printable ASCII characters, no spaces"
        )
    return found


class SpeechApi:
    """The two routes.

    Args:
        synthesizer: returns what speaks, or raises why nothing does.
        options: the server's settings.
        metrics: where to count.
    """

    def __init__(
        self, synthesizer: Callable[[], Synthesizer], options: ServerOptions, metrics: Metrics
    ) -> None:
        self._synthesizer = synthesizer
        self._options = options
        self._metrics = metrics
        self._sending: set[asyncio.Transport] = set()
        self._streams = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.draining = False

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """POST /tts/stream {text, language, voice, client_id} -> audio as it is made."""
        if self.draining:
            message = "the server is shutting down"
            return problem(request, 503, "draining", message, retryable=True, retry_after=5)
        arrived = time.monotonic()
        wanted = StreamRequest.parse(await request.read(), request, self._options.text)
        try:
            session = await self._synthesizer().open_session(
                session_id=session_id(request, wanted.client_id)
            )
            position = session.queued
            options = SessionOptions(
                voice=wanted.voice, language=wanted.language, normalizer=wanted.normalizer
            )
            utterance = session.utter(wanted.text, options=options)
        except SpeechError:
            self._metrics.request_ended("refused")
            raise
        with self._open():
            async with utterance:
                return await self._send(request, utterance, position, arrived)

    async def interrupt(self, request: web.Request) -> web.StreamResponse:
        """POST /tts/interrupt?client_id= -> what it stopped; 200 also where there was nothing."""
        started = time.monotonic()
        name = client_id(request, await _client_id_in_body(request))
        session = self._synthesizer().get_session(session_id(request, name))
        body: dict[str, object] = {"status": "idle", "client_id": name, "queue": "flushed"}
        body |= {"stopped": 0, "flushed": 0, "generated_ms": 0, "delivered_ms": 0}
        if session is not None:
            report = await session.interrupt()
            self._metrics.interrupted(report, time.monotonic() - started)
            body["status"] = "interrupted" if report.stopped or report.flushed else "idle"
            body |= {"stopped": len(report.stopped), "flushed": len(report.flushed)}
            body |= {"generated_ms": report.generated_ms, "delivered_ms": report.delivered_ms}
        return web.json_response(body)

    async def _send(
        self, request: web.Request, utterance: Utterance, position: int, arrived: float
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=_AUDIO_HEADERS)
        response.headers["X-Queue-Position"] = str(position)
        try:
            playing = self._play(request, response, aiter(utterance), wait=position == 0)
            finished = await _in_time(playing, self._options.max_stream_seconds)
        except SpeechError as error:
            self._metrics.request_ended("failed")
            if not response.prepared or request.transport is None:
                raise
            # The status is sent; an unfinished body is the only way left to say it failed.
            logger.warning("request %s broke off: %s", request[REQUEST_ID], error.message)
            request.transport.abort()
        except (ConnectionError, asyncio.CancelledError):
            self._metrics.request_ended("left")
            raise
        else:
            seconds = time.monotonic() - arrived
            self._metrics.finished(finished, seconds, finished.samples / SAMPLE_RATE)
        finally:
            if request.transport is not None:
                self._sending.discard(request.transport)
        return response

    async def _play(
        self,
        request: web.Request,
        response: web.StreamResponse,
        events: AsyncIterator[Event],
        *,
        wait: bool,
    ) -> Finished:
        # A queued request is answered at once, as clients expect. One whose turn it is waits
        # for its first event, so that what fails before any audio is a proper error.
        event = await anext(events) if wait else None
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left")
        _hold_little(transport)
        await response.prepare(request)
        self._sending.add(transport)
        while not isinstance(event, Finished):
            if isinstance(event, AudioChunk):
                await self._write(request, response, event.data)
            event = await anext(events)
        return event

    async def _write(self, request: web.Request, response: web.StreamResponse, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._options.write_timeout):
                for start in range(0, len(data), _PIECE):
                    await response.write(data[start : start + _PIECE])
                    await request.writer.drain()
        except TimeoutError as error:
            raise ConnectionResetError("the client stopped reading") from error

    # ------------------------------------------------------------ shutting down

    @contextmanager
    def _open(self) -> Iterator[None]:
        self._streams += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._streams -= 1
            if not self._streams:
                self._quiet.set()

    async def drained(self) -> None:
        """Wait until no stream is open."""
        await self._quiet.wait()

    def cut_all(self) -> None:
        """End every stream that is sending, without its end of body."""
        for transport in self._sending:
            transport.abort()


async def _client_id_in_body(request: web.Request) -> str:
    """Accept {"client_id": ...} in an interrupt's body too; most clients send none."""
    if not request.body_exists:
        return ""
    return string_field(parse_json(await request.read()), "client_id")


async def _in_time(playing: Awaitable[Finished], seconds: float) -> Finished:
    try:
        async with asyncio.timeout(seconds):
            return await playing
    except TimeoutError as error:
        raise OverloadedError(f"the request took more than {seconds:g} s") from error


def _hold_little(transport: asyncio.Transport) -> None:
    """Let little audio be on its way to the client, where no interrupt can take it back."""
    transport.set_write_buffer_limits(high=0)  # draining waits until the kernel has everything
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
