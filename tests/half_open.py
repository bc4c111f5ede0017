"""A program that loses a network for good, with clients in the middle of everything.

It runs alone in a network namespace of its own (`unshare --user --map-root-user --net`), so that it
may take the loopback device down: from then on no packet arrives, either way, and nobody is told.
It prints, as JSON, after how many seconds the server had let go of each client, and whether a client
on a Unix socket, which needs no network, has heard all that it asked for.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live import wire
from qwen3_tts_live.client import RemoteSynthesizer
from qwen3_tts_live.connection import Settings
from qwen3_tts_live.errors import ConnectionLostError
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions

#: Seconds that a client may be silent.
LIMIT = 1.5
STAYS = "still here"
_SIOCSIFFLAGS, _UP = 0x8914, 1


def loopback(*, up: bool) -> None:
    """Switch the loopback device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", _UP if up else 0)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


class Scene:
    """A server, and all who use it."""

    def __init__(
        self,
        server: Server,
        synthesizer: LiveSynthesizer,
        backend: ScriptedBackend,
        port: int,
        unix: Path,
    ) -> None:
        self.server = server
        self.synthesizer = synthesizer
        self.backend = backend
        self.address = f"127.0.0.1:{port}"
        self.there = aiohttp.ClientSession(f"http://{self.address}")
        self.here = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(unix)))
        self.asking: list[asyncio.Task[int]] = []
        self.let_go: dict[str, float] = {}

    def speaks(self, text: str) -> bool:
        return any(run.segment.text == text for run in self.backend.running)

    async def fill(self) -> None:
        """Bring a client to every state in which a connection can be."""
        self.stays = asyncio.create_task(self._hear(self.here, "http://localhost", STAYS))
        await until(lambda: self.speaks(STAYS))
        self._ask("silent", "no audio yet")
        await until(lambda: self.speaks("no audio yet"))
        session = self.synthesizer.get_session("silent")
        assert session is not None
        self.silent = session
        self._ask("silent", "queued")
        await until(lambda: self.silent.queued == 2)
        self._ask("playing", "playing")
        await until(lambda: self.speaks("playing"))
        for path in (wire.PATH, "/v1/speak"):
            socket = await self.there.ws_connect(path, protocols=[wire.SUBPROTOCOL])
            await socket.receive()
        await (await self.there.get("/ready")).read()
        ours = Settings(heartbeat=2.0, answer_timeout=2.0)
        self.client = await RemoteSynthesizer.open(f"ws://{self.address}", settings=ours)
        other = Settings(answer_timeout=2.5)  # not the same, so a connection of its own
        self.leaving = await RemoteSynthesizer.open(f"ws://{self.address}", settings=other)
        await self.leaving.open_session()
        self.utterance = (await self.client.open_session()).utter("from our client")
        await until(lambda: self.speaks("from our client"))

    async def lose(self) -> None:
        """Take the network away, and wait until everybody has noticed."""
        runner, began = self.server._runner, time.monotonic()
        assert runner is not None and runner.server is not None
        connections = runner.server
        loopback(up=False)
        for run in self.backend.running:  # who plays is sent something, the others nothing
            if run.segment.text == "playing":
                run.permits.release()
        conditions: dict[str, Callable[[], bool]] = {
            "nothing was sent yet": lambda: not self.speaks("no audio yet"),
            "queued": lambda: self.silent.queued == 0,
            "playing": lambda: not self.speaks("playing"),
            "from our client": lambda: not self.speaks("from our client"),
            "WebSockets of ours": lambda: not self.server._websocket._peers,
            "WebSocket of Deepgram's": lambda: not self.server.streams._sockets,
            "every connection": lambda: len(connections.connections) == 1,
        }

        async def watch(name: str, condition: Callable[[], bool]) -> None:
            await until(condition)
            self.let_go[name] = round(time.monotonic() - began, 2)

        await asyncio.gather(
            self._lost(began), self._hang_up(began), *(watch(*item) for item in conditions.items())
        )

    async def _lost(self, began: float) -> None:
        try:
            async for _ in self.utterance:
                pass
        except ConnectionLostError as error:
            assert error.retryable
            self.let_go["our client's error"] = round(time.monotonic() - began, 2)
        await self.client.aclose()
        self.let_go["our client closed"] = round(time.monotonic() - began, 2)

    async def _hang_up(self, began: float) -> None:
        await self.leaving.aclose()
        self.let_go["our client that hangs up at once"] = round(time.monotonic() - began, 2)

    async def end(self) -> None:
        """Hear the one who stays to the end, and tidy up."""
        self.backend.permit(len(STAYS))
        lost = len(STAYS) * CHUNK * 2 - await self.stays
        self.let_go["lost for the client on the Unix socket"] = lost
        for task in self.asking:
            task.cancel()
        await asyncio.wait(self.asking)
        await self.here.close()
        await self.there.close()

    def _ask(self, client_id: str, text: str) -> None:
        asking = self._hear(self.there, "", text, client_id)
        self.asking.append(asyncio.create_task(asking))

    @staticmethod
    async def _hear(
        http: aiohttp.ClientSession, base: str, text: str, client_id: str = "stays"
    ) -> int:
        body = {"text": text, "client_id": client_id}
        async with http.post(f"{base}/tts/stream", json=body) as response:
            return len(await response.read())


async def lose_the_network(folder: str) -> dict[str, float]:
    loopback(up=True)
    unix = Path(folder) / "socket"
    options = ServerOptions(
        host="127.0.0.1", port=0, unix=unix, write_timeout=LIMIT, keepalive_timeout=LIMIT
    )
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as synthesizer:
        server = Server(options)
        port = await server.start()
        server.open(synthesizer)
        scene = Scene(server, synthesizer, backend, port, unix)
        await scene.fill()
        await scene.lose()
        await scene.end()
        await server.stop()
    return scene.let_go


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(asyncio.run(lose_the_network(folder))))
