"""The documented HTTP API over real sockets: streaming, interrupts, limits, bad clients, shutdown."""

from __future__ import annotations

import asyncio
import io
import json
import re

import aiohttp
import pytest
from yarl import URL

from fakes import CHUNK, ScriptedBackend, settle, voice_of
from qwen3_tts_live import SAMPLE_RATE, SessionLimits
from serving import Running, Start


def values(pcm: bytes) -> set[int]:
    assert len(pcm) % 2 == 0
    return {int.from_bytes(pcm[i : i + 2], "little", signed=True) for i in range(0, len(pcm), 2)}


# ------------------------------------------------------------------ speaking


async def test_speech_comes_as_whole_samples_under_the_documented_names(start: Start) -> None:
    running = await start()
    async with await running.speak("Hello.") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "audio/l16;rate=24000"
        assert response.headers["X-Audio-Format"] == "s16le"
        assert response.headers["X-Queue-Position"] == "0"
        assert re.fullmatch("[0-9a-f]{16}", response.headers["X-Request-Id"])
        pcm = await response.read()
    assert len(pcm) == len("Hello.") * CHUNK * 2
    assert values(pcm) == {voice_of("Hello.")}


async def test_the_first_bytes_come_before_the_last_are_made(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = asyncio.create_task(running.speak("Hello."))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit()
    async with await asking as response:
        first = await response.content.readexactly(CHUNK * 2)
        assert values(first) == {voice_of("Hello.")}
        assert running.backend.running[0].made == CHUNK
        running.backend.permit(9)
        assert len(await response.read()) == 5 * CHUNK * 2


async def test_text_with_nothing_to_say_is_an_empty_body(start: Start) -> None:
    running = await start()
    async with await running.speak("🎉 …") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_the_requests_of_a_client_play_one_after_another(start: Start) -> None:
    running = await start()
    texts = ["first", "second one", "third"]
    responses = [await running.speak(text) for text in texts]
    bodies = [await response.read() for response in responses]
    assert [values(body) for body in bodies] == [{voice_of(text)} for text in texts]
    assert running.backend.started == texts


async def test_the_client_id_may_come_in_the_query_or_a_header(start: Start) -> None:
    running = await start()
    post = running.client.post
    async with post("/tts/stream?client_id=query", json={"text": "x"}) as response:
        await response.read()
    headers = {"X-Client-Id": "header"}
    async with post("/tts/stream", json={"text": "x"}, headers=headers) as response:
        await response.read()
    for name in ("query", "header"):
        assert running.synthesizer.get_session(name) is not None
    async with post("/tts/stream?client_id=b", json={"text": "x"}, headers=headers) as response:
        assert response.status == 400


# ------------------------------------------------------------------ interrupting


async def test_an_interrupt_ends_what_plays_and_what_waits(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = asyncio.create_task(running.speak("playing"))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit(2)
    playing = await asking
    heard = await playing.content.readexactly(2 * CHUNK * 2)
    queued = [await running.speak(f"queued {number}") for number in range(3)]
    assert [response.headers["X-Queue-Position"] for response in queued] == ["1", "2", "3"]

    report = await running.interrupt()

    assert running.backend.running == []
    assert report == {
        "status": "interrupted",
        "client_id": "a",
        "queue": "flushed",
        "stopped": 1,
        "flushed": 3,
        "generated_ms": 160,
        "delivered_ms": 160,
    }
    assert values(heard) == {voice_of("playing")}
    assert await playing.read() == b""
    assert [await response.read() for response in queued] == [b""] * 3
    running.backend.free = True
    async with await running.speak("again") as response:
        assert values(await response.read()) == {voice_of("again")}


async def test_an_interrupt_of_an_unknown_or_silent_client_is_idle(start: Start) -> None:
    running = await start()
    assert (await running.interrupt("nobody"))["status"] == "idle"
    await (await running.speak("hi")).read()
    assert (await running.interrupt())["status"] == "idle"
    async with running.client.post("/tts/interrupt", json={"client_id": "a"}) as response:
        assert (await response.json())["client_id"] == "a"


async def test_an_interrupt_touches_no_other_client(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = [asyncio.create_task(running.speak("hello", name)) for name in ("a", "b")]
    await running.until(lambda: len(running.backend.running) == 2)
    await running.interrupt("a")
    running.backend.permit(9)
    mine, theirs = [await task for task in asking]
    assert await mine.read() == b""
    assert len(await theirs.read()) == 5 * CHUNK * 2


async def test_an_interrupted_slow_reader_gets_what_was_sent_and_a_clean_end(start: Start) -> None:
    running = await start()
    reader, writer = await raw_stream(running, "x" * 4000)
    await running.until(lambda: stalled(running))
    (transport,) = running.server.streams.sending
    assert transport.get_write_buffer_size() <= 2 * CHUNK + 8  # one piece and its frame
    report = await running.interrupt("slow")
    assert report["stopped"] == 1
    data = b""
    while not data.endswith(b"\r\n0\r\n\r\n"):
        data += await reader.read(1 << 16)
    frames = data.split(b"\r\n\r\n", 1)[1].count(b"\r\n") // 2 - 1  # without the last, empty one
    assert frames * 80 <= report["delivered_ms"] < report["generated_ms"]
    writer.close()


# ------------------------------------------------------------------ bad clients


BAD = {
    "malformed JSON": (b'{"text": ', "JSON"),
    "not UTF-8": (b'{"text": "\xff"}', "JSON"),
    "not an object": (b'["text"]', "object"),
    "deep nesting": (b"[" * 100_000, "JSON"),
    "no text": (b"{}", "text"),
    "text of a wrong type": (b'{"text": 5}', "text"),
    "empty text": (b'{"text": " \\n"}', "empty"),
    "language of a wrong type": (b'{"text": "x", "language": ["en"]}', "language"),
    "unknown language": (b'{"text": "x", "language": "Klingon"}', "Chinese"),
    "unknown voice": (b'{"text": "x", "voice": "nobody"}', "anna"),
    "client_id of a wrong type": (b'{"text": "x", "client_id": 1}', "client_id"),
    "client_id with spaces": (b'{"text": "x", "client_id": "a b"}', "client_id"),
    "client_id too long": (b'{"text": "x", "client_id": "' + b"a" * 129 + b'"}', "client_id"),
    "NUL": (b'{"text": "a\\u0000b"}', "NUL"),
    "lone surrogate": (b'{"text": "a\\ud800b"}', "surrogate"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_requests_get_a_clear_error_and_harm_nobody(start: Start, name: str) -> None:
    running = await start()
    body, clue = BAD[name]
    headers = {"Content-Type": "application/json"}
    async with running.client.post("/tts/stream", data=body, headers=headers) as response:
        error = (await response.json())["error"]
        assert (response.status, error["retryable"]) == (400, False)
        assert clue in error["message"]
        assert error["request_id"] == response.headers["X-Request-Id"]
    async with await running.speak("fine") as response:
        assert len(await response.read()) == 4 * CHUNK * 2


async def test_text_over_the_limit_is_refused_unread(start: Start) -> None:
    running = await start(limits=SessionLimits(max_text=1000), max_text=1000)
    for size, code in ((1001, "text_too_long"), (10_000_000, "request_entity_too_large")):
        body = io.BytesIO(json.dumps({"text": "x" * size}).encode())
        headers = {"Content-Type": "application/json"}
        async with running.client.post("/tts/stream", data=body, headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == code


async def test_other_content_types_other_sites_and_other_routes_are_refused(start: Start) -> None:
    running = await start()
    post = running.client.post
    async with post("/tts/stream", data='{"text": "x"}') as response:
        assert response.status == 415
    headers = {"Sec-Fetch-Site": "cross-site"}
    async with post("/tts/interrupt?client_id=a", headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "cross_site")
    async with running.client.get("/nowhere") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
    async with running.client.get("/tts/stream") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_limits_refuse_before_any_audio_and_say_when_to_retry(start: Start) -> None:
    limits = SessionLimits(max_queued=2, max_utterances=3, max_sessions=2)
    running = await start(ScriptedBackend(free=False), limits)
    asking = [asyncio.create_task(running.speak("hello")) for _ in range(2)]
    await running.until(lambda: running.synthesizer.status.queued == 1)
    async with await running.speak("too many of mine") as response:
        assert (response.status, int(response.headers["Retry-After"])) == (429, 1)
        assert (await response.json())["error"]["code"] == "queue_full"
    asking.append(asyncio.create_task(running.speak("hello", "b")))
    await running.until(lambda: len(running.backend.running) == 2)
    for name in ("b", "c"):  # too many of all, too many clients
        async with await running.speak("too many of all", name) as response:
            assert (response.status, int(response.headers["Retry-After"])) == (503, 1)
            assert (await response.json())["error"]["retryable"]
    running.backend.free = True
    running.backend.permit(9)
    for task in asking:
        assert len(await (await task).read()) == 5 * CHUNK * 2


# ------------------------------------------------------------------ clients that leave or lag


async def raw_stream(
    running: Running, text: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose answer nobody reads: the reader takes at most 1 KiB from the socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=512)
    body = json.dumps({"text": text, "client_id": "slow"}).encode()
    head = "POST /tts/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


def stalled(running: Running) -> bool:
    """Whether the slow stream has filled every buffer between the backend and its reader."""
    sending = running.server.streams.sending
    session = running.synthesizer.get_session("slow")
    return (
        any(one.get_write_buffer_size() for one in sending)
        and session is not None
        and sum(turn.waiting for turn in session._turns) > 2.9 * SAMPLE_RATE
    )


async def test_a_client_that_leaves_frees_its_work_playing_or_queued(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = [asyncio.create_task(running.speak("hello")) for _ in range(3)]
    await running.until(lambda: running.synthesizer.status.queued == 2)
    (queued, *_) = [task for task in asking if task.done()]
    queued.result().close()
    await running.until(lambda: running.synthesizer.status.queued == 1)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    await running.client.close()
    for task in asking:
        if not task.cancelled():
            task.result().close()
    await running.until(lambda: running.synthesizer.status.active == 0)
    assert running.backend.running == []


async def test_a_slow_reader_is_parked_and_costs_the_others_nothing(start: Start) -> None:
    running = await start()
    _, writer = await raw_stream(running, "x" * 4000)
    await running.until(lambda: stalled(running))
    made = running.backend.running[0].made
    async with await running.speak("I am quick") as response:
        assert len(await response.read()) == len("I am quick") * CHUNK * 2
    assert running.backend.running[0].made - made < 3 * 24_000  # it did not run on meanwhile
    writer.close()
    await running.until(lambda: running.synthesizer.status.active == 0)


async def test_a_client_that_stops_reading_is_cut_off_in_the_end(start: Start) -> None:
    running = await start(write_timeout=0.2)
    _, writer = await raw_stream(running, "x" * 4000)
    await running.until(lambda: running.synthesizer.status.active == 1)
    await running.until(lambda: running.synthesizer.status.active == 0)
    assert running.backend.running == []
    writer.close()


async def test_what_fails_before_any_audio_is_a_proper_error(start: Start) -> None:
    running = await start()
    async with await running.speak("boom") as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "backend_error"


async def test_what_fails_in_the_middle_breaks_the_body_off(start: Start) -> None:
    running = await start()
    async with await running.speak("Fine. Then boom") as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    async with await running.speak("fine") as response:
        assert len(await response.read()) == 4 * CHUNK * 2


# ------------------------------------------------------------------ operating it


async def test_health_readiness_metrics_and_description(start: Start) -> None:
    running = await start()
    await (await running.speak("hello")).read()
    await running.interrupt()
    for path, status in (("/health", "ready"), ("/ready", "ready")):
        async with running.client.get(path) as response:
            assert (response.status, (await response.json())["status"]) == (200, status)
    async with running.client.get("/info") as response:
        info = await response.json()
        assert info["languages"] == ["Auto", "English", "Chinese"]
        assert (info["model"], info["sample_rate"]) == ("scripted", 24_000)
    async with running.client.get("/metrics") as response:
        text = await response.text()
    assert 'tts_requests_total{outcome="completed"} 1.0' in text
    assert "tts_interrupts_total 1.0" in text
    assert "tts_ttfb_seconds_count 1.0" in text
    assert "tts_audio_seconds_total 0.4" in text


@pytest.mark.parametrize(
    ("path", "script", "last"), [("/", "app", "worklet"), ("/docs", "docs", "dom")]
)
async def test_a_page_and_its_parts_are_served_with_a_strict_policy(
    start: Start, path: str, script: str, last: str
) -> None:
    running = await start()
    async with running.client.get(path) as response:
        page = await response.text()
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    parts = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert f"/static/{script}.js" in parts
    asked: set[str] = set()
    while wanted := set(parts) - asked:
        async with running.client.get(part := wanted.pop()) as response:
            assert response.status == 200, part
            asked.add(part)
            parts += re.findall(r'"(/static/[^"]+)"', await response.text())
    assert f"/static/{last}.js" in asked
    for outside in ("nothing.js", "../app.py", "..%2Fapp.py"):
        url = URL(f"http://127.0.0.1:{running.port}/static/{outside}", encoded=True)
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert (await response.json())["error"]["code"] == "not_found"


async def test_a_stopping_server_refuses_new_work_and_lets_the_running_end(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = asyncio.create_task(running.speak("hello"))
    await running.until(lambda: bool(running.backend.running))
    stopping = asyncio.create_task(running.server.stop())
    await settle()
    async with await running.speak("too late", "b") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
    async with running.client.get("/ready") as response:
        assert response.status == 503
    assert not stopping.done()
    running.backend.permit(9)
    assert len(await (await asking).read()) == 5 * CHUNK * 2
    await stopping


async def test_a_stopping_server_cuts_what_outlasts_the_drain_time(start: Start) -> None:
    running = await start(ScriptedBackend(free=False), drain_timeout=0.1)
    asking = asyncio.create_task(running.speak("hello"))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit(2)
    response = await asking
    await running.server.stop()
    with pytest.raises(aiohttp.ClientError):
        await response.read()
    assert running.backend.running == []


@pytest.mark.parametrize("path", ["/tts/ws", "/v1/speak", "/v1/audio/speech/stream"])
async def test_who_opens_no_websocket_where_one_is_is_told_so(start: Start, path: str) -> None:
    running = await start()
    async with running.client.get(path) as response:
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        error = (await response.json())["error"]
    assert error["code"] == "upgrade_required" and "ws://" in error["message"]
