"""Deepgram's SDK, and LiveKit's Deepgram and Baseten plugins, as they are, on our server."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx
import numpy as np
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.errors import BadRequestError
from livekit.plugins import baseten, deepgram

from fakes import CHUNK, voice_of
from serving import Running

TEXT = "Hello there. "
SIZE = len(TEXT.strip()) * CHUNK * 2


async def said(tts: Any, *turns: str) -> list[bytes]:
    """What is heard of each turn."""
    heard = []
    for turn in turns:
        async with tts.stream() as stream:
            stream.push_text(turn)
            stream.end_input()
            heard.append(b"".join([bytes(event.frame.data) async for event in stream]))
    return heard


async def test_livekits_deepgram_plugin_speaks_turn_after_turn(running: Running) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{running.port}/v1/speak"
        tts = deepgram.TTS(base_url=url, api_key="none", http_session=http)
        heard = await said(tts, TEXT, TEXT)
        assert [len(turn) for turn in heard] == [SIZE, SIZE]
        await tts.aclose()
    await running.until(lambda: running.synthesizer.status.sessions == 0)


async def test_livekits_deepgram_plugin_wastes_little_when_it_is_interrupted(
    running: Running,
) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{running.port}/v1/speak"
        tts = deepgram.TTS(base_url=url, api_key="none", http_session=http)
        async with tts.stream() as stream:
            stream.push_text("x" * 4000 + ". ")
            stream.end_input()
            await anext(stream)
        await tts.aclose()
    await running.until(lambda: not running.backend.running)


async def test_livekits_deepgram_plugin_speaks_one_text_by_http(running: Running) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{running.port}/v1/speak"
        tts = deepgram.TTS(base_url=url, api_key="none", http_session=http)
        async with tts.synthesize(TEXT) as stream:
            heard = b"".join([bytes(event.frame.data) async for event in stream])
        await tts.aclose()
    samples = np.trim_zeros(np.frombuffer(heard, "<i2"), "b")  # the plugin ends with silence
    assert (len(samples) * 2, set(samples)) == (SIZE, {voice_of(TEXT.strip())})


async def test_deepgrams_sdk_speaks_in_the_encoding_of_telephones(running: Running) -> None:
    url = f"http://127.0.0.1:{running.port}"
    here = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    wanted: dict[str, Any] = {"encoding": "mulaw", "container": "none", "sample_rate": 8000}
    async with httpx.AsyncClient() as http:  # the SDK closes none that it made itself
        client = AsyncDeepgramClient(api_key="none", environment=here, httpx_client=http)
        speak = client.speak.v1.audio.generate
        heard = b"".join([part async for part in speak(text=TEXT, **wanted)])
        with pytest.raises(BadRequestError) as refused:
            _ = [part async for part in speak(text=TEXT, encoding="midi")]
    assert len(heard) == SIZE // 6  # a byte a sample, and a third of the samples
    assert refused.value.body["error"]["param"] == "encoding"


async def test_livekits_baseten_plugin_speaks_with_the_times_of_words(running: Running) -> None:
    async with aiohttp.ClientSession() as http:
        tts = baseten.TTS(
            model="qwen3-tts",
            api_key="none",
            model_endpoint=f"ws://127.0.0.1:{running.port}/v1/audio/speech/stream",
            voice="bert",
            word_timestamps=True,
            http_session=http,
        )
        heard = await said(tts, TEXT, TEXT)
        assert [len(turn) for turn in heard] == [SIZE, SIZE]
        await tts.aclose()


async def test_livekits_baseten_plugin_stops_the_engine_when_it_is_interrupted(
    running: Running,
) -> None:
    running.backend.free = False
    async with aiohttp.ClientSession() as http:
        tts = baseten.TTS(
            model="qwen3-tts",
            api_key="none",
            model_endpoint=f"ws://127.0.0.1:{running.port}/v1/audio/speech/stream",
            voice="bert",
            http_session=http,
        )
        stream = tts.stream()
        stream.push_text(TEXT)
        stream.end_input()
        await running.until(lambda: bool(running.backend.running))
        await stream.aclose()
        await running.until(lambda: not running.backend.running)
        await tts.aclose()
    await asyncio.sleep(0)
