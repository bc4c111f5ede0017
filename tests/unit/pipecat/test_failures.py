"""What fails: reported once and as what it is; said again where that helps; never the end of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from pipecat.frames.frames import EndFrame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.utils.errors import ErrorCategory

from fakes import CHUNK, ScriptedBackend, settle
from pipecat_call import Call, calling, spaced, turn
from pipecat_qwen3_tts import Qwen3TTSService
from qwen3_tts_live import SessionLimits
from qwen3_tts_live.backend import BackendEvent, Pcm, Segment, Word
from qwen3_tts_live.errors import BackendCrashedError, CapacityError, SpeechError
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Session

REPLY = "One two three. Four five six, seven eight. Nine ten."


class Failing(ScriptedBackend):
    """Says where its words are, and fails at the words it was told, once each."""

    def __init__(self, **failures: SpeechError | ZeroDivisionError) -> None:
        super().__init__()
        self.failures: dict[str, Exception] = dict(failures)
        self.said: list[str] = []

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        at = 0
        for word in segment.text.split(" "):
            end = at + len(word)
            if failure := self.failures.pop(word.strip(".,"), None):
                raise failure
            yield Word(at, end, at * CHUNK, end * CHUNK)
            yield Pcm(np.full((len(word) + 1) * CHUNK, 1000, np.int16))
            self.said.append(word)
            at = end + 1


def categories(call: Call) -> list[ErrorCategory | None]:
    return [getattr(frame, "category", None) for frame in call.up]


def speaking(engine: LiveSynthesizer) -> Qwen3TTSService:
    return Qwen3TTSService(engine=engine, max_lead=600.0)


async def speak(backend: Failing, *, then: str = "And on.") -> Call:
    """Say the reply, which fails as the backend was told, and something after it."""
    async with LiveSynthesizer(backend) as engine:
        service = speaking(engine)
        async with calling(service) as call:
            await call.send(*turn(*spaced(REPLY)))
            await call.heard(TTSStoppedFrame)
            await call.send(*turn(then))
            await call.heard(TTSStoppedFrame, 2)
            assert service.is_usable
    assert backend.said[-2:] == then.split()
    return call


async def test_a_crash_costs_no_word_and_no_word_twice() -> None:
    backend = Failing(five=BackendCrashedError("it died"))
    call = await speak(backend)
    assert backend.said[:-2] == REPLY.split()
    assert " ".join(call.words()) == f"{REPLY} And on."
    assert categories(call) == [ErrorCategory.SERVER]


async def test_overload_is_waited_out() -> None:
    backend = Failing(One=CapacityError("full", retry_after=0.05), Nine=CapacityError("full again"))
    call = await speak(backend)
    assert " ".join(call.words()) == f"{REPLY} And on."
    assert categories(call) == [ErrorCategory.RATE_LIMIT] * 2


async def test_what_no_second_try_can_help_costs_the_turn_and_not_the_call() -> None:
    call = await speak(Failing(Four=ZeroDivisionError("a bug")))
    assert categories(call) == [ErrorCategory.SERVER]
    assert len({frame.context_id for frame in call.all(TTSAudioRawFrame)}) == 2


class Down(ScriptedBackend):
    """Fails until it is told to work."""

    down = True

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        if self.down:
            raise BackendCrashedError("down", retry_after=0.01)
        async for event in super().synthesize(segment):
            yield event


async def test_an_engine_that_stays_down_costs_the_turns_and_not_the_service() -> None:
    backend = Down()
    async with LiveSynthesizer(backend) as engine:
        service = speaking(engine)
        async with calling(service) as call:
            for count in range(1, 5):
                await call.send(*turn("Hello."))
                await call.heard(TTSStoppedFrame, count)
            assert service.is_usable
            backend.down = False
            await call.send(*turn("Back again."))
            await call.heard(TTSStoppedFrame, 5)
        assert backend.started == ["Back again."]
        assert set(categories(call)) == {ErrorCategory.SERVER}


async def test_an_unknown_voice_is_permanent() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as engine:
        settings = Qwen3TTSService.Settings(voice="nobody")
        service = Qwen3TTSService(engine=engine, settings=settings)
        async with calling(service) as call:
            await call.until(lambda: call.up)
            assert not service.is_usable
            await call.send(*turn("Hello."))
        assert categories(call) == [ErrorCategory.INVALID_REQUEST]


async def test_a_text_that_is_too_long_costs_that_text_alone() -> None:
    limits = SessionLimits(max_text=20)
    async with LiveSynthesizer(ScriptedBackend(), limits) as engine:
        service = speaking(engine)
        async with calling(service) as call:
            await call.send(*turn("This is more than twenty characters."), *turn("Short."))
            await call.heard(TTSStoppedFrame, 2)
            assert service.is_usable
        assert categories(call) == [ErrorCategory.APPLICATION]
        assert "Short." in call.words()


async def test_a_session_that_was_closed_while_idle_is_opened_again() -> None:
    async with LiveSynthesizer(ScriptedBackend(), SessionLimits(idle_timeout=0.0)) as engine:
        async with calling(speaking(engine)) as call:
            for count in range(1, 3):
                await call.send(*turn("Hello."))
                await call.heard(TTSStoppedFrame, count)
                await call.until(lambda: not engine.status.active)
                assert engine.evict_idle() == 1
        assert len(call.audio()) == 2 * 2 * len("Hello.") * CHUNK
        assert not call.up


async def test_an_engine_that_cannot_be_opened_is_reported_when_the_call_begins() -> None:
    for address, category in {
        "gramophone:": ErrorCategory.INVALID_REQUEST,
        "ws://127.0.0.1:9": ErrorCategory.CONNECTIVITY,
    }.items():
        async with calling(Qwen3TTSService(engine=address)) as call:
            await call.until(lambda: call.up)
        assert categories(call) == [category]


class Loading(LiveSynthesizer):
    """Opens no session before it is told that it is loaded."""

    def __init__(self, backend: ScriptedBackend) -> None:
        super().__init__(backend)
        self.asked, self.is_loaded = asyncio.Event(), asyncio.Event()

    async def open_session(self, *args: Any, **options: Any) -> Session:
        self.asked.set()
        await self.is_loaded.wait()
        return await super().open_session(*args, **options)


async def test_what_the_llm_says_while_the_engine_loads_waits_for_it() -> None:
    async with Loading(ScriptedBackend()) as engine:
        call = Call(speaking(engine))
        running = asyncio.create_task(call.run())
        await call.send(*turn("Hello."), EndFrame())
        await engine.asked.wait()
        await settle()
        assert not call.down and not call.up
        engine.is_loaded.set()
        await running
        assert len(call.audio()) == 2 * len("Hello.") * CHUNK
        assert not call.up
