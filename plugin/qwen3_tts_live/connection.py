"""One WebSocket to one server, shared by all that an event loop's synthesizers say to it.

Keeps the connection alive, dials again when it breaks, sends without waiting and hands on what
comes. Knows nothing about sessions: whoever speaks over it learns by `generation` that it is a
new connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import aiohttp

from qwen3_tts_live import wire
from qwen3_tts_live.audio import PcmSamples
from qwen3_tts_live.errors import (
    GIVE_A_KEY,
    AuthenticationError,
    BackendError,
    BackendUnavailableError,
    ConnectionLostError,
    OverloadedError,
    SpeechError,
)

__all__ = ["Connection", "Listener", "Settings", "connected"]

logger = logging.getLogger(__name__)

Answer: TypeAlias = wire.Opened | wire.Interrupted | wire.Closed
AnswerT = TypeVar("AnswerT", wire.Opened, wire.Interrupted, wire.Closed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How patient a connection is; all in seconds.

    Attributes:
        dial_timeout: until the server has said hello.
        answer_timeout: until it has answered a request. Interrupting takes it a step of its
            engine, so only a peer that is gone, or stands still, takes longer.
        heartbeat: a silent connection is asked for a sign of life after this time, and given up
            if there is none for half of it. Below some 10 s, a server whose processors are all
            busy loses clients that it could still serve.
        first_delay, longest_delay: between attempts to dial again; each waits twice as long as
            the one before, at random up to half of it less.
    """

    dial_timeout: float = 5.0
    answer_timeout: float = 5.0
    heartbeat: float = 20.0
    first_delay: float = 0.1
    longest_delay: float = 5.0


class Listener(Protocol):
    """Whoever is told what the server says about one utterance."""

    def audio(self, offset: int, samples: PcmSamples) -> None:
        """Take audio."""
        ...

    def mark(self, mark: wire.Mark) -> None:
        """Take a mark."""
        ...

    def done(self, done: wire.Done) -> None:
        """Take the end; nothing follows."""
        ...

    def failed(self, error: SpeechError) -> None:
        """Take the error that ends it; nothing follows."""
        ...


class Connection:
    """The WebSocket; see the module. `connected` makes them.

    Attributes:
        hello: what the server last said that it can do.
        generation: 0 while there is no connection; another number for each new one.
    """

    def __init__(self, address: str, api_key: str | None, settings: Settings) -> None:
        self.hello: wire.Hello
        self.generation = 0
        self.users = 0
        self._address = address
        # By the id a balancer before several servers spreads connections, and not by the address,
        # which all that run on one machine share.
        self._headers = {"X-Client-Id": f"ws-{secrets.token_hex(8)}"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._settings = settings
        self._greeted = False
        self._generations = itertools.count(1)
        self._numbers = itertools.count(1)
        self._listeners: dict[int, Listener] = {}
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._outbox: deque[Callable[[], str | None]] = deque()
        self._something_to_send = asyncio.Event()
        self._attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"connection-{address}")

    # ------------------------------------------------------------ for those who speak

    async def ready(self) -> None:
        """Wait until there is a connection, or the next attempt at one has failed.

        Raises:
            BackendUnavailableError: nobody answers, or not in this protocol.
            OverloadedError: the server answers that it is loading or stopping.
            AuthenticationError: the server wants a key, and not ours.
        """
        await asyncio.shield(self._attempt)

    def new_number(self) -> int:
        """Return a number higher than all before, for a session, an utterance or a request."""
        return next(self._numbers)

    def send(self, message: wire.ClientMessage) -> None:
        """Send a message when the socket takes it; never waits. Without a connection: drop it."""
        self.send_later(message.dump)

    def send_later(self, dump: Callable[[], str | None]) -> None:
        """Send what `dump` says when the socket takes it; None is nothing."""
        if self.generation:
            self._outbox.append(dump)
            self._something_to_send.set()

    async def ask(
        self, message: Callable[[int], wire.ClientMessage], kind: type[AnswerT]
    ) -> AnswerT:
        """Send the message that `message` makes of a request number; return its answer.

        Raises:
            ConnectionLostError: there is no connection, it broke, or no answer came in time.
            SpeechError: what the server answered.
        """
        if not self.generation:
            raise self.lost("not connected")
        number = self.new_number()
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self.send(message(number))
        try:
            async with asyncio.timeout(self._settings.answer_timeout):
                answer = await future
        except TimeoutError as error:
            limit = self._settings.answer_timeout
            raise self.lost(f"no answer within {limit:g} s") from error
        finally:
            del self._asked[number]
        if not isinstance(answer, kind):
            raise BackendError(f"{self._address} answered {answer.type} to {number}")
        return answer

    def listen(self, utterance: int, listener: Listener) -> None:
        """Tell `listener` what comes about an utterance, until it is over or forgotten."""
        if self.generation:
            self._listeners[utterance] = listener
        else:
            listener.failed(self.lost("not connected"))

    def forget(self, utterance: int) -> None:
        """Drop whatever still comes about an utterance."""
        self._listeners.pop(utterance, None)

    def lost(self, reason: str) -> ConnectionLostError:
        """Return the error for a server that cannot be reached at the moment."""
        return ConnectionLostError(
            f"no connection to {self._address}: {reason}; it is being tried again",
            retry_after=self._settings.first_delay,
        )

    @property
    def http_address(self) -> str:
        """Where the server's HTTP routes are, without a slash at the end."""
        unix = self._address.startswith("unix:")
        return "http://localhost" if unix else self._address.rstrip("/").replace("ws", "http", 1)

    def client(self) -> aiohttp.ClientSession:
        """Return a new HTTP client of the server, with the key."""
        path = self._address.removeprefix("unix:")
        unix = path != self._address
        connector = aiohttp.UnixConnector(path) if unix else aiohttp.TCPConnector()
        return aiohttp.ClientSession(connector=connector, headers=self._headers)

    async def aclose(self) -> None:
        """Hang up."""
        self._task.cancel()
        await asyncio.wait([self._task])

    # ------------------------------------------------------------ the connection

    async def _run(self) -> None:
        """Dial, serve, and dial again, until it is cancelled."""
        delay = self._settings.first_delay
        async with self.client() as client:
            while True:
                try:
                    socket = await self._dial(client)
                except SpeechError as error:
                    self._attempt_failed(error)
                    logger.warning("%s; next try in %.1f s at most", error.message, delay)
                else:
                    begun = time.monotonic()
                    await self._serve(socket)
                    logger.warning("lost the connection to %s", self._address)
                    if time.monotonic() - begun > self._settings.longest_delay:
                        delay = self._settings.first_delay
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(2 * delay, self._settings.longest_delay)

    async def _dial(self, client: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(self._settings.dial_timeout):
                socket = await client.ws_connect(
                    self.http_address + wire.PATH,
                    protocols=[wire.SUBPROTOCOL],
                    heartbeat=self._settings.heartbeat,
                    max_msg_size=0,  # a server may say a long thing; it is we who chose it
                )
                try:
                    await self._greet(socket)
                except BaseException:
                    await socket.close()
                    raise
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(self._address, error) from error
        except (aiohttp.ClientError, OSError, TimeoutError, wire.Malformed) as error:
            reason = str(error) or type(error).__name__
            raise BackendUnavailableError(f"{self._address} cannot be reached: {reason}") from error
        return socket

    async def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        if socket.protocol != wire.SUBPROTOCOL:
            raise wire.Malformed(f"it does not speak {wire.SUBPROTOCOL}")
        first = await socket.receive()
        if first.type is not aiohttp.WSMsgType.TEXT:
            raise wire.Malformed("it hung up before it had said hello")
        hello = wire.parse_from_server(first.data)
        if not isinstance(hello, wire.Hello):
            raise wire.Malformed(f"it said {hello.type} before hello")
        self.hello = hello
        self._greeted = True
        self.generation = next(self._generations)
        if not self._attempt.done():
            self._attempt.set_result(None)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        sender = asyncio.create_task(self._send(socket))
        reason = "it broke off"
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    utterance, offset, samples = wire.unpack_audio(message.data)
                    if listener := self._listeners.get(utterance):
                        listener.audio(offset, samples)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._receive(wire.parse_from_server(message.data))
        except wire.Malformed as error:
            reason = f"the server does not keep to the protocol: {error.message}"
        finally:
            self._end(reason)
            sender.cancel()
            await asyncio.wait([sender])
            await socket.close()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with suppress(ConnectionError):  # whoever reads learns of it too, and says so
            while True:
                while self._outbox:
                    if (text := self._outbox.popleft()()) is not None:
                        await socket.send_str(text)
                self._something_to_send.clear()
                await self._something_to_send.wait()

    def _receive(self, message: wire.ServerMessage) -> None:
        match message:
            case wire.Hello():
                self.hello = message
            case wire.Mark():
                if listener := self._listeners.get(message.utterance):
                    listener.mark(message)
            case wire.Done():
                if listener := self._listeners.pop(message.utterance, None):
                    listener.done(message)
            case wire.Error():
                self._failed(message)
            case _:
                future = self._asked.get(message.request)
                if future is not None and not future.done():
                    future.set_result(message)

    def _failed(self, message: wire.Error) -> None:
        listener = None
        if message.utterance is not None:
            listener = self._listeners.pop(message.utterance, None)
        future = None if message.request is None else self._asked.get(message.request)
        if listener is not None:
            listener.failed(wire.raised(message))
        elif future is not None and not future.done():
            future.set_exception(wire.raised(message))
        elif message.utterance is None:
            logger.warning("%s: %s", self._address, message.message)

    def _end(self, reason: str) -> None:
        """Tell everyone that there is no connection any more."""
        self.generation = 0
        self._outbox.clear()
        if self._attempt.done():
            self._attempt = asyncio.get_running_loop().create_future()
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            listener.failed(self.lost(reason))
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(self.lost(reason))

    def _attempt_failed(self, error: SpeechError) -> None:
        # Who had a connection before gets what says so: it may be back in a moment.
        self._attempt.set_exception(self.lost(error.message) if self._greeted else error)
        self._attempt.exception()  # it is no fault if nobody waits for it
        self._attempt = asyncio.get_running_loop().create_future()


def _refusal(address: str, error: aiohttp.WSServerHandshakeError) -> SpeechError:
    """Return what an HTTP status in place of a WebSocket means."""
    if error.status in (401, 403):
        return AuthenticationError(f"{address} refused us ({error.status}): {GIVE_A_KEY}")
    if error.status in (429, 503):
        wait = error.headers.get("Retry-After", "") if error.headers else ""
        return OverloadedError(
            f"{address} has no room or is not ready ({error.status}); try again",
            retry_after=float(wait) if wait.isdigit() else 1.0,
        )
    return BackendUnavailableError(
        f"{address} is no qwen3-tts-live server: it answered {error.status} at {wire.PATH}"
    )


_Key: TypeAlias = tuple[str, str | None, Settings]
# The connections of each event loop; all who name the same server share one.
_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, Connection]]
_shared = weakref.WeakKeyDictionary()


@asynccontextmanager
async def connected(
    address: str, api_key: str | None, settings: Settings
) -> AsyncIterator[Connection]:
    """Yield the event loop's connection to `address`, which is hung up with its last user.

    Raises:
        BackendUnavailableError: nobody answers, or not in this protocol.
        OverloadedError: the server answers that it is loading or stopping.
        AuthenticationError: the server wants a key, and not ours.
    """
    shared = _shared.setdefault(asyncio.get_running_loop(), {})
    key = (address, api_key, settings)
    connection = shared.get(key) or Connection(address, api_key, settings)
    shared[key] = connection
    connection.users += 1
    try:
        await connection.ready()
        yield connection
    finally:
        connection.users -= 1
        if not connection.users:
            del shared[key]
            await connection.aclose()
