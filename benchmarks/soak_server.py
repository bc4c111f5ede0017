"""The server of `soak.py`: a process of its own, which says what it holds when it is asked.

It prints its port, then answers each line that it is sent with one line of JSON, and stops when
there are no more. A line is `gauges`, `settle` (the same, after it has forgotten all that it may) or
`grown` (where the memory was taken that was not there when this was last asked; with `--trace`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from capacity import Silence

from qwen3_tts_live import SessionLimits, open_synthesizer
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Synthesizer
from qwen3_tts_live.text import warm_up
from qwen3_tts_live.voices.cloning import Cloner
from qwen3_tts_live.voices.library import ClonedVoices
from qwen3_tts_live.voices.store import VoiceStore
from qwen3_tts_live.voices.voice import Voice, VoiceRegistry
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions

LINES = 10  # of `grown`


class Loudness:
    """Stands for the encoders of a checkpoint."""

    def encode_speaker(self, samples: np.ndarray) -> np.ndarray:
        """Return 8 numbers."""
        return np.full(8, samples.std(), np.float32)

    def encode_reference(self, samples: np.ndarray) -> np.ndarray:
        """Return 4 frames."""
        return np.zeros((4, 16), np.int64)


class Fake(Silence):
    """Makes silence at once, with voices that come and go."""

    def __init__(self, registry: VoiceRegistry) -> None:
        self._registry = registry

    @property
    def voices(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names."""
        return self._registry.names


@asynccontextmanager
async def opened(engine: str, limits: SessionLimits) -> AsyncIterator[Synthesizer]:
    """Yield what speaks: `fake`, or an engine's address."""
    if engine != "fake":
        async with await open_synthesizer(engine, limits=limits) as synthesizer:
            yield synthesizer
        return
    await asyncio.to_thread(warm_up)  # as `open_synthesizer` does
    with tempfile.TemporaryDirectory() as folder:
        first = Voice(name="first", embedding=np.zeros(8, np.float32))
        registry = VoiceRegistry("base", 8, [first], {"english": 0})
        store = VoiceStore(Path(folder))
        library = ClonedVoices(registry, Cloner(Loudness()), store, kept="first")
        async with LiveSynthesizer(Fake(registry), limits, voices=library) as synthesizer:
            yield synthesizer
        await library.aclose()


class Holdings:
    """What the process holds."""

    def __init__(self, server: Server, synthesizer: Synthesizer) -> None:
        self._server = server
        self._synthesizer = synthesizer
        self._before: tracemalloc.Snapshot | None = None

    async def answer(self, question: str) -> object:
        """Return the answer to a line."""
        if question == "grown":
            return self._grown()
        if question == "settle":
            # The server forgets the silent when somebody new comes.
            session = await self._synthesizer.open_session(session_id="settle")
            await session.aclose()
            gc.collect()
        return self._gauges()

    def _gauges(self) -> dict[str, int]:
        status = self._synthesizer.status
        runner = self._server._runner
        assert runner is not None and runner.server is not None
        return {
            "tasks": len(asyncio.all_tasks()),
            "objects": len(gc.get_objects()),
            "connections": len(runner.server.connections),
            "streams": self._server.streams._open,
            "sessions": status.sessions,
            "utterances": status.active + status.queued,
        }

    def _grown(self) -> list[str]:
        if not tracemalloc.is_tracing():
            return []
        gc.collect()
        now = tracemalloc.take_snapshot()
        before, self._before = self._before, now
        if before is None:
            return []
        return [str(line) for line in now.compare_to(before, "traceback")[:LINES]]


async def serve(engine: str, idle: float) -> None:
    """Serve until standard input ends; forget soon who is silent, to tell that from a leak."""
    limits = SessionLimits(max_sessions=4096, max_utterances=4096, max_text=2000, idle_timeout=idle)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    options = ServerOptions(
        host="127.0.0.1",
        port=0,
        max_text=limits.max_text,
        keepalive_timeout=idle,
        write_timeout=20.0,
        read_timeout=5.0,
        drain_timeout=1.0,
    )
    async with opened(engine, limits) as synthesizer:
        server = Server(options)
        print(await server.start(), flush=True)
        server.open(synthesizer)
        holdings = Holdings(server, synthesizer)
        while line := (await reader.readline()).decode().strip():
            print(json.dumps(await holdings.answer(line)), flush=True)
        await server.stop()


def main() -> int:
    """Run from `soak.py`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("--idle", type=float, default=2.0)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    if options.trace:
        tracemalloc.start(8)
    asyncio.run(serve(options.engine, options.idle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
