"""Clients that are gone at every stage of everything: nothing of theirs goes on, nobody else notices."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live import wire
from raw_http import RawHttp, frame, post, upgrade
from serving import Running, Start

STAYS = "still here"
GONE = "gone in a moment"


class Gone(RawHttp):
    """A client that will be gone."""

    def __init__(self, running: Running) -> None:
        super().__init__(running.port)
        self.running = running

    async def speaks(self) -> None:
        await self.running.until(lambda: GONE in self.running.backend.started)


STREAM = post("/tts/stream", text=GONE, client_id="gone")


async def in_the_headers(gone: Gone) -> None:
    await gone.send(STREAM[:40])


async def before_the_body(gone: Gone) -> None:
    await gone.send(STREAM[: STREAM.index(b"{")])


async def in_the_body(gone: Gone) -> None:
    await gone.send(STREAM[:-5])


async def before_the_first_audio(gone: Gone) -> None:
    await gone.send(STREAM)
    await gone.speaks()


async def queued(gone: Gone) -> None:
    await before_the_first_audio(gone)
    reader = await gone.send(STREAM)
    await reader.readuntil(b"X-Queue-Position: 1\r\n")


async def in_the_stream(gone: Gone, request: bytes = STREAM) -> None:
    reader = await gone.send(request)
    await gone.speaks()
    gone.running.backend.permit(2)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(10)


async def in_an_interrupt(gone: Gone) -> None:
    await in_the_stream(gone)
    gone.running.backend.stopping.clear()
    await gone.send(post("/tts/interrupt?client_id=gone"))
    await gone.running.until(lambda: gone.running.synthesizer.status.queued == 0)


async def in_events(gone: Gone) -> None:
    fields = {"input": GONE, "response_format": "pcm", "stream_format": "sse"}
    await in_the_stream(gone, post("/v1/audio/speech", **fields))


async def in_an_encoded_format(gone: Gone) -> None:
    await in_the_stream(gone, post("/v1/audio/speech", input=GONE, response_format="mp3"))


async def in_a_handshake(gone: Gone) -> None:
    await gone.send(upgrade(wire.PATH)[:60])


def behind_the_handshake(path: str) -> Callable[[Gone], Awaitable[None]]:
    async def at(gone: Gone) -> None:
        await gone.send(upgrade(path))

    return at


async def in_a_message(gone: Gone) -> None:
    reader = await gone.send(
        upgrade(wire.PATH) + frame(wire.Open(request=1, session=1).dump())[:-9]
    )
    await reader.readuntil(b"hello")


async def between_parts_of_a_message(gone: Gone) -> None:
    reader = await gone.send(upgrade(wire.PATH) + frame('{"type": "open", ', final=False))
    await reader.readuntil(b"hello")


async def in_a_turn(gone: Gone) -> None:
    said = frame(json.dumps({"type": "Speak", "text": GONE})) + frame('{"type": "Flush"}')
    reader = await gone.send(upgrade("/v1/speak") + said)
    await gone.speaks()
    gone.running.backend.permit(2)
    await reader.readuntil(b"Metadata")


STAGES: dict[str, Callable[[Gone], Awaitable[None]]] = {
    "in the headers": in_the_headers,
    "before the body": before_the_body,
    "in the body": in_the_body,
    "before the first audio": before_the_first_audio,
    "queued": queued,
    "in the stream": in_the_stream,
    "in an interrupt": in_an_interrupt,
    "in events": in_events,
    "in an encoded format": in_an_encoded_format,
    "in a handshake": in_a_handshake,
    "behind a handshake": behind_the_handshake(wire.PATH),
    "behind a handshake of Deepgram's": behind_the_handshake("/v1/speak"),
    "behind a handshake of vLLM-Omni's": behind_the_handshake("/v1/audio/speech/stream"),
    "in a message": in_a_message,
    "between parts of a message": between_parts_of_a_message,
    "in a turn": in_a_turn,
}


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_that_is_gone_at_any_stage_costs_nobody_anything(
    start: Start, caplog: pytest.LogCaptureFixture, stage: str, how: str
) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend)
    stays = asyncio.create_task(running.speak(STAYS, "stays"))
    await running.until(lambda: STAYS in backend.started)
    gone = Gone(running)
    await STAGES[stage](gone)
    runner = running.server._runner
    assert runner is not None and runner.server is not None
    server = runner.server
    await running.until(lambda: len(server.connections) == 1 + len(gone.connections))
    gone.leave(reset=how == "resets")
    backend.stopping.set()
    await running.until(lambda: [run.segment.text for run in backend.running] == [STAYS])
    await running.until(lambda: len(server.connections) == 1)
    await running.until(lambda: running.server.streams._open == 1)
    await running.until(lambda: not running.server.streams._sockets)
    await running.until(lambda: not running.server._websocket._peers)
    assert not [one for one in running.server.streams.sending if one.is_closing()]
    await running.until(lambda: running.synthesizer.status.active == 1)
    assert running.synthesizer.status.queued == 0
    backend.permit(len(STAYS))
    async with await stays as response:
        assert len(await response.read()) == len(STAYS) * CHUNK * 2
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not loud, loud
