"""OpenAI's SDK and LiveKit's OpenAI plugin, as they are, on our server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator

import av
import numpy as np
import openai
import pytest
from livekit.plugins import openai as livekit_openai

from fakes import CHUNK, voice_of
from serving import Running

TEXT = "Hello there."
SIZE = len(TEXT) * CHUNK * 2


@pytest.fixture
async def client(running: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"http://127.0.0.1:{running.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


async def test_the_sdk_streams_pcm(client: openai.AsyncOpenAI) -> None:
    speaking = client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
    )
    async with speaking as response:
        assert response.headers["content-type"] == "audio/pcm;rate=24000"
        pcm = b"".join([chunk async for chunk in response.iter_bytes()])
    assert set(np.frombuffer(pcm, "<i2")) == {voice_of(TEXT)}
    assert len(pcm) == SIZE


async def test_the_sdk_reads_a_wav_and_events(client: openai.AsyncOpenAI) -> None:
    create = client.audio.speech.create
    wav = await create(model="m", voice="bert", input=TEXT, response_format="wav", speed=1.0)
    with av.open(io.BytesIO(wav.content)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) * 2 == SIZE
    answer = await create(
        model="m", voice="ash", input=TEXT, response_format="pcm", stream_format="sse"
    )
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert (len(audio), events[-1]["type"]) == (SIZE, "speech.audio.done")


async def test_the_sdk_raises_its_own_errors(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.audio.speech.create(model="m", voice="nobody", input=TEXT)
    assert (wrong.value.param, wrong.value.code) == ("voice", "unknown_voice")
    with pytest.raises(openai.InternalServerError) as failed:
        await client.audio.speech.create(model="m", voice="alloy", input="boom")
    assert failed.value.code == "backend_error"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-9")
    assert [model.id async for model in await client.models.list()] == ["scripted"]


async def test_closing_the_sdks_response_stops_the_engine(
    running: Running, client: openai.AsyncOpenAI
) -> None:
    running.backend.free = False
    speaking = client.audio.speech.with_streaming_response.create(
        model="m", voice="alloy", input=TEXT, response_format="pcm"
    )
    asking = asyncio.create_task(speaking.__aenter__())
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit(2)
    await (await asking).close()
    await running.until(lambda: not running.backend.running)
    await speaking.__aexit__(None, None, None)


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])  # it asks for bytes, for events
@pytest.mark.parametrize("response_format", ["pcm", "mp3"])
async def test_livekits_openai_plugin_hears_the_speech(
    running: Running, model: str, response_format: str
) -> None:
    tts = livekit_openai.TTS(
        model=model,
        base_url=f"http://127.0.0.1:{running.port}/v1",
        api_key="none",
        response_format=response_format,
    )
    async with tts.synthesize(TEXT) as stream:
        heard = b"".join([bytes(event.frame.data) async for event in stream])
    await tts.aclose()
    assert abs(len(heard) - SIZE) < 2 * 24_000 // 5
