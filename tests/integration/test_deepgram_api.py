"""/v1/speak: its WebSocket message by message, its POST as bytes on the wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import numpy as np
import pytest

from fakes import CHUNK, ScriptedBackend, voice_of
from serving import Running, Start

Frame = bytes | dict[str, Any]


class Client:
    """One side of the socket. Audio is joined until the next message."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind} | fields)

    async def until(self, kind: str) -> list[Frame]:
        """Return what comes up to the message of that type."""
        heard: list[Frame] = []
        while not (heard and isinstance(last := heard[-1], dict) and last["type"] == kind):
            message = await self.socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                if heard and isinstance(heard[-1], bytes):
                    heard[-1] += message.data
                else:
                    heard.append(message.data)
            else:
                assert message.type is aiohttp.WSMsgType.TEXT, message
                heard.append(json.loads(message.data))
        return heard


def kinds(frames: list[Frame]) -> list[str]:
    return ["audio" if isinstance(frame, bytes) else frame["type"] for frame in frames]


async def connect(running: Running, query: str = "") -> Client:
    client = Client(await running.client.ws_connect(f"/v1/speak{query}"))
    await client.until("Metadata")
    return client


async def test_a_flush_is_answered_once_behind_the_last_audio(start: Start) -> None:
    client = await connect(await start())
    for word in ("Hello ", "there. ", "I ", "am. "):
        await client.say("Speak", text=word)
    await client.say("Flush")
    await client.say("Speak", text="Next.")
    await client.say("Flush")
    first, second = await client.until("Flushed"), await client.until("Flushed")
    assert kinds(first) == kinds(second) == ["audio", "Flushed"]
    assert isinstance(second[0], bytes)
    assert set(np.frombuffer(second[0], "<i2")) == {voice_of("Next.")}
    answers = [frames[-1]["sequence_id"] for frames in (first, second)]  # type: ignore[call-overload,index]
    assert answers == [0, 1]


async def test_an_empty_flush_is_answered_too(start: Start) -> None:
    client = await connect(await start())
    for _ in range(3):
        await client.say("Flush")
        assert kinds(await client.until("Flushed")) == ["Flushed"]


async def test_a_sentence_is_spoken_before_its_turn_is_flushed(start: Start) -> None:
    running = await start()
    client = await connect(running)
    await client.say("Speak", text="This is the first sentence. ")
    await client.say("Speak", text="And ")
    assert (await client.socket.receive()).type is aiohttp.WSMsgType.BINARY


async def test_a_clear_stops_the_work_and_no_audio_follows_its_answer(start: Start) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend)
    client = await connect(running)
    await client.say("Speak", text="Hello there, this goes on for a while. ")
    await client.say("Flush")
    await client.say("Speak", text="Never heard. ")
    await client.say("Flush")
    await running.until(lambda: bool(backend.running))
    backend.permit(3)
    assert (await client.socket.receive()).type is aiohttp.WSMsgType.BINARY
    await client.say("Clear")
    cleared = await client.until("Cleared")
    assert "Flushed" not in kinds(cleared)
    assert backend.running == []
    assert backend.started == ["Hello there, this goes on for a while."]
    backend.free = True
    await client.say("Speak", text="Again. ")
    await client.say("Flush")
    audio, _ = await client.until("Flushed")
    assert isinstance(audio, bytes) and set(np.frombuffer(audio, "<i2")) == {voice_of("Again.")}


async def test_a_close_says_what_is_left_and_closes(start: Start) -> None:
    client = await connect(await start())
    await client.say("Speak", text="Bye")
    await client.say("Close")
    heard = b""
    async for message in client.socket:
        assert message.type is aiohttp.WSMsgType.BINARY
        heard += message.data
    assert len(heard) == 3 * CHUNK * 2
    assert client.socket.close_code == 1000


async def test_a_client_that_leaves_stops_the_work(start: Start) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend)
    client = await connect(running)
    await client.say("Speak", text="Hello there. ")
    await client.say("Flush")
    await running.until(lambda: bool(backend.running))
    await client.socket.close()
    await running.until(lambda: not backend.running)
    await running.until(lambda: running.synthesizer.status.sessions == 0)


async def test_a_client_that_does_not_read_wastes_the_sockets_buffers_and_three_seconds(
    start: Start,
) -> None:
    running = await start(write_timeout=60.0)
    client = Client(await running.client.ws_connect("/v1/speak"))
    (metadata,) = await client.until("Metadata")
    assert isinstance(metadata, dict)
    await client.say("Speak", text="x" * 4000 + " ")
    await client.say("Flush")
    await running.until(lambda: bool(running.server.streams.sending))
    (transport,) = running.server.streams.sending
    full = 0
    while full < 50:  # looks in a row
        await asyncio.sleep(0.001)
        full = full + 1 if transport.get_write_buffer_size() else 0
    report = await running.interrupt(metadata["request_id"])
    assert 0 <= report["generated_ms"] - report["delivered_ms"] <= 3000
    assert report["delivered_ms"] < 30_000  # what is in the buffers, of 320 s
    await client.socket.close()


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
async def test_audio_comes_at_the_rate_that_was_asked_for(start: Start, rate: int) -> None:
    client = await connect(await start(), f"?encoding=linear16&sample_rate={rate}")
    await client.say("Speak", text="Hello.")
    await client.say("Flush")
    audio, _ = await client.until("Flushed")
    assert len(audio) == len("Hello.") * CHUNK * 2 * rate // 24_000


async def test_an_unknown_model_gets_the_default_voice_and_a_warning(start: Start) -> None:
    running = await start()
    client = await connect(running, "?model=aura-2-helena-en")
    (warning,) = await client.until("Warning")
    assert isinstance(warning, dict)
    assert warning["warn_msg"] == warning["description"]
    assert "aura-2-helena-en" in warning["description"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("model=aura-2-helena-en", "model"),
        ("encoding=mp3", "encoding"),  # which one POST has
        ("sample_rate=11025", "sample_rate"),
        ("sample_rate=fast", "sample_rate"),
        ("speed=1.2", "speed"),
        ("container=wav", "container"),
    ],
)
async def test_what_cannot_be_had_is_refused_at_the_handshake(
    start: Start, query: str, param: str
) -> None:
    running = await start(strict_voices=True)
    async with running.client.get(f"/v1/speak?{query}") as response:
        assert response.status == 400
        assert (await response.json())["error"]["param"] == param


async def test_a_model_names_the_voice(start: Start) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend, voice_aliases={"aura-2-zeus-en": "bert"}, strict_voices=True)
    client = await connect(running, "?model=aura-2-zeus-en")
    await client.say("Speak", text="Hello.")
    await client.say("Flush")
    await running.until(lambda: bool(backend.running))
    assert backend.running[0].segment.voice == "bert"
    await client.socket.close()


async def test_an_error_is_told_and_the_next_turn_speaks(start: Start) -> None:
    client = await connect(await start(max_text=100))
    await client.say("Speak", text="boom")
    await client.say("Flush")
    frames = await client.until("Flushed")
    error = frames[-2]
    assert isinstance(error, dict) and error["type"] == "Error"
    assert error["description"] == error["err_msg"]
    for broken in ("nonsense", "[]", '{"type": "Speak"}', '{"type": "Speak", "text": 3}'):
        await client.socket.send_str(broken)
        await client.until("Error")
    await client.say("Sing")
    await client.until("Warning")
    await client.say("Speak", text="Fine.")
    await client.say("Flush")
    assert kinds(await client.until("Flushed")) == ["audio", "Flushed"]


async def test_a_client_that_asks_without_reading_is_closed(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    client = await connect(running)
    await client.say("Speak", text="Hello there. ")
    for _ in range(300):
        await client.say("Flush")
    message = await client.socket.receive()
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert client.socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
    await running.until(lambda: not running.backend.running)


async def test_a_stopping_server_lets_a_turn_end_and_says_goodbye(start: Start) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend)
    client, idle = await connect(running), await connect(running)
    await client.say("Speak", text="Hello.")
    await client.say("Flush")
    await running.until(lambda: bool(backend.running))
    stopping = asyncio.create_task(running.server.stop())
    await running.until(lambda: running.server.streams.draining)
    await client.say("Speak", text="Too late.")
    await asyncio.sleep(0.01)
    backend.permit(9)
    assert kinds(await client.until("Flushed")) == ["audio", "Flushed"]
    await client.until("Error")
    for socket in (client.socket, idle.socket):
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
    await stopping
