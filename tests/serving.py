"""Servers in this process, for tests that talk to them over real sockets.

The fixture `start` makes one with a scripted backend; it is in `integration/conftest.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from fakes import ScriptedBackend
from qwen3_tts_live import SessionLimits
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Synthesizer, VoiceLibrary
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions


class Running:
    """A server on a free port, and a client for it."""

    def __init__(
        self,
        backend: ScriptedBackend,
        limits: SessionLimits,
        voices: VoiceLibrary | None = None,
        **flags: Any,
    ) -> None:
        self.backend = backend
        self.options = ServerOptions(host="127.0.0.1", port=0, **flags)
        self.synthesizer = LiveSynthesizer(backend, limits, voices=voices)
        self.server = Server(self.options)

    async def start(self) -> None:
        self.port = await self.server.start()
        self.server.open(self.synthesizer)
        self.client = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        await self.client.close()
        await self.server.stop()
        await self.synthesizer.aclose()

    async def speak(self, text: str, client_id: str = "a", **more: Any) -> aiohttp.ClientResponse:
        body = {"text": text, "client_id": client_id} | more
        return await self.client.post("/tts/stream", json=body)

    async def interrupt(self, client_id: str = "a") -> dict[str, Any]:
        async with self.client.post(f"/tts/interrupt?client_id={client_id}") as response:
            assert response.status == 200
            return dict(await response.json())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the server does on its own; the test's timeout is the limit."""
        while not condition():
            await asyncio.sleep(0.001)


Start = Callable[..., Awaitable[Running]]


@asynccontextmanager
async def serving(synthesizer: Synthesizer, **flags: Any) -> AsyncIterator[str]:
    """Serve `synthesizer`; yield the address that `open_synthesizer` takes."""
    options = ServerOptions(**{"host": "127.0.0.1", "port": 0} | flags)
    server = Server(options)
    port = await server.start()
    server.open(synthesizer)
    try:
        yield f"ws://127.0.0.1:{port}" if port else f"unix:{options.unix}"
    finally:
        await server.stop()
