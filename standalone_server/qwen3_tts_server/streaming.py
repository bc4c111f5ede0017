"""Sending speech over HTTP while it is made: small buffers, time limits, honest ends.

Every route that answers with audio goes through `Streams`. Knows nothing about what a request
looks like, nor about who may make it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

from aiohttp import WSCloseCode, web

from qwen3_tts_live.audio import AudioChunk
from qwen3_tts_live.errors import OverloadedError, SpeechError
from qwen3_tts_live.synthesizer import Event, Finished, Synthesizer, Utterance
from qwen3_tts_server.accounts import Account
from qwen3_tts_server.audio_formats import Encoder
from qwen3_tts_server.metrics import Metrics
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.request_log import RequestLog

__all__ = ["PIECE", "Patience", "Shared", "Streams", "hold_little", "in_time"]

PlayedT = TypeVar("PlayedT")

logger = logging.getLogger(__name__)

# What a client that never reads can make the kernel hold: with the system's default it is 80
# seconds of speech, which no interrupt can take back. Below about 8 KiB each chunk is a wake-up.
_SEND_BUFFER = 16 * 1024
#: Bytes handed over at a time: 80 ms of PCM. As each piece waits for the one before to be gone, it
#: is also the most that this process still holds of a stream when it is interrupted.
PIECE = 3840


class Streams:
    """The answers that are being sent.

    Args:
        options: the server's settings.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._open = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._sockets: set[web.WebSocketResponse] = set()
        self.sending: set[asyncio.Transport] = set()
        self.draining = False

    def check_open(self) -> None:
        """Do nothing, unless the server is stopping.

        Raises:
            OverloadedError: it is.
        """
        if self.draining:
            raise OverloadedError("the server is shutting down", retry_after=5.0)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Count a stream, so that a server that stops lets it end."""
        self._open += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._quiet.set()

    @contextmanager
    def socket(self, socket: web.WebSocketResponse) -> Iterator[None]:
        """Have a WebSocket closed when the server has stopped and no stream is open."""
        self._sockets.add(socket)
        try:
            yield
        finally:
            self._sockets.discard(socket)

    async def drained(self) -> None:
        """Wait until no stream is open."""
        while self._open:
            await self._quiet.wait()

    async def close_sockets(self) -> None:
        """Tell every WebSocket that is still open to come back later."""
        closing = (socket.close(code=WSCloseCode.GOING_AWAY) for socket in set(self._sockets))
        await asyncio.gather(*closing)

    def cut_all(self) -> None:
        """End every stream that is sending, without its end of body."""
        for transport in set(self.sending):
            transport.abort()

    async def answer(
        self,
        request: web.Request,
        utterance: Utterance,
        encoder: Encoder,
        headers: dict[str, str],
        *,
        account: Account,
        at_once: bool = False,
    ) -> web.StreamResponse:
        """Answer `request` with what `utterance` says.

        Args:
            request: the request.
            utterance: is over when this returns or raises.
            encoder: makes the body of it.
            headers: of the answer; the encoder's type is added unless they have one.
            account: of the request; it is told the end.
            at_once: send the headers now, rather than with the first audio. What fails before
                any audio is then no proper error any more.

        Raises:
            SpeechError: it failed before anything was sent.
            ConnectionError: the client left, or reads no more.
        """
        response = web.StreamResponse(headers={"Content-Type": encoder.content_type} | headers)
        response.headers["X-Accel-Buffering"] = "no"  # nginx: pass every chunk on at once
        async with utterance:
            try:
                playing = self._play(request, response, utterance, encoder, account, at_once)
                account.finished(await in_time(playing, self._options.max_stream_seconds))
            except SpeechError as error:
                account.ended("failed", error.code)
                if not response.prepared:
                    raise
                await self._break_off(request, response, encoder.fail(error), error)
            except (ConnectionError, asyncio.CancelledError):
                account.ended("left")
                raise
        return response

    async def _play(
        self,
        request: web.Request,
        response: web.StreamResponse,
        utterance: Utterance,
        encoder: Encoder,
        account: Account,
        at_once: bool,
    ) -> Finished:
        events: AsyncIterator[Event] = aiter(utterance)
        event = None if at_once else await anext(events)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left")
        hold_little(transport)
        await response.prepare(request)
        with self.cuttable(transport), Patience(transport, self._options.write_timeout) as patience:
            while not isinstance(event, Finished):
                if isinstance(event, AudioChunk):
                    account.handed_out(len(event.samples))
                    data = encoder.encode(event.samples)
                    await self._write(request, response, data, patience)
                event = await anext(events)
            await self._write(request, response, encoder.finish(), patience)
        return event

    @contextmanager
    def cuttable(self, transport: asyncio.Transport) -> Iterator[None]:
        """Have a connection cut when the server stops and what it sends takes too long."""
        # By what it was: a request whose client has left has no transport any more.
        self.sending.add(transport)
        try:
            yield
        finally:
            self.sending.discard(transport)

    async def _write(
        self,
        request: web.Request,
        response: web.StreamResponse,
        data: bytes,
        patience: Patience,
    ) -> None:
        for start in range(0, len(data), PIECE):
            with patience.writing():
                await response.write(data[start : start + PIECE])
                await request.writer.drain()

    async def _break_off(
        self, request: web.Request, response: web.StreamResponse, last: bytes, error: SpeechError
    ) -> None:
        # The status is sent; an unfinished body is the only way left to say that it failed.
        logger.warning("the answer broke off: %s", error.message)
        if (transport := request.transport) is None:
            return
        try:
            with Patience(transport, self._options.write_timeout) as patience:
                await self._write(request, response, last, patience)
        finally:
            transport.abort()


@dataclass(frozen=True, slots=True)
class Shared:
    """What all routes work with.

    Attributes:
        synthesizer: returns what speaks, or raises why nothing does.
        options: the server's settings.
        metrics: where to count.
        log: what makes accounts of requests.
        streams: what sends, and what a stopping server waits for.
    """

    synthesizer: Callable[[], Synthesizer]
    options: ServerOptions
    metrics: Metrics
    log: RequestLog
    streams: Streams


async def in_time(playing: Awaitable[PlayedT], seconds: float) -> PlayedT:
    """Await what speaks, but no longer than `seconds`.

    Raises:
        OverloadedError: it took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await playing
    except TimeoutError as error:
        raise OverloadedError(f"the request took more than {seconds:g} s") from error


class Patience:
    """Hangs up on a client that reads nothing for `seconds` while something is written to it.

    It is one timer a connection: a timeout of its own for each piece of audio would be a tenth of
    all that sending costs.
    """

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since: dict[object, float] = {}  # what is being written, the oldest first
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is done under it has to end in time; several may write at once.

        Raises:
            ConnectionResetError: it did not, and the client was hung up on.
        """
        this = object()
        self._since[this] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)
        try:
            yield
        finally:
            del self._since[this]
        if self._over:
            raise ConnectionResetError("the client stopped reading")

    def _look(self) -> None:
        self._timer = None
        if not self._since:
            return
        left = next(iter(self._since.values())) + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._over = True
            self._transport.abort()


def hold_little(transport: asyncio.Transport) -> None:
    """Let little audio be on its way to the client, where no interrupt can take it back."""
    transport.set_write_buffer_limits(high=0)  # draining waits until the kernel has everything
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
