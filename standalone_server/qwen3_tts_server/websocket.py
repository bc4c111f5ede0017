"""GET /tts/ws: the WebSocket protocol of `qwen3_tts_live.wire`; docs/protocol.md is its page.

A connection carries many sessions. Each has a task that does what it is told in order, so that an
interrupt, which takes a step of the engine, holds nobody else up. Audio waits for its turn one
frame at a time; everything else is written at once, so nothing is ever stuck behind audio.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, hdrs, web

from qwen3_tts_live import wire
from qwen3_tts_live.errors import OverloadedError
from qwen3_tts_server.access import check_upgrade
from qwen3_tts_server.problems import REQUEST_ID, problem
from qwen3_tts_server.streaming import Patience, Shared, hold_little
from qwen3_tts_server.websocket_session import PeerSession, Speaking, Told

__all__ = ["Peer", "WebSocketApi"]

logger = logging.getLogger(__name__)

# Seconds without a sign of life after which a client is asked for one; it has half of that to
# answer. A client whose processor is busy for some seconds, as agents' are, must not be lost.
_HEARTBEAT = 30.0
# Seconds between looks at what the server can do: voices come and go.
_WATCH_EVERY = 1.0
# Seconds that a client has to take what is on its way to it when the server closes.
_CLOSING = 1.0


class WebSocketApi:
    """The route, and the connections that are open.

    Args:
        shared: what all routes work with.
    """

    def __init__(
        self,
        shared: Shared,
    ) -> None:
        self.synthesizer = shared.synthesizer
        self.options = shared.options
        self.metrics = shared.metrics
        self.log = shared.log
        self.streams = shared.streams
        self.heartbeat = _HEARTBEAT
        self._peers: set[Peer] = set()
        self._held: dict[str, int] = {}  # how many connections have a session open

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Speak with a client until it leaves."""
        check_upgrade(request)
        if self.streams.draining:
            raise OverloadedError("the server is shutting down", retry_after=5.0)
        offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
        if wire.SUBPROTOCOL not in map(str.strip, offered.split(",")):
            # Not asked of aiohttp: it would log what was offered, and a key may be among that.
            message = f"offer the subprotocol {wire.SUBPROTOCOL}; {wire.PATH} speaks nothing else"
            return problem(request, 400, "subprotocol", message)
        hello = self.hello()
        socket = web.WebSocketResponse(
            protocols=[wire.SUBPROTOCOL],
            heartbeat=self.heartbeat,
            timeout=_CLOSING,
            compress=False,
            # The longest message is a text, at most 12 bytes of JSON a character.
            max_msg_size=12 * self.options.max_text + 4096,
        )
        await socket.prepare(request)
        peer = Peer(self, request, socket)
        self._peers.add(peer)
        try:
            with self.metrics.connection(request.path):
                await peer.run(hello)
        except* ConnectionError:
            pass  # it left: there is nobody to tell
        except* Exception:
            logger.exception("the connection failed")
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"the server failed")
        finally:
            self._peers.discard(peer)
        return socket

    async def drain(self) -> None:
        """Close every connection as soon as nothing is spoken on it."""
        await asyncio.gather(*(peer.close_when_quiet() for peer in self._peers))

    async def cut_all(self) -> None:
        """Close every connection now."""
        await asyncio.gather(*(peer.cut() for peer in self._peers))

    # ------------------------------------------------------------ what it can do

    def hello(self) -> wire.Hello:
        """Return what the server can do at the moment."""
        synthesizer = self.synthesizer()
        info, library = synthesizer.info, synthesizer.voices
        return wire.Hello(
            model=info.model,
            sample_rate=info.sample_rate,
            languages=info.languages,
            voices=info.voices,
            added=None if library is None else library.names,
            limits=wire.Limits(max_text=self.options.max_text, max_queued=self.options.max_queued),
        )

    async def watching(self, app: web.Application) -> AsyncIterator[None]:
        """Tell every client what has changed, as long as the application runs."""
        watch = asyncio.create_task(self._watch(), name="watch-voices")
        yield
        watch.cancel()
        await asyncio.wait([watch])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            self.announce()

    def announce(self) -> None:
        """Tell every client what has changed, if anything has."""
        if self._peers:
            hello = self.hello()
            for peer in self._peers:
                peer.start(partial(peer.greet, hello))

    # ------------------------------------------------------------ sessions of all connections

    def hold(self, session_id: str) -> None:
        """Note that one more connection has a session open."""
        self._held[session_id] = self._held.get(session_id, 0) + 1

    async def let_go(self, session_id: str) -> None:
        """Close a session that no connection has open any more, unless it speaks over HTTP."""
        self._held[session_id] -= 1
        if not self._held[session_id]:
            del self._held[session_id]
            session = self.synthesizer().get_session(session_id)
            if session is not None and not session.queued:
                await session.aclose()


class Peer:
    """One connection.

    Args:
        api: the route.
        request: the upgrade.
        socket: is open.
    """

    def __init__(
        self, api: WebSocketApi, request: web.Request, socket: web.WebSocketResponse
    ) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client left")
        self.api = api
        self.request = request
        self._transport = request.transport
        self._socket = socket
        self._sessions: dict[int, PeerSession] = {}
        self._speaking: dict[int, Speaking] = {}  # utterances of which the client may ask more
        self._tasks: set[asyncio.Task[None]] = set()
        self._group = asyncio.TaskGroup()
        self._highest = -1  # number of an utterance
        self._turn = asyncio.Lock()  # whose audio is being written
        self._told: wire.Hello | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._patience = Patience(request.transport, api.options.write_timeout)

    async def run(self, hello: wire.Hello) -> None:
        """Do what the client says until it leaves; nothing of it goes on after that."""
        hold_little(self._transport)
        try:
            with self._patience:
                await self._serve(hello)
        finally:
            self._quiet.set()
            # What has ended by itself is not touched; what was cancelled before it began is.
            for speaking in self._speaking.values():
                speaking.abandon()
            for session in self._sessions.values():
                await session.leave()

    async def _serve(self, hello: wire.Hello) -> None:
        async with self._group:
            try:
                await self.greet(hello)
                async for message in self._socket:
                    await self._receive(message)
            finally:
                for task in self._tasks:
                    task.cancel()

    async def greet(self, hello: wire.Hello) -> None:
        """Say what the server can do, unless that was said."""
        if hello != self._told:
            self._told = hello
            await self.send(hello)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something beside reading; it ends when the client leaves, and is not begun after."""
        quietly = self._quietly(work)
        try:
            task = self._group.create_task(quietly)
        except RuntimeError:  # how a group says that it is over
            quietly.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _quietly(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with suppress(ConnectionError):  # it left, which ends the reading too
            await work()

    # ------------------------------------------------------------ reading

    async def _receive(self, message: WSMessage) -> None:
        if message.type is WSMsgType.ERROR:
            return  # no WebSocket message at all: the socket has been closed for it
        try:
            if message.type is not WSMsgType.TEXT:
                raise wire.Malformed("binary messages come from the server alone")
            await self._take(wire.parse_from_client(message.data))
        except wire.Malformed as error:
            told = wire.error_message(
                error,
                request=error.references.get("request"),
                utterance=error.references.get("utterance"),
                request_id=self.request[REQUEST_ID],
            )
            await self.send(told)

    async def _take(self, message: wire.ClientMessage) -> None:
        if isinstance(message, wire.Taken):
            if speaking := self._speaking.get(message.utterance):
                speaking.client_took(message.samples)
        elif session := self._addressed(message):
            await session.inbox.put(message)

    def _addressed(self, message: Told) -> PeerSession | None:
        """Return the session that a message is for; None if its utterance is over.

        The client cannot know yet that it is.
        """
        match message:
            case wire.Open():
                return self._sessions.get(message.session) or self._new_session(message)
            case wire.Interrupt() | wire.Close():
                return self._session(message.session, request=message.request)
            case wire.Utter():
                session = self._session(message.session, utterance=message.utterance)
                self._queue(session, message.utterance)
                return session
            case wire.Text() | wire.End() | wire.Cancel():
                speaking = self._speaking.get(message.utterance)
                return None if speaking is None else speaking.session

    def _session(self, number: int, **references: int) -> PeerSession:
        if number not in self._sessions:
            raise wire.Malformed(f"session {number} is not open; open it first", references)
        return self._sessions[number]

    def _new_session(self, message: wire.Open) -> PeerSession:
        limit = self.api.options.max_clients
        if len(self._sessions) >= limit:
            references = {"request": message.request}
            raise wire.Malformed(f"a connection may have {limit} sessions", references)
        session = self._sessions[message.session] = PeerSession(self)
        self.start(session.run)
        return session

    def _queue(self, session: PeerSession, number: int) -> None:
        if number <= self._highest:
            raise wire.Malformed(
                f"utterance {number} is not higher than {self._highest}, which came before",
                {"utterance": number},
            )
        self._highest = number
        self._speaking[number] = Speaking(session, number)
        self._quiet.clear()

    # ------------------------------------------------------------ for its sessions

    def speaking(self, number: int) -> Speaking | None:
        """Return an utterance, unless it is over."""
        return self._speaking.get(number)

    def forget_session(self, session: PeerSession) -> None:
        """Take a closed session off the list."""
        self._sessions = {n: one for n, one in self._sessions.items() if one is not session}

    def forget(self, speaking: Speaking) -> None:
        """Take an utterance off the list: nothing of it will be sent, or asked, any more."""
        self._speaking.pop(speaking.number, None)

    def ended(self) -> None:
        """Note that an utterance has ended."""
        if all(speaking.ended for speaking in self._speaking.values()):
            self._quiet.set()

    # ------------------------------------------------------------ writing

    async def send(self, message: wire.ServerMessage) -> None:
        """Write a message at once; wait if the client is behind with reading.

        Raises:
            ConnectionError: the client left, or has read nothing for the write timeout.
        """
        with self._patience.writing():
            await self._socket.send_str(message.dump())

    async def send_in_turn(self, speaking: Speaking, frame: bytes | str, samples: int = 0) -> None:
        """Write audio, or what belongs with it, when earlier audio has left the process.

        Nothing is written if the utterance ends before its turn comes.

        Raises:
            ConnectionError: the client left, or has read nothing for the write timeout.
        """
        async with self._turn:
            if not speaking.ended:
                speaking.sent += samples
                with self._patience.writing():
                    if isinstance(frame, str):
                        await self._socket.send_str(frame)
                    else:
                        await self._socket.send_bytes(frame)
                    await self.request.writer.drain()

    # ------------------------------------------------------------ closing

    async def close_when_quiet(self) -> None:
        """Close it, once nothing is spoken on it."""
        await self._quiet.wait()
        await self.close()

    async def close(self) -> None:
        """Close it; the client may dial another server, or this one again."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server is stopping")

    async def cut(self) -> None:
        """Close it now, although something is spoken and even if the client does not read."""
        try:
            async with asyncio.timeout(_CLOSING):
                await self.close()
        finally:
            self._transport.abort()
