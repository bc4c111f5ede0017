"""POST /v1/speak, and the encodings that it shares with the WebSocket of that name."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live.backend import Segment
from serving import Running, Start

TEXT = "Hello there."
SECONDS = len(TEXT) * CHUNK / 24_000


class ToneBackend(ScriptedBackend):
    """Speaks a tone of 440 Hz."""

    def samples(self, segment: Segment, start: int) -> NDArray[np.int16]:
        time = np.arange(start, start + CHUNK) / 24_000
        return (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)


async def ask(running: Running, query: str, text: Any = TEXT) -> aiohttp.ClientResponse:
    return await running.client.post(f"/v1/speak?{query}", json={"text": text})


def decoded(data: bytes, kind: str | None, rate: int) -> tuple[NDArray[np.int16], int]:
    """What a player hears, and at which rate; `kind` and `rate` of what has no header."""
    options = {} if kind is None else {"sample_rate": str(rate)}
    with av.open(io.BytesIO(data), format=kind, options=options) as container:
        (stream,) = container.streams.audio
        resampler = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
        frames = [part for f in (*container.decode(stream), None) for part in resampler.resample(f)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames]), stream.rate


def check_tone(samples: NDArray[np.int16], rate: int) -> None:
    """Say whether it is the tone, of the right length, not louder and not softer."""
    assert abs(len(samples) / rate - SECONDS) < 0.12  # what codecs pad
    middle = samples[rate // 5 : 4 * rate // 5].astype(float)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(int(spectrum.argmax()) * rate / len(middle) - 440) < 5
    assert abs(np.sqrt(2 * (middle**2).mean()) - 8000) < 800


WAV = "encoding=linear16"
# Query, content type, what reads it where it has no header, rate.
FILES = [
    ("", "audio/mpeg", None, 24_000),
    ("encoding=mp3&bit_rate=32000&sample_rate=48000", "audio/mpeg", None, 48_000),
    ("encoding=aac", "audio/aac", None, 24_000),
    ("encoding=opus&container=ogg&bit_rate=12000", "audio/ogg", None, 48_000),
    ("encoding=flac&sample_rate=16000.0", "audio/flac", None, 16_000),
    (WAV, "audio/wav", None, 24_000),
    (f"{WAV}&container=none&sample_rate=8000", "audio/pcm;rate=8000", "s16le", 8_000),
    ("encoding=mulaw", "audio/wav", None, 8_000),
    ("encoding=alaw&container=wav&sample_rate=16000", "audio/wav", None, 16_000),
    ("encoding=mulaw&container=none", "audio/mulaw;rate=8000", "mulaw", 8_000),
    ("encoding=ALAW&container=none&sample_rate=8000", "audio/alaw;rate=8000", "alaw", 8_000),
]


@pytest.mark.parametrize(("query", "content_type", "kind", "rate"), FILES)
async def test_a_post_answers_with_the_encoding_that_was_asked_for(
    start: Start, query: str, content_type: str, kind: str | None, rate: int
) -> None:
    running = await start(ToneBackend())
    async with await ask(running, query) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, content_type)
        samples, found = decoded(await response.read(), kind, rate)
    assert found == rate
    check_tone(samples, rate)
    await running.until(lambda: running.synthesizer.status.sessions == 0)


@pytest.mark.parametrize(("encoding", "rate"), [("mulaw", 8_000), ("alaw", 16_000)])
async def test_a_websocket_speaks_the_encodings_of_telephones(
    start: Start, encoding: str, rate: int
) -> None:
    running = await start(ToneBackend())
    query = f"encoding={encoding}&sample_rate={rate}"
    async with running.client.ws_connect(f"/v1/speak?{query}") as socket:
        for message in ({"type": "Speak", "text": TEXT}, {"type": "Close"}):
            await socket.send_json(message)
        messages = [message async for message in socket]
    audio = [message.data for message in messages if message.type is aiohttp.WSMsgType.BINARY]
    assert sum(map(len, audio)) == SECONDS * rate  # a byte a sample, none lost on the way
    check_tone(decoded(b"".join(audio), encoding, rate)[0], rate)


async def test_telephone_audio_comes_while_it_is_made(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = asyncio.create_task(ask(running, "encoding=mulaw&container=none"))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit(2)
    async with await asking as response:
        await response.content.readexactly(2 * CHUNK // 3 // 2)
        assert running.backend.running[0].made == 2 * CHUNK
        response.close()
    await running.until(lambda: not running.backend.running)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("encoding=midi", "encoding"),
        ("encoding=mp3&container=wav", "container"),
        ("encoding=opus&container=none", "container"),
        ("encoding=opus&sample_rate=32000", "sample_rate"),
        ("encoding=mulaw&sample_rate=11025", "sample_rate"),
        ("sample_rate=0", "sample_rate"),
        ("sample_rate=-8000", "sample_rate"),
        ("sample_rate=1e400", "sample_rate"),
        ("encoding=linear16&bit_rate=32000", "bit_rate"),
        ("bit_rate=1", "bit_rate"),
        ("bit_rate=999999999", "bit_rate"),
        ("speed=1.2", "speed"),
        ("callback=http://127.0.0.1/", "callback"),
        ("model=aura-2-helena-en", "model"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(
    start: Start, query: str, param: str
) -> None:
    running = await start(strict_voices=True)
    async with await ask(running, query) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, param)
    assert running.backend.started == []


@pytest.mark.parametrize("text", ["", None, 3, "a\0b"])
async def test_a_text_that_is_none_is_refused(start: Start, text: object) -> None:
    running = await start()
    async with await ask(running, "", text) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "text")


async def test_an_unknown_model_is_the_default_voice_and_said_in_a_header(start: Start) -> None:
    running = await start(voice_aliases={"aura-2-zeus-en": "bert"})
    query = f"{WAV}&model="
    for model, warning in (("aura-2-helena-en", "unknown_voice"), ("aura-2-zeus-en", None)):
        async with await ask(running, query + model) as response:
            assert (response.status, response.headers.get("X-Warning")) == (200, warning)
            await response.read()
    assert [voice for voice, _ in running.backend.asked] == ["anna", "bert"]


async def test_without_pyav_a_codec_is_refused_before_anything_is_said(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for method, query in (("POST", "encoding=opus"), ("GET", "encoding=mulaw")):
        body = {"text": TEXT} if method == "POST" else None
        async with running.client.request(method, f"/v1/speak?{query}", json=body) as response:
            error = (await response.json())["error"]
            assert (response.status, error["param"]) == (400, "encoding")
            assert "PyAV" in error["message"]
    async with await ask(running, WAV) as response:
        assert response.status == 200
