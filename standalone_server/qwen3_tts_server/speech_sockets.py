"""What the WebSocket APIs that are like others' have in common: text comes in, audio goes out.

One socket is one client. Messages are understood as they come; what is sent goes out in the order
in which it was asked for, by one task. Knows no message of either protocol.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.backend import to_the_end
from qwen3_tts_live.errors import SpeechError
from qwen3_tts_live.synthesizer import (
    Event,
    Finished,
    Session,
    SessionOptions,
    Synthesizer,
    Utterance,
)
from qwen3_tts_server.problems import parse_json
from qwen3_tts_server.streaming import PIECE, Patience, Shared, hold_little

__all__ = ["SpeechSocket"]

logger = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None]]

# Answers that may wait to be sent: a client that asks for more without reading is no client.
_MAX_WAITING = 256


class _TooMuchWaitsError(Exception):
    """The client asks for more and more, and does not read the answers."""


class SpeechSocket(ABC):
    """One client on one WebSocket.

    Args:
        request: the handshake.
        shared: what all routes work with.
    """

    def __init__(
        self,
        request: web.Request,
        shared: Shared,
    ) -> None:
        self.server_options = shared.options
        self.id = f"socket-{secrets.token_hex(8)}"
        self._request = request
        self._synthesizer = shared.synthesizer
        self._metrics = shared.metrics
        self._streams = shared.streams
        self._session: Session | None = None
        self._jobs: deque[Job] = deque()
        self._more = asyncio.Event()
        # Every message is handed to the kernel before the next one is made (writer_limit). No
        # heartbeat: some clients answer no ping while they have nothing to receive.
        # The first subprotocol that is offered is taken, as browsers demand: they offer a key as
        # "token, KEY", which aiohttp would log if there were nothing to choose.
        offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")
        self._ws = web.WebSocketResponse(
            protocols=[offered[0].strip()],
            compress=False,
            writer_limit=1,
            max_msg_size=12 * shared.options.max_text + 4096,
            timeout=1.0,
        )

    # ------------------------------------------------------------ what a protocol defines

    @abstractmethod
    async def greet(self) -> None:
        """Called when the socket is open, before any message."""

    @abstractmethod
    async def hear(self, kind: str, message: dict[str, object]) -> None:
        """Act on a message of that type. What it raises goes to `complain`."""

    @abstractmethod
    def complain(self, error: SpeechError) -> None:
        """Tell the client of an error."""

    # ------------------------------------------------------------ what it may use

    @property
    def synthesizer(self) -> Synthesizer:
        """What speaks.

        Raises:
            OverloadedError: it is not there yet.
        """
        return self._synthesizer()

    async def utter(self, options: SessionOptions) -> Utterance:
        """Queue an utterance, whose text is still to come.

        Raises:
            SpeechError: there is no room for it, or the options make no sense.
        """
        self._streams.check_open()
        with self._metrics.refusals():
            # Opened again each time: one that was silent for long may have been closed.
            session = await self.open_session(options)
            return session.utter()

    async def open_session(self, options: SessionOptions) -> Session:
        """Open the client's session, or give it other options.

        Raises:
            SpeechError: there is no room for it, or the options make no sense.
        """
        self._session = await self.synthesizer.open_session(options, session_id=self.id)
        return self._session

    async def events(self, utterance: Utterance) -> AsyncGenerator[Event, None]:
        """Yield what `utterance` says, and count it; for a job.

        Raises:
            SpeechError: it failed.
        """
        started = time.monotonic()
        outcome = "left"
        transport = self._request.transport
        with self._streams.open():
            try:
                if transport is not None:
                    self._streams.sending.add(transport)
                async with utterance:
                    async for event in utterance:
                        if isinstance(event, Finished):
                            outcome = ""
                            seconds = time.monotonic() - started
                            self._metrics.finished(event, seconds, event.samples / SAMPLE_RATE)
                        yield event
            except SpeechError:
                outcome = "failed"
                raise
            finally:
                if transport is not None:
                    self._streams.sending.discard(transport)
                if outcome:
                    self._metrics.request_ended(outcome)

    async def interrupt(self) -> None:
        """Stop what plays, flush what waits, and forget what was still to be sent."""
        started = time.monotonic()
        self._jobs.clear()
        if self._session is not None:
            report = await self._session.interrupt()
            self._metrics.interrupted(report, time.monotonic() - started)

    def later(self, job: Job) -> None:
        """Do something when all that was asked for before is done."""
        if len(self._jobs) >= _MAX_WAITING:
            raise _TooMuchWaitsError
        self._jobs.append(job)
        self._more.set()

    def say(self, message: dict[str, object]) -> None:
        """Send a message when all that was asked for before is done."""
        self.later(lambda: self.send(message))

    async def send(self, message: dict[str, object]) -> None:
        """Send a message now; for a job."""
        with self._patience.writing():
            await self._ws.send_str(json.dumps(message, ensure_ascii=False))

    async def send_audio(self, data: bytes, *, whole: bool = False) -> None:
        """Send audio now, in pieces or in one message; for a job."""
        size = len(data) if whole else PIECE
        for start in range(0, len(data), size or 1):
            with self._patience.writing():
                await self._ws.send_bytes(data[start : start + size])

    async def close(self) -> None:
        """Close the socket now; for a job."""
        await self._ws.close()

    # ------------------------------------------------------------ the connection

    async def serve(self) -> web.StreamResponse:
        """Serve the client until it leaves."""
        await self._ws.prepare(self._request)
        transport = self._request.transport
        if transport is None:
            return self._ws
        hold_little(transport)
        with Patience(transport, self.server_options.write_timeout) as self._patience:
            sending = asyncio.create_task(self._send_all(transport), name=self.id)
            try:
                with self._streams.socket(self._ws):
                    await self.greet()
                    await self._listen()
            finally:
                await to_the_end(self._leave(sending))  # it is cancelled when the client left
        return self._ws

    async def _leave(self, sending: asyncio.Task[None]) -> None:
        sending.cancel()
        await asyncio.wait([sending])
        if self._session is not None:
            await self._session.aclose()
        if not sending.cancelled():
            sending.result()

    async def _listen(self) -> None:
        async for message in self._ws:
            if message.type is not WSMsgType.TEXT:
                await self._ws.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"send text")
                return
            try:
                await self._understand(message.data)
            except _TooMuchWaitsError:
                reason = b"read what you are sent"
                await self._ws.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
                return

    async def _understand(self, text: str) -> None:
        try:
            fields = parse_json(text.encode())
            await self.hear(str(fields.get("type"))[:40], fields)
        except SpeechError as error:
            self.complain(error)

    async def _send_all(self, transport: asyncio.Transport) -> None:
        try:
            while True:
                while self._jobs:
                    await self._jobs.popleft()()
                self._more.clear()
                await self._more.wait()
        except ConnectionError:
            logger.debug("%s left, or reads no more", self.id)
            transport.abort()  # ends `_listen`, if that has not ended already
        except Exception:
            transport.abort()
            raise
