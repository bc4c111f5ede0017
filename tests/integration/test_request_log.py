"""What the log tells of each request, on every route, and what it never tells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from fakes import ScriptedBackend
from observing import Written, writing
from qwen3_tts_live import SessionLimits, wire
from raw_client import RawClient
from routes import HTTP, SOCKETS, Talk
from serving import Start


@pytest.fixture
def log() -> Iterator[Written]:
    with writing("json") as written:
        yield written


async def test_a_request_is_one_line_that_tells_neither_the_text_nor_the_client(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "qwen3_tts_server.request_log")
    running = await start()
    async with await running.speak("A secret.", "somebody") as response:
        await response.read()
        number = response.headers["X-Request-Id"]
    await running.interrupt("somebody")
    async with running.client.get("/nowhere%0Aforged") as response:
        assert response.status == 404
    for often in ("/ready", "/metrics", "/static/app.js"):
        async with running.client.get(often) as response:
            assert response.status == 200
    lines = [record.getMessage() for record in caplog.records if "request=" in record.getMessage()]
    assert [line.split()[:3] for line in lines] == [
        ["POST", "/tts/stream", "200"],
        ["POST", "/tts/interrupt", "200"],
        ["GET", "/nowhere%0Aforged", "404"],
    ]
    assert lines[0].endswith(f"request={number}")
    assert "secret" not in caplog.text and "somebody" not in caplog.text


@pytest.mark.parametrize(("path", "talk"), (HTTP | SOCKETS).items(), ids=list(HTTP | SOCKETS))
async def test_what_is_spoken_on_any_route_has_one_line_with_its_numbers(
    start: Start, log: Written, path: str, talk: Talk
) -> None:
    running = await start()
    name = await talk(running, "hello")
    await running.until(lambda: bool(log.of(name)))
    (line,) = log.of(name)
    assert f"{line['method']} {line['path']}".removeprefix("POST ") == path
    assert (line["level"], line["logger"]) == ("info", "qwen3_tts_server.request_log")
    assert (line["outcome"], line["characters"], line["audio_seconds"]) == ("completed", 5, 0.4)
    assert line["language"] == "Auto" and line["voice"] == ""
    for key in ("seconds", "queue_ms", "ttfb_ms", "ttfa_ms"):
        assert 0 <= line[key] < 60_000
    assert line.get("status") == (200 if path in HTTP else None)
    assert "hello" not in log.stream.getvalue() and "anna" not in log.stream.getvalue()
    assert len(line.get("client", "has no name".ljust(12)[:12])) == 12


@pytest.mark.parametrize(("path", "talk"), (HTTP | SOCKETS).items(), ids=list(HTTP | SOCKETS))
async def test_what_is_said_is_logged_only_when_asked_for(
    start: Start, log: Written, path: str, talk: Talk
) -> None:
    secret = "Call +49 170 1234567, it costs $1,234.50. boom"  # the voice fails at the end of it
    running = await start()
    name = await talk(running, secret)
    await running.until(lambda: len(log.of(name)) > 1)
    assert "1234567" not in log.stream.getvalue() and "costs" not in log.stream.getvalue()
    telling = await start(log_text=True)
    name = await talk(telling, "hello there")
    await telling.until(lambda: any("text" in line for line in log.of(name)))
    assert log.of(name)[-1]["text"] == "hello there"


@pytest.mark.parametrize(("path", "talk"), (HTTP | SOCKETS).items(), ids=list(HTTP | SOCKETS))
async def test_what_the_session_logs_for_a_request_carries_its_id(
    start: Start, log: Written, path: str, talk: Talk
) -> None:
    running = await start()
    name = await talk(running, "Fine. Then boom")
    await running.until(lambda: len(log.of(name)) > 1)
    failed = [line for line in log.objects if line["logger"] == "qwen3_tts_live.session"]
    assert [line["request_id"] for line in failed] == [name]
    assert "ZeroDivisionError" in failed[0]["exception"]
    assert log.of(name)[-1]["outcome"] == "failed"
    assert log.of(name)[-1]["code"] == "backend_error"


async def test_queued_requests_of_a_client_are_made_under_their_own_ids(
    start: Start, log: Written
) -> None:
    running = await start()
    texts = ("boom", "Well. boom", "So. boom")
    names = await asyncio.gather(*(HTTP["/tts/stream"](running, text) for text in texts))
    found = [line for line in log.objects if line["logger"] == "qwen3_tts_live.session"]
    assert sorted(line["request_id"] for line in found) == sorted(names)


async def test_a_well_formed_id_of_the_client_is_kept_and_any_other_is_not(
    start: Start, log: Written
) -> None:
    running = await start()
    for given, kept in (
        ("4bf92f35-77b3.4da6_a3ce:929d", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("two words", False),
        ('"}{"forged":1', False),
    ):
        async with running.client.get("/nowhere", headers={"X-Request-Id": given}) as response:
            answered = response.headers["X-Request-Id"]
            assert (await response.json())["error"]["request_id"] == answered
        assert (answered == given) is kept
        assert [line["path"] for line in log.of(answered)] == ["/nowhere"]


async def test_a_refusal_and_a_client_that_leaves_are_told_with_the_reason(
    start: Start, log: Written
) -> None:
    running = await start(ScriptedBackend(free=False), SessionLimits(max_queued=1))
    speaking = asyncio.create_task(running.speak("hello"))
    await running.until(lambda: bool(running.backend.running))
    async with await running.speak("too much") as response:
        refused = response.headers["X-Request-Id"]
    speaking.cancel()
    await running.until(lambda: any(line.get("outcome") == "left" for line in log.objects))
    (line,) = log.of(refused)
    assert (line["status"], line["outcome"], line["code"]) == (429, "refused", "queue_full")
    async with await running.speak("x", language="Klingon") as response:
        (line,) = log.of(response.headers["X-Request-Id"])
    assert (line["outcome"], line["code"]) == ("refused", "unknown_language")


async def test_an_utterance_and_its_errors_have_an_id_of_their_own(
    start: Start, log: Written
) -> None:
    running = await start(limits=SessionLimits(max_text=20), max_text=20)
    headers = {"X-Request-Id": "line"}
    async with RawClient(f"http://127.0.0.1:{running.port}", headers=headers) as client:
        session = await client.open()
        unknown = await client.utter(session, "x", voice="nobody")
        long = await client.utter(session, "Too long for this.", " Far too long.")
        for utterance, outcome in ((unknown, "refused"), (long, "failed")):
            error = await client.end_of(utterance)
            assert isinstance(error, wire.Error)
            assert error.request_id == f"line-{utterance}"
            line = log.of(error.request_id)[-1]
            assert (line["outcome"], line["code"]) == (outcome, error.code)
        await client.say("nonsense")
        malformed = await client.hear(wire.Error, lambda error: error.utterance is None)
        assert malformed.request_id == "line"
    await running.until(lambda: bool(log.of("line")))
    (line,) = log.of("line")
    assert (line["method"], line["path"]) == ("GET", "/tts/ws")


@pytest.mark.parametrize(("most", "code"), [(0, "capacity"), (9, "backend_error")])
@pytest.mark.parametrize("path", ["/v1/speak", "/v1/audio/speech/stream"])
async def test_errors_on_the_other_sockets_name_the_utterance(
    start: Start, log: Written, path: str, most: int, code: str
) -> None:
    running = await start(limits=SessionLimits(max_utterances=most))
    said: list[dict[str, object]] = {
        "/v1/speak": [{"type": "Speak", "text": "boom"}, {"type": "Flush"}],
        "/v1/audio/speech/stream": [
            {"type": "session.config"},
            {"type": "input.text", "text": "boom"},
            {"type": "input.done"},
        ],
    }[path]
    async with running.client.ws_connect(path, headers={"X-Request-Id": "line"}) as socket:
        for message in said:
            await socket.send_json(message)
        while (answer := await socket.receive_json())["type"].lower() != "error":
            pass
    assert (answer["request_id"], answer["code"]) == ("line-1", code)
    assert log.of("line-1")[-1]["code"] == code


async def test_turns_that_a_clear_or_a_goodbye_takes_back_are_told_too(
    start: Start, log: Written
) -> None:
    running = await start(ScriptedBackend(free=False))
    async with running.client.ws_connect("/v1/speak", headers={"X-Request-Id": "line"}) as socket:
        for text in ("First.", "Second."):
            await socket.send_json({"type": "Speak", "text": text})
            await socket.send_json({"type": "Flush"})
        await running.until(lambda: bool(running.backend.running))
        await socket.send_json({"type": "Clear"})
        while (await socket.receive_json())["type"] != "Cleared":
            pass
        for _ in range(2):
            await socket.send_json({"type": "Speak", "text": "Third."})
            await socket.send_json({"type": "Flush"})
        await running.until(lambda: bool(running.backend.running))
    await running.until(lambda: bool(log.of("line")))
    outcomes = [log.of(f"line-{number}")[-1]["outcome"] for number in (1, 2, 3, 4)]
    assert outcomes == ["interrupted", "interrupted", "left", "left"]
