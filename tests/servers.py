"""Servers that tests share: in this process, on a free port or a Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from qwen3_tts_live.synthesizer import Synthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions


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
