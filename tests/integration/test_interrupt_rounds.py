"""The promise that sets this project apart, on the real voice over real HTTP: a hundred times."""

from __future__ import annotations

import asyncio
import gc
import time

import aiohttp
import psutil

from qwen3_tts_live import open_synthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions

LONG = "This sentence is one of very many that nobody will ever hear to the end. " * 100
ROUNDS = 100


async def one_round(client: aiohttp.ClientSession) -> float:
    """One playing and three queued requests, interrupted; return the reply's time in seconds."""
    body = {"text": LONG, "client_id": "a"}
    playing, *queued = [await client.post("/tts/stream", json=body) for _ in range(4)]
    assert await playing.content.readexactly(4800)
    started = time.perf_counter()
    async with client.post("/tts/interrupt?client_id=a") as response:
        report = await response.json()
    took = time.perf_counter() - started
    assert (report["status"], report["stopped"], report["flushed"]) == ("interrupted", 1, 3)
    assert 100 <= report["delivered_ms"] <= report["generated_ms"] < 30_000
    assert [await response.read() for response in queued] == [b""] * 3
    await playing.read()
    return took


async def speaks(client: aiohttp.ClientSession) -> bool:
    body = {"text": "I speak again.", "client_id": "a"}
    async with client.post("/tts/stream", json=body) as response:
        return len(await response.read()) > 24_000


async def test_a_hundred_rounds_of_interrupts_leak_nothing() -> None:
    process = psutil.Process()
    others = process.children()
    async with await open_synthesizer("preview:") as synthesizer:
        server = Server(ServerOptions(host="127.0.0.1", port=0))
        port = await server.start()
        server.open(synthesizer)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:

            def held() -> tuple[int, int, int]:
                gc.collect()
                return len(asyncio.all_tasks()), process.num_fds(), len(process.children())

            for _ in range(10):  # connections, buffers and caches reach their size
                await one_round(client)
            assert await speaks(client)
            before, memory = held(), process.memory_info().rss
            times = [await one_round(client) for _ in range(ROUNDS)]
            assert await speaks(client)
            after = held()
            grown = process.memory_info().rss - memory
        await server.stop()
    # A connection that was cut is replaced a moment later, so one may be on its way either way.
    for had, has in zip(before, after, strict=True):
        assert has <= had + 2
    assert after[2] == before[2]
    assert grown < 20e6
    assert sorted(times)[ROUNDS // 2] < 0.05
    assert process.children() == others
