"""Listeners that take speech as fast as it is played, hundreds of them in one thread.

Knows of the server only what is on the wire. A listener over HTTP keeps a second in hand and leaves
the rest in its socket, as a small device does; one over the WebSocket says twice a second what it has
played. When audio came is what the kernel says (Linux: SO_TIMESTAMPING), so that it matters little how
late this program looks: of what came in several pieces meanwhile, it tells when the last one did.
"""

from __future__ import annotations

import heapq
import json
import selectors
import socket
import struct
import time
from collections.abc import Callable
from itertools import count

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.playout import Playout

__all__ = ["Listener", "play"]

_SO_TIMESTAMPING = 37
_SOFTWARE_RECEIVE = (1 << 3) | (1 << 4)
_TIME = struct.Struct("ll")
_RECEIVE_BUFFER = 32 * 1024  # two thirds of a second
_IN_HAND = 1.0  # seconds that a listener over HTTP has besides
_SESSIONS_A_SOCKET = 16
_REPORT = 0.5  # seconds between two reports of what was played


class Listener(Playout):
    """Plays what comes, in simulation, from the time at which it was asked for."""

    asked = 0.0

    @property
    def first_byte(self) -> float:
        """Seconds from asking to the first audio, as long as nothing was late."""
        return 0.0 if self.started is None else self.started - self.asked


class Load:
    """What is read from, and what is to be done when."""

    def __init__(self, port: int, text: str) -> None:
        self.port = port
        self.text = text
        self.open = 0  # listeners that are not at the end
        self._selector = selectors.DefaultSelector()
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Call `what` at `when`, by the wall clock."""
        heapq.heappush(self._plan, (when, next(self._numbers), what))

    def wait(self, one: socket.socket, what: Callable[[], None]) -> None:
        """Call `what` whenever there is something to read, until `leave`."""
        self._selector.register(one, selectors.EVENT_READ, what)

    def leave(self, one: socket.socket) -> None:
        """Do not wait for it any more."""
        self._selector.unregister(one)

    def run(self) -> None:
        """Go on until every listener is at the end."""
        while self.open:
            pause = self._plan[0][0] - time.time() if self._plan else None
            for key, _ in self._selector.select(None if pause is None else max(0.0, pause)):
                key.data()
            now = time.time()
            while self._plan and self._plan[0][0] <= now:
                heapq.heappop(self._plan)[2]()
        self._selector.close()

    def connect(self) -> socket.socket:
        """Return a connection to the server that tells when data came."""
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER // 2)  # it doubles it
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _SOFTWARE_RECEIVE)
        made.connect(("127.0.0.1", self.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class OverHttp:
    """A listener with a connection of its own."""

    def __init__(self, load: Load, name: str, listener: Listener) -> None:
        self._load = load
        self._name = name
        self._listener = listener
        self._buffer = bytearray()
        self._waiting = False
        self._answered = False

    def begin(self) -> None:
        """Ask for the speech."""
        self._socket = self._load.connect()
        body = json.dumps({"text": self._load.text, "client_id": self._name})
        head = "POST /tts/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._listener.asked = time.time()
        self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        self._socket.setblocking(False)
        self._wait(True)

    def _wait(self, wanted: bool) -> None:
        if wanted and not self._waiting:
            self._load.wait(self._socket, self._read)
        elif self._waiting and not wanted:
            self._load.leave(self._socket)
        self._waiting = wanted

    def _read(self) -> None:
        """Read until there is enough in hand, and come back when there is not."""
        while (found := self._audio()) != 0:
            if found is not None:
                self._listener.came(found, self._at)
            elif not self._receive():
                self._wait(True)
                return
            if self._listener.due > time.time() + _IN_HAND:
                self._wait(False)
                self._load.at(self._listener.due - _IN_HAND, self._read)
                return
        self._wait(False)
        self._socket.close()
        self._load.open -= 1

    def _receive(self) -> bool:
        """Take what has come, a chunk and a bit at most; return False if nothing has."""
        try:
            data, self._at = _receive(self._socket, 4096)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionError(f"{self._name}: the body broke off")
        self._buffer += data
        return True

    def _audio(self) -> int | None:
        """Return the samples of the body's next chunk, 0 at its end; None if it is not all there."""
        if not self._answered:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return None
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(bytes(self._buffer).decode())
            self._buffer, self._answered = rest, True
        size, end, _ = self._buffer.partition(b"\r\n")
        whole = len(size) + int(size, 16) + 4 if end else 0
        if not end or len(self._buffer) < whole:
            return None
        del self._buffer[:whole]
        return int(size, 16) // 2


class OverWebSocket:
    """Sessions that share a connection."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._listeners: dict[int, Listener] = {}
        self._buffer = bytearray()
        self._socket = load.connect()
        key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        key += "Sec-WebSocket-Protocol: qwen3-tts-live.v1\r\n\r\n"
        self._socket.sendall(f"GET /tts/ws HTTP/1.1\r\nHost: localhost\r\n{key}".encode())
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._socket.recv(1)
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(self._buffer.decode())
        self._buffer.clear()
        load.wait(self._socket, self._read)

    def begin(self, number: int, listener: Listener) -> None:
        """Open a session and ask for the speech."""
        self._listeners[number] = listener
        listener.asked = time.time()
        self._send(type="open", request=number, session=number, options={"language": "en"})
        self._send(type="utter", session=number, utterance=number)
        self._send(type="text", utterance=number, text=self._load.text)
        self._send(type="end", utterance=number)
        self._load.at(listener.asked + _REPORT, lambda: self._report(number))

    def _report(self, number: int) -> None:
        if (listener := self._listeners.get(number)) is None:
            return
        now = time.time()
        if listener.started is not None:
            heard = min(listener.samples, int((now - listener.started) * SAMPLE_RATE))
            self._send(type="taken", utterance=number, samples=heard)
        self._load.at(now + _REPORT, lambda: self._report(number))

    def _send(self, **message: object) -> None:
        data = json.dumps(message).encode()
        # A mask of zeros leaves the data as it is.
        head = bytes([0x81, 0x80 | 126]) + len(data).to_bytes(2) + bytes(4)
        self._socket.sendall(head + data)

    def _read(self) -> None:
        data, at = _receive(self._socket, 16 * 1024)
        if not data:
            raise ConnectionError("the server hung up")
        self._buffer += data
        while (frame := self._frame()) is not None:
            binary, body = frame
            if binary:
                number = int.from_bytes(body[:4], "little")
                self._listeners[number].came((len(body) - 8) // 2, at)
            else:
                self._told(json.loads(body))

    def _told(self, message: dict[str, object]) -> None:
        if message["type"] == "error":
            raise ConnectionError(str(message))
        if message["type"] == "done":
            del self._listeners[int(str(message["utterance"]))]
            self._load.open -= 1

    def _frame(self) -> tuple[bool, bytes] | None:
        """Return whether the next frame is binary, and what it holds; None if it is not all there."""
        if len(self._buffer) < 4:
            return None
        start, size = 2, self._buffer[1]
        if size == 126:
            start, size = 4, int.from_bytes(self._buffer[2:4])
        if len(self._buffer) < start + size:
            return None
        binary, body = self._buffer[0] == 0x82, bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return binary, body


def play(port: int, text: str, websockets: int, https: int, ramp: float) -> list[Listener]:
    """Have everybody listen to `text`, to its end; they begin within `ramp` seconds."""
    load = Load(port, text)
    load.open = websockets + https
    listeners = [Listener() for _ in range(load.open)]
    now = time.time()
    sockets = [OverWebSocket(load) for _ in range(0, websockets, _SESSIONS_A_SOCKET)]
    for number, listener in enumerate(listeners[:websockets]):
        one = sockets[number % len(sockets)]
        load.at(
            now + ramp * number / websockets,
            lambda one=one, number=number, listener=listener: one.begin(number, listener),
        )
    for number, listener in enumerate(listeners[websockets:]):
        load.at(now + ramp * number / https, OverHttp(load, f"listener-{number}", listener).begin)
    load.run()
    return listeners


def _receive(one: socket.socket, size: int) -> tuple[bytes, float]:
    """Return data, and when the last of it came, by the wall clock."""
    data, more, _, _ = one.recvmsg(size, 256)
    if not more:
        return data, time.time()
    seconds, nanoseconds = _TIME.unpack_from(more[0][2])
    return data, seconds + nanoseconds / 1e9
