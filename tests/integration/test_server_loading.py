"""What a server says before its engine is there, while it runs, and after it has died."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from fakes import CHUNK, FakeClock, ScriptedBackend
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import EngineMetrics
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.progress import Progress


class Engine:
    """The engine behind a scripted backend, as far as a server sees it."""

    def __init__(self) -> None:
        self.metrics = EngineMetrics(
            steps=7, frames=21, batch=3, step_seconds=0.5, ended={"eos": 4, "loop": 1}
        )


@asynccontextmanager
async def started() -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    server = Server(ServerOptions(host="127.0.0.1", port=0))
    port = await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        yield server, client
    await server.stop()


async def status(client: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with client.get(path) as response:
        return response.status, (await response.json())["status"]


async def metrics(client: aiohttp.ClientSession) -> str:
    async with client.get("/metrics") as response:
        assert response.status == 200
        return await response.text()


async def test_while_the_model_loads_it_lives_but_is_not_ready_and_asks_to_come_back() -> None:
    async with started() as (server, client):
        assert await status(client, "/health") == (200, "loading")
        assert await status(client, "/ready") == (503, "loading")
        assert "tts_engine" not in await metrics(client)
        async with client.get("/") as response:
            assert response.status == 200
        for path in ("/tts/stream", "/tts/interrupt"):
            async with client.post(path, json={"text": "x", "client_id": "a"}) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "5")
                error = (await response.json())["error"]
                assert error["retryable"] and "loading" in error["message"]
        async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
            server.open(synthesizer)
            assert await status(client, "/ready") == (200, "ready")
            async with client.post("/tts/stream", json={"text": "now"}) as response:
                assert len(await response.read()) == 3 * CHUNK * 2


async def test_the_engines_own_counts_are_among_the_metrics() -> None:
    engine = Engine()
    async with (
        started() as (server, client),
        LiveSynthesizer(ScriptedBackend(), engine=lambda: engine.metrics) as synthesizer,
    ):
        server.open(synthesizer)
        text = await metrics(client)
        for line in (
            "tts_engine_steps_total 7.0",
            "tts_engine_frames_total 21.0",
            "tts_engine_step_seconds_total 0.5",
            "tts_engine_batch 3.0",
            "tts_engine_alive 1.0",
            'tts_engine_ended_total{reason="eos"} 4.0',
            'tts_engine_ended_total{reason="loop"} 1.0',
        ):
            assert line in text.splitlines()


async def test_with_a_dead_engine_it_is_not_ready() -> None:
    engine = Engine()
    async with (
        started() as (server, client),
        LiveSynthesizer(ScriptedBackend(), engine=lambda: engine.metrics) as synthesizer,
    ):
        server.open(synthesizer)
        assert await status(client, "/ready") == (200, "ready")
        engine.metrics = replace(engine.metrics, alive=False)
        assert await status(client, "/ready") == (503, "failed")
        assert await status(client, "/health") == (503, "failed")


async def test_with_an_engine_that_stands_still_it_is_not_ready_and_only_a_restart_helps() -> None:
    engine, clock = Engine(), FakeClock()
    engine.metrics = replace(engine.metrics, active=1)
    async with (
        started() as (server, client),
        LiveSynthesizer(ScriptedBackend(), engine=lambda: engine.metrics) as synthesizer,
    ):
        server.open(synthesizer)
        server._progress = Progress(clock=clock)
        assert await status(client, "/health") == (200, "ready")
        clock.now += 30.0
        assert await status(client, "/ready") == (503, "stalled")
        assert await status(client, "/health") == (503, "stalled")
        assert not server.alive()
