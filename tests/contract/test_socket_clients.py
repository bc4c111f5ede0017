"""LiveKit's Deepgram and Baseten plugins, as they are, on our server."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from livekit.plugins import baseten, deepgram

from fakes import CHUNK
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
