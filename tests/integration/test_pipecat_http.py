"""`Qwen3HttpTTSService` against our server over real sockets, and against one that is odd."""

from __future__ import annotations

import asyncio
from itertools import groupby

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.utils.errors import ErrorCategory

from fakes import CHUNK, ScriptedBackend, voice_of
from pipecat_call import calling, turn
from pipecat_qwen3_tts import Qwen3HttpTTSService
from qwen3_tts_live.audio import Resampler
from serving import Running, Start


def service_for(running: Running, **options: object) -> Qwen3HttpTTSService:
    return Qwen3HttpTTSService(base_url=f"http://127.0.0.1:{running.port}", **options)


def voices(audio: bytes) -> list[int]:
    return [int(value) for value, _ in groupby(np.frombuffer(audio, np.int16))]


async def test_turns_are_spoken_sentence_by_sentence(start: Start) -> None:
    running = await start()
    settings = Qwen3HttpTTSService.Settings(voice="bert", language="zh")
    async with calling(service_for(running, settings=settings)) as call:
        await call.send(*turn("Hello. ", "How are you?"), *turn("👍"), *turn("Fine."))
        await call.heard(LLMFullResponseEndFrame, 3)
        assert call.words() == ["Hello.", "How are you?", "👍", "Fine."]
        said = ["Hello.", "How are you?", "Fine."]
        hello, how, silence, fine = voices(call.audio())
        assert [hello, how, fine] == [voice_of(text) for text in said]
        assert silence == 0
        assert len(call.all(TTSStoppedFrame)) == 3
    assert not call.up
    assert set(running.backend.asked) == {("bert", "Chinese")}


async def test_an_interruption_stops_the_server_and_the_next_turn_speaks(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    backend = running.backend
    async with calling(service_for(running)) as call:
        for round_ in range(3):
            await call.send(*turn("This is a long sentence. ", "And one more."))
            await call.until(lambda: backend.running)
            if round_:  # the first round has no audio yet
                heard = len(call.all(TTSAudioRawFrame))
                backend.permit(2)
                await call.heard(TTSAudioRawFrame, heard + 1)
            await call.send(InterruptionFrame())
            last = await call.heard(InterruptionFrame, round_ + 1)
            await call.until(lambda: not backend.running)
        backend.free = True
        await call.send(*turn("Yes?"))
        await call.heard(LLMFullResponseEndFrame)
        rest = b"".join(f.audio for f in call.all(TTSAudioRawFrame, call.down.index(last)))
        assert voices(rest) == [voice_of("Yes?")]
        assert len(rest) == 2 * len("Yes?") * CHUNK
    assert not call.up


async def test_errors_are_what_they_are(start: Start) -> None:
    running = await start()
    wrong = Qwen3HttpTTSService.Settings(voice="nobody")
    service = service_for(running, settings=wrong)
    async with calling(service) as call:
        await call.send(*turn("Hello."))
        await call.heard(LLMFullResponseEndFrame)
        assert [frame.category for frame in call.up] == [ErrorCategory.INVALID_REQUEST]
        assert not service.is_usable
    gone = Qwen3HttpTTSService(base_url="http://127.0.0.1:9")
    async with calling(gone) as call:
        for count in range(1, 5):
            await call.send(*turn("Hello."))
            await call.heard(LLMFullResponseEndFrame, count)
        assert {frame.category for frame in call.up} == {ErrorCategory.CONNECTIVITY}
        assert gone.is_usable


async def test_every_request_names_its_client_where_a_balancer_looks(start: Start) -> None:
    running = await start(ScriptedBackend(free=False))
    named: list[tuple[str, str | None]] = []
    trace = aiohttp.TraceConfig()

    @trace.on_request_start.append
    async def note(_: object, __: object, asked: aiohttp.TraceRequestStartParams) -> None:
        named.append((asked.url.path, asked.headers.get("X-Client-Id")))

    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        calling(service_for(running, aiohttp_session=http)) as call,
    ):
        await call.send(*turn("Hello."))
        await call.until(lambda: running.backend.running)
        (name,) = running.synthesizer._sessions
        await call.send(InterruptionFrame())
        await call.until(lambda: not running.backend.running)
    assert named == [("/tts/stream", name), ("/tts/interrupt", name)]


@pytest.mark.parametrize("rate", [16_000, 24_000])
async def test_samples_stay_whole_however_the_bytes_are_cut(rate: int) -> None:
    made = np.arange(-6_000, 6_000, dtype=np.int16)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        data = made.astype("<i2").tobytes()
        for at in range(0, len(data), 1001):  # odd
            await response.write(data[at : at + 1001])
            await asyncio.sleep(0)
        return response

    app = web.Application()
    app.router.add_post("/tts/stream", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        service = Qwen3HttpTTSService(base_url=f"http://{host}:{port}")
        async with calling(service, sample_rate=rate) as call:
            await call.send(*turn("Hello."))
            await call.heard(LLMFullResponseEndFrame)
    finally:
        await runner.cleanup()
    heard = np.frombuffer(call.audio(), np.int16)
    wanted = made if rate == 24_000 else Resampler(24_000, rate).push(made, last=True)
    assert len(heard) == len(wanted)
    assert np.allclose(heard, wanted, atol=2)
