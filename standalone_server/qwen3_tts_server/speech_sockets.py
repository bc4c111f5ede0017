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
from contextlib import ExitStack

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from qwen3_tts_live.audio import AudioChunk
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
from qwen3_tts_server.access import check_upgrade
from qwen3_tts_server.accounts import Account
from qwen3_tts_server.logs import REQUEST, named
from qwen3_tts_server.problems import parse_json
from qwen3_tts_server.streaming import PIECE, Patience, Shared, hold_little

__all__ = ["SpeechSocket", "Turn"]

logger = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None]]

# Answers that may wait to be sent: a client that asks for more without reading is no client.
_MAX_WAITING = 256


class _TooMuchWaitsError(Exception):
    """The client asks for more and more, and does not read the answers."""


class Turn:
    """An utterance whose text is still to come, and its account.

    Attributes:
        request_id: what the log and errors call it.
    """

    def __init__(self, utterance: Utterance, account: Account) -> None:
        self.utterance = utterance
        self.account = account
        self.request_id = account.request_id

    def push_text(self, text: str) -> None:
        """Add text; see `synthesizer.Utterance`."""
        REQUEST.set(self.request_id)  # until the client's message is done with
        self.utterance.push_text(text)
        self.account.text(text)

    def end_input(self) -> None:
        """Say that no more text comes."""
        self.utterance.end_input()


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
        self._log = shared.log
        self._turns = 0
        self._waiting: set[Account] = set()  # of turns that nothing is sent of yet
        self._jobs: deque[tuple[str, Job]] = deque()  # and whose each is
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

    async def utter(self, options: SessionOptions) -> Turn:
        """Queue an utterance, whose text is still to come.

        Raises:
            SpeechError: there is no room for it, or the options make no sense.
        """
        self._turns += 1
        account = self._log.utterance(self._request, self._turns)
        account.asks(options, self.id)
        REQUEST.set(account.request_id)  # until the client's message is done with
        try:
            self._streams.check_open()
            # Opened again each time: one that was silent for long may have been closed.
            session = await self.open_session(options)
            turn = Turn(session.utter(), account)
        except SpeechError as error:
            account.ended("refused", error.code)
            raise
        self._waiting.add(account)
        return turn

    async def open_session(self, options: SessionOptions) -> Session:
        """Open the client's session, or give it other options.

        Raises:
            SpeechError: there is no room for it, or the options make no sense.
        """
        self._session = await self.synthesizer.open_session(options, session_id=self.id)
        return self._session

    async def events(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Yield what `turn` says, and account for it; for a job.

        Raises:
            SpeechError: it failed.
        """
        transport, account = self._request.transport, turn.account
        self._waiting.discard(account)
        with ExitStack() as held:
            held.enter_context(self._streams.open())
            if transport is not None:
                held.enter_context(self._streams.cuttable(transport))
            try:
                async with turn.utterance as utterance:
                    async for event in utterance:
                        if isinstance(event, AudioChunk):
                            account.handed_out(len(event.samples))
                        elif isinstance(event, Finished):
                            account.finished(event)
                        yield event
            except SpeechError as error:
                account.ended("failed", error.code)
                raise
            finally:
                account.ended("left")  # unless it has ended

    async def interrupt(self) -> None:
        """Stop what plays, flush what waits, and forget what was still to be sent."""
        started = time.monotonic()
        self._jobs.clear()
        self._drop_waiting("interrupted")
        if self._session is not None:
            report = await self._session.interrupt()
            self._metrics.interrupted(report, time.monotonic() - started)

    def _drop_waiting(self, outcome: str) -> None:
        for account in self._waiting:
            account.ended(outcome)
        self._waiting.clear()

    def later(self, job: Job) -> None:
        """Do something when all that was asked for before is done.

        What is logged meanwhile belongs to what is spoken of now.
        """
        if len(self._jobs) >= _MAX_WAITING:
            raise _TooMuchWaitsError
        self._jobs.append((REQUEST.get(), job))
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
        check_upgrade(self._request)
        await self._ws.prepare(self._request)
        transport = self._request.transport
        if transport is None:
            return self._ws
        hold_little(transport)
        with Patience(transport, self.server_options.write_timeout) as self._patience:
            sending = asyncio.create_task(self._send_all(transport), name=self.id)
            try:
                path = self._request.path
                with self._streams.socket(self._ws), self._metrics.connection(path):
                    await self.greet()
                    await self._listen()
            finally:
                await to_the_end(self._leave(sending))  # it is cancelled when the client left
        return self._ws

    async def _leave(self, sending: asyncio.Task[None]) -> None:
        sending.cancel()
        await asyncio.wait([sending])
        self._drop_waiting("left")
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
                with named(REQUEST.get()):
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
                    request_id, job = self._jobs.popleft()
                    with named(request_id):
                        await job()
                self._more.clear()
                await self._more.wait()
        except ConnectionError:
            logger.debug("%s left, or reads no more", self.id)
            transport.abort()  # ends `_listen`, if that has not ended already
        except Exception:
            transport.abort()
            raise
