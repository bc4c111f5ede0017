"""What /metrics counts, on every route, and that documents and dashboards name what is there."""

from __future__ import annotations

import asyncio

import pytest

from fakes import CHUNK, ScriptedBackend
from observing import scrape
from qwen3_tts_live import SessionLimits
from raw_client import RawClient
from routes import HTTP, SOCKETS, Talk
from serving import Start

ROUTES = (HTTP | SOCKETS).items()


@pytest.mark.parametrize(("path", "talk"), ROUTES, ids=[path for path, _ in ROUTES])
async def test_what_is_spoken_on_any_route_feeds_the_same_metrics(
    start: Start, path: str, talk: Talk
) -> None:
    running = await start()
    await talk(running, "Hello, hello.")
    found = await scrape(running)
    assert found['tts_requests_total{outcome="completed"}'] == 1
    assert found["tts_audio_seconds_total"] == pytest.approx(13 * CHUNK / 24_000)
    for name in ("tts_ttfb_seconds", "tts_ttfa_seconds", "tts_queue_wait_seconds", "tts_rtf"):
        assert found[f"{name}_count"] == 1, name
    await talk(running, "Hello, " * 3)
    assert (await scrape(running))["tts_lead_seconds_count"] >= 1


@pytest.mark.parametrize(("path", "talk"), ROUTES, ids=[path for path, _ in ROUTES])
async def test_failures_and_refusals_on_any_route_feed_the_same_metrics(
    start: Start, path: str, talk: Talk
) -> None:
    running = await start()
    await talk(running, "Fine. Then boom")
    found = await scrape(running)
    assert found['tts_requests_total{outcome="failed"}'] == 1
    assert found["tts_audio_seconds_total"] > 0
    assert not [name for name in found if name.startswith("tts_refusals_total")]
    full = await start(limits=SessionLimits(max_utterances=0))
    await talk(full, "hello")
    found = await scrape(full)
    assert found['tts_requests_total{outcome="refused"}'] == 1
    assert found['tts_refusals_total{code="capacity"}'] == 1


async def test_what_never_reaches_a_route_is_refused_by_its_code_and_no_request_for_speech(
    start: Start,
) -> None:
    running = await start(api_keys=("k" * 16,))
    async with await running.speak("hello") as response:
        assert response.status == 401
    async with running.client.post("/tts/stream", data=b"{", headers=_key()) as response:
        assert response.status == 415
    async with running.client.get("/nowhere", headers=_key()) as response:
        assert response.status == 404
    async with running.client.post("/tts/stream", json={}, headers=_key()) as response:
        assert response.status == 400
    async with running.client.get("/metrics", headers=_key()) as response:
        text = await response.text()
    for code in ("unauthorized", "content_type", "not_found", "invalid_request"):
        assert f'tts_refusals_total{{code="{code}"}} 1.0' in text
    assert 'tts_requests_total{outcome="refused"} 1.0' in text


def _key() -> dict[str, str]:
    return {"Authorization": f"Bearer {'k' * 16}"}


@pytest.mark.parametrize("path", ["/tts/ws", "/v1/speak", "/v1/audio/speech/stream"])
async def test_open_sockets_are_counted_by_route(start: Start, path: str) -> None:
    running = await start()
    name = f'tts_websocket_connections{{path="{path}"}}'
    if path == "/tts/ws":
        async with RawClient(f"http://127.0.0.1:{running.port}") as client:
            await client.open()
            assert (await scrape(running))[name] == 1
    else:
        async with running.client.ws_connect(path):
            assert (await scrape(running))[name] == 1
    while (await scrape(running))[name]:
        await asyncio.sleep(0)


async def test_it_tells_what_runs_in_what_state_and_how_late_its_loop_is(start: Start) -> None:
    running = await start()
    while not (found := await scrape(running))["tts_event_loop_lag_seconds_count"]:
        pass
    (build,) = (name for name in found if name.startswith("tts_build_info"))
    assert 'model="scripted"' in build and 'version="' in build
    states = {name: value for name, value in found.items() if name.startswith("tts_state")}
    assert len(states) == 5 and [name for name in states if states[name]] == [
        'tts_state{tts_state="ready"}'
    ]
    assert found["process_resident_memory_bytes"] > 1e6
    running.server.streams.draining = True
    assert (await scrape(running))['tts_state{tts_state="draining"}'] == 1


async def test_an_interrupt_on_any_kind_of_route_is_timed(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asked = asyncio.create_task(running.speak("hello"))
    await running.until(lambda: bool(running.backend.running))
    await running.interrupt()
    await (await asked).read()
    async with running.client.ws_connect("/v1/speak") as socket:
        await socket.send_json({"type": "Speak", "text": "hello. "})
        await running.until(lambda: bool(running.backend.running))
        await socket.send_json({"type": "Clear"})
        while (await socket.receive_json())["type"] != "Cleared":
            pass
    async with RawClient(f"http://127.0.0.1:{running.port}") as client:
        session = await client.open()
        await client.utter(session, "hello")
        await running.until(lambda: bool(running.backend.running))
        await client.interrupt(session)
    found = await scrape(running)
    assert found["tts_interrupt_seconds_count"] == found["tts_interrupts_total"] == 3
    assert found['tts_requests_total{outcome="interrupted"}'] == 3
