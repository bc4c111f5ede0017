"""The Pipecat service on every kind of engine: it speaks, is interrupted, and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psutil
import pytest
from pipecat.frames.frames import (
    InterruptionFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.metrics.metrics import TTFAMetricsData

from fakes import ScriptedBackend
from pipecat_call import calling, spaced, turn
from pipecat_qwen3_tts import Qwen3TTSService
from qwen3_tts_live.session import LiveSynthesizer
from serving import serving

LONG = "This is a sentence of a long speech. " * 20


@asynccontextmanager
async def preview(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    yield "preview:"


@asynccontextmanager
async def qwen(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    folder = request.getfixturevalue("checkpoint_at")(model_type="custom_voice", ends=True)
    yield f"qwen:{folder}"


@asynccontextmanager
async def server(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    synthesizer = LiveSynthesizer(ScriptedBackend())
    async with synthesizer, serving(synthesizer) as address:
        yield address
        assert synthesizer.status.active == synthesizer.status.queued == 0


ENGINES: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[str]]] = {
    "preview": preview,
    "qwen": qwen,
    "ws": server,
}


@pytest.mark.parametrize("kind", ENGINES)
async def test_it_speaks_is_interrupted_and_leaves_nothing_behind(
    kind: str, request: pytest.FixtureRequest
) -> None:
    children = set(psutil.Process().children())
    async with ENGINES[kind](request) as address:
        tasks = asyncio.all_tasks()
        service = Qwen3TTSService(engine=address)
        async with calling(service) as call:
            await call.send(*turn("Hello ", "there."))
            await call.heard(TTSStoppedFrame)
            assert " ".join(call.words()) == "Hello there."

            heard = len(call.all(TTSAudioRawFrame))
            await call.send(*turn(*spaced(LONG)))
            await call.heard(TTSAudioRawFrame, heard + 2)
            old = call.all(TTSAudioRawFrame)[-1].context_id
            await call.send(InterruptionFrame())
            since = call.down.index(await call.heard(InterruptionFrame))

            await call.send(*turn("I stopped."))
            await call.heard(TTSStoppedFrame, 2)
            assert " ".join(call.words(since)) == "I stopped."
            rest = [getattr(frame, "context_id", None) for frame in call.down[since:]]
            assert old not in rest
            found = [data for frame in call.all(MetricsFrame) for data in frame.data]
            if kind == "preview":  # the others' voices are not audible
                assert any(isinstance(data, TTFAMetricsData) for data in found)
        assert not call.up
        # A server's connections close a moment later, and their tasks are the server's.
        await call.until(lambda: kind == "ws" or asyncio.all_tasks() <= tasks)
    await call.until(lambda: set(psutil.Process().children()) <= children)
