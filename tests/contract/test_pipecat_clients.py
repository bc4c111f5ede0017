"""Pipecat's OpenAI and Deepgram services, as they are, on our server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import pytest
from openai import DefaultAsyncHttpxClient
from pipecat.frames.frames import InterruptionFrame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.services.deepgram.tts import DeepgramHttpTTSService, DeepgramTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService

from fakes import voice_of
from pipecat_call import calling, turn
from serving import Running


@asynccontextmanager
async def service(kind: str, port: int) -> AsyncIterator[TTSService]:
    if kind == "deepgram":
        yield DeepgramTTSService(base_url=f"ws://127.0.0.1:{port}", api_key="none")
        return
    if kind == "deepgram by HTTP":
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            yield DeepgramHttpTTSService(base_url=url, api_key="none", aiohttp_session=session)
        return
    async with DefaultAsyncHttpxClient() as http:  # the service closes none that it made itself
        url = f"http://127.0.0.1:{port}/v1"
        yield OpenAITTSService(base_url=url, api_key="none", http_client=http)


@pytest.mark.parametrize("kind", ["openai", "deepgram", "deepgram by HTTP"])
async def test_a_turn_is_spoken_and_an_interruption_stops_the_engine(
    running: Running, kind: str
) -> None:
    backend = running.backend
    async with service(kind, running.port) as tts, calling(tts) as call:
        await call.send(*turn("Hello."))
        await call.heard(TTSStoppedFrame)
        assert voice_of("Hello.") in np.frombuffer(call.audio(), "<i2")

        backend.free = False
        await call.send(*turn("This is a long sentence. "))
        await call.until(lambda: backend.running)
        heard = len(call.all(TTSAudioRawFrame))
        backend.permit(8)
        await call.heard(TTSAudioRawFrame, heard + 1)
        assert backend.running
        await call.send(InterruptionFrame())
        await call.until(lambda: not backend.running)

        backend.free = True
        await call.send(*turn("Yes?"))
        await call.until(lambda: voice_of("Yes?") in np.frombuffer(call.audio(), "<i2"))
    assert not call.up
