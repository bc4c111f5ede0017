from __future__ import annotations

import logging

import pytest

from serving import Start


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
    async with running.client.get("/ready") as response:
        assert response.status == 200
    lines = [record.getMessage() for record in caplog.records if "request=" in record.getMessage()]
    assert [line.split()[:3] for line in lines] == [
        ["POST", "/tts/stream", "200"],
        ["POST", "/tts/interrupt", "200"],
        ["GET", "/nowhere%0Aforged", "404"],
    ]
    assert lines[0].endswith(f"request={number}")
    assert "secret" not in caplog.text and "somebody" not in caplog.text
