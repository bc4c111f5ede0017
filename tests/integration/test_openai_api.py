"""POST /v1/audio/speech and its neighbours, as bytes on the wire."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import aiohttp
import av
import numpy as np
import pytest

from fakes import CHUNK, ScriptedBackend, voice_of
from qwen3_tts_live import SessionLimits
from qwen3_tts_server.audio_formats import FORMATS, encoder_for
from serving import Running, Start

TYPES = {
    "pcm": "audio/pcm;rate=24000",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
}
ENDLESS = b"\xff\xff\xff\xff"


async def ask(running: Running, text: str, **fields: Any) -> aiohttp.ClientResponse:
    return await running.client.post("/v1/audio/speech", json={"input": text} | fields)


def decoded(data: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What a player would hear, at 24 kHz."""
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=24_000)
        frames = [
            part
            for frame in (*container.decode(audio=0), None)
            for part in resampler.resample(frame)
        ]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def tone(seconds: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    time = np.arange(int(seconds * 24_000)) / 24_000
    return (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)


# ------------------------------------------------------------------ formats


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_streams_from_the_first_chunks_and_decodes_to_the_same_sound(name: str) -> None:
    encoder, sound = encoder_for(name), tone(2.0)
    pieces = [encoder.encode(sound[at : at + CHUNK]) for at in range(0, len(sound), CHUNK)]
    pieces.append(encoder.finish())
    encoder.close()
    # The headers, and audio behind them, within 240 ms; then never much at once.
    assert len(b"".join(pieces[:3])) > 400
    assert max(len(piece) for piece in pieces) < 4 * np.mean([len(piece) for piece in pieces])
    data = b"".join(pieces)
    heard = np.frombuffer(data, "<i2") if name == "pcm" else decoded(data)
    assert abs(len(heard) - len(sound)) < 0.1 * 24_000
    spectrum = np.abs(np.fft.rfft(heard[12_000:36_000].astype(float)))
    assert abs(int(spectrum.argmax()) - 440) <= 1


@pytest.mark.parametrize("name", FORMATS)
async def test_the_content_type_says_what_comes(start: Start, name: str) -> None:
    running = await start()
    async with await ask(running, "Hello there.", response_format=name) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, TYPES[name])
        body = await response.read()
    samples = np.frombuffer(body, "<i2") if name == "pcm" else decoded(body)
    assert abs(len(samples) - 12 * CHUNK) < 2 * CHUNK


async def test_mp3_is_the_default_as_it_is_at_openai(start: Start) -> None:
    running = await start()
    async with await ask(running, "Hello.") as response:
        assert response.headers["Content-Type"] == "audio/mpeg"


async def test_a_wav_leaves_its_sizes_open_and_is_whole(start: Start) -> None:
    running = await start()
    async with await ask(running, "Hello.", response_format="wav") as response:
        body = await response.read()
    assert (body[:4], body[4:8], body[36:40], body[40:44]) == (b"RIFF", ENDLESS, b"data", ENDLESS)
    assert set(np.frombuffer(body[44:], "<i2")) == {voice_of("Hello.")}
    assert len(body) == 44 + len("Hello.") * CHUNK * 2
    async with await ask(running, "🎉", response_format="wav") as response:
        assert len(await response.read()) == 44


async def test_the_first_bytes_come_before_the_last_are_made(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = asyncio.create_task(ask(running, "Hello.", response_format="pcm"))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit()
    async with await asking as response:
        await response.content.readexactly(CHUNK * 2)
        assert running.backend.running[0].made == CHUNK
        running.backend.permit(9)
        assert len(await response.read()) == 5 * CHUNK * 2


async def events(response: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    lines = [line.decode().strip() async for line in response.content]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line]


async def test_events_carry_the_audio_and_name_its_end(start: Start) -> None:
    running = await start()
    fields = {"response_format": "pcm", "stream_format": "sse"}
    async with await ask(running, "Hello.", **fields) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        *deltas, done = await events(response)
    audio = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert len(audio) == len("Hello.") * CHUNK * 2
    assert done["type"] == "speech.audio.done"
    assert set(done["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}


async def test_events_say_what_failed_in_the_middle(start: Start) -> None:
    running = await start()
    fields = {"response_format": "pcm", "stream_format": "sse"}
    seen: list[bytes] = []
    async with await ask(running, "Fine. Then boom", **fields) as response:
        with pytest.raises(aiohttp.ClientError):
            async for line in response.content:
                seen.append(line)
    last = json.loads(b"".join(seen).strip().split(b"data: ")[-1])
    assert last["type"] == "speech.audio.error"
    assert last["error"]["code"] == "backend_error"


# ------------------------------------------------------------------ whose queue, which voice


async def test_requests_of_nobody_play_at_once_and_leave_no_session(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = [asyncio.create_task(ask(running, "Hi", response_format="pcm")) for _ in range(3)]
    await running.until(lambda: len(running.backend.running) == 3)
    running.backend.permit(9)
    for task in asking:
        async with await task as response:
            assert len(await response.read()) == 2 * CHUNK * 2
    await running.until(lambda: running.synthesizer.status.sessions == 0)


async def test_requests_of_a_user_queue_and_can_be_interrupted(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    fields = {"response_format": "pcm", "user": "u1"}
    asking = [asyncio.create_task(ask(running, text, **fields)) for text in ("one", "two")]
    await running.until(lambda: running.synthesizer.status.queued == 1)
    report = await running.interrupt("u1")
    assert (report["stopped"], report["flushed"]) == (1, 1)
    for task in asking:
        async with await task as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_a_client_that_leaves_stops_the_work(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = asyncio.create_task(ask(running, "Hello there.", response_format="pcm"))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit(2)
    (await asking).close()
    await running.until(lambda: not running.backend.running)
    await running.until(lambda: running.synthesizer.status.sessions == 0)


@pytest.mark.parametrize(
    ("sent", "voice"),
    [
        ("bert", "bert"),
        ("BERT", "bert"),
        ({"id": "bert"}, "bert"),
        ("alloy", "anna"),
        ("nova", "bert"),
        ("my-voice", "anna"),
        (None, "anna"),
    ],
)
async def test_voices_go_by_their_names_aliases_and_openais_names(
    start: Start, sent: object, voice: str
) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend, voice_aliases={"nova": "bert", "My-Voice": "Anna"})
    asking = asyncio.create_task(ask(running, "Hi", voice=sent, response_format="pcm"))
    await running.until(lambda: bool(backend.running))
    assert backend.running[0].segment.voice == voice
    backend.permit(9)
    (await asking).close()


async def test_instructions_and_language_reach_the_voice(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    fields = {"instructions": "Whisper.", "language": "zh", "response_format": "pcm"}
    asking = asyncio.create_task(ask(running, "你好", **fields))
    await running.until(lambda: bool(running.backend.running))
    segment = running.backend.running[0].segment
    assert (segment.instruct, segment.language) == ("Whisper.", "Chinese")
    running.backend.permit(9)
    (await asking).close()


# ------------------------------------------------------------------ errors, lists


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": 3}, "voice"),
        ({"language": "Klingon"}, "language"),
        ({"speed": 1.5}, "speed"),
        ({"speed": True}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"stream_format": "smoke"}, "stream_format"),
    ],
)
async def test_errors_have_openais_shape_and_name_the_field(
    start: Start, fields: dict[str, Any], param: str
) -> None:
    running = await start()
    async with await ask(running, "Hello.", **fields) as response:
        error = (await response.json())["error"]
        assert response.status == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"] and error["code"]


async def test_fields_that_we_do_not_know_are_ignored(start: Start) -> None:
    running = await start()
    fields = {"model": "tts-1-hd", "speed": 1.0, "task_type": "Base", "stream": True, "x": {}}
    async with await ask(running, "Hello.", **fields) as response:
        assert response.status == 200


async def test_what_fails_before_any_audio_is_a_proper_error(start: Start) -> None:
    running = await start()
    for user in ({}, {"user": "u"}):
        async with await ask(running, "boom", response_format="flac", **user) as response:
            error = (await response.json())["error"]
            assert (response.status, error["type"]) == (503, "server_error")


async def test_a_full_queue_says_when_to_come_back(start: Start) -> None:
    running = await start(ScriptedBackend(free=False), SessionLimits(max_queued=1))
    first = asyncio.create_task(ask(running, "one", user="u"))
    await running.until(lambda: bool(running.backend.running))
    async with await ask(running, "two", user="u") as response:
        error = (await response.json())["error"]
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
    first.cancel()
    await asyncio.wait([first])


async def test_models_and_voices_are_listed(start: Start) -> None:
    running = await start()
    async with running.client.get("/v1/models") as response:
        (model,) = (await response.json())["data"]
        assert (model["id"], model["object"]) == ("scripted", "model")
    async with running.client.get("/v1/models/scripted") as response:
        assert await response.json() == model
    async with running.client.get("/v1/models/gpt-9") as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (404, "model_not_found")
    async with running.client.get("/v1/audio/voices") as response:
        assert (await response.json())["voices"] == ["anna", "bert"]
