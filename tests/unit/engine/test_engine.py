"""The engine's thread and its asyncio face, with a runner that the test holds by the hand."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import numpy as np
import pytest

from fake_runner import FRAME, FakeRunner, prompt, value
from qwen3_tts_live.engine.engine import Engine, EngineSpeech
from qwen3_tts_live.engine.guards import GuardLimits
from qwen3_tts_live.errors import BackendCrashedError, BackendUnavailableError, ClosedError
from qwen3_tts_live.model.contract import Sampling


@asynccontextmanager
async def opened(runner: FakeRunner) -> AsyncIterator[Engine]:
    engine = await Engine.open(lambda: runner)
    try:
        yield engine
    finally:
        await engine.aclose()


class Gate:
    """Lets the engine's thread decode one frame a permit."""

    def __init__(self, runner: FakeRunner) -> None:
        self.permits = threading.Semaphore(0)
        self.waiting = threading.Semaphore(0)  # released each time the thread stands at the gate
        runner.before_decode = self._wait

    def _wait(self) -> None:
        self.waiting.release()
        self.permits.acquire()

    async def until_waiting(self) -> None:
        await asyncio.to_thread(self.waiting.acquire)

    def open(self) -> None:
        self.permits.release(1_000_000)


async def heard(speech: EngineSpeech) -> list[int]:
    chunks = [chunk async for chunk in speech.audio()]
    return list(np.concatenate(chunks)[::FRAME]) if chunks else []


def say(engine: Engine, voice: int, tokens: int, **options: object) -> EngineSpeech:
    complete = options.pop("complete", True)
    return engine.submit(prompt(voice, tokens, complete=complete), Sampling(), **options)


def frames(voice: int, count: int) -> list[int]:
    return [value(voice, n) for n in range(count)]


async def test_speeches_of_several_tasks_come_out_whole_and_in_order() -> None:
    async with opened(FakeRunner(slots=3)) as engine:
        speeches = [say(engine, voice, voice * 3) for voice in range(1, 9)]
        results = await asyncio.gather(*(heard(speech) for speech in speeches))
        assert results == [frames(voice, voice * 3) for voice in range(1, 9)]
        assert {speech.reason for speech in speeches} == {"eos"}


async def test_the_runner_is_made_and_used_on_one_thread_that_is_not_the_loops() -> None:
    seen: set[int] = set()
    runner = FakeRunner()
    runner.before_decode = lambda: seen.add(threading.get_ident())

    def make() -> FakeRunner:
        seen.add(threading.get_ident())
        return runner

    engine = await Engine.open(make)
    await heard(say(engine, 1, 3))
    await engine.aclose()
    assert len(seen) == 1 and threading.get_ident() not in seen


async def test_what_goes_wrong_while_the_runner_is_made_is_raised_by_open() -> None:
    def make() -> FakeRunner:
        raise BackendUnavailableError("no such checkpoint")

    with pytest.raises(BackendUnavailableError, match="no such checkpoint"):
        await Engine.open(make)


async def test_a_stopped_speech_decodes_nothing_after_the_step_in_flight() -> None:
    runner = FakeRunner(slots=1, endless=True)
    gate = Gate(runner)
    async with opened(runner) as engine:
        speech = say(engine, 1, 50)
        await gate.until_waiting()  # its first frame is being decoded
        stop = asyncio.create_task(speech.stop(engine.clock()))
        await asyncio.sleep(0)
        assert not stop.done()  # the slot is not free while the thread is at work
        gate.permits.release()
        await stop
        assert runner.rows == {}
        assert len(runner.batches) == 1
        gate.open()
        assert (await heard(speech)) in ([], frames(1, 1))
        assert speech.reason == "cancelled"
        await heard(say(engine, 2, 1, limits=GuardLimits(max_frames=1)))
        assert len(runner.batches) == 2


async def test_stopping_what_is_queued_or_over_returns_at_once() -> None:
    runner = FakeRunner(slots=1)
    gate = Gate(runner)
    async with opened(runner) as engine:
        first, queued = say(engine, 1, 2), say(engine, 2, 2)
        await gate.until_waiting()
        stop = asyncio.create_task(queued.stop(engine.clock()))
        await asyncio.sleep(0)
        gate.open()
        await stop
        assert await heard(first) == frames(1, 2)
        await first.stop(engine.clock())
        await queued.stop(engine.clock())
        assert runner.started == [1]


async def test_a_consumer_that_takes_nothing_leaves_the_engine_idle() -> None:
    runner = FakeRunner(slots=2)
    async with opened(runner) as engine:
        slow = say(engine, 1, 40, max_ahead=3)
        assert await heard(say(engine, 2, 40)) == frames(2, 40)
        assert sum(1 in batch for batch in runner.batches) == 3
        assert engine.metrics.parked == 1
        assert await heard(slow) == frames(1, 40)


async def test_text_can_be_appended_while_the_speech_runs() -> None:
    async with opened(FakeRunner()) as engine:
        speech = say(engine, 1, 1, complete=False)
        for _ in range(4):
            speech.append_text([1, 1], complete=False)
            await asyncio.sleep(0)
        speech.append_text([], complete=True)
        assert await heard(speech) == frames(1, 9)


async def test_a_failing_step_fails_its_speech_and_the_next_one_is_spoken() -> None:
    runner = FakeRunner(fail={"decode": RuntimeError("boom")})
    async with opened(runner) as engine:
        with pytest.raises(BackendCrashedError, match="boom") as caught:
            await heard(say(engine, 1, 3))
        assert caught.value.retryable
        runner.fail.clear()
        assert await heard(say(engine, 2, 3)) == frames(2, 3)


async def test_a_dead_engine_fails_everything_and_takes_nothing_more() -> None:
    runner = FakeRunner(slots=1, endless=True)
    gate = Gate(runner)
    engine = await Engine.open(lambda: runner)
    speeches = [say(engine, voice, 3) for voice in (1, 2, 3)]
    results = asyncio.gather(*(heard(s) for s in speeches), return_exceptions=True)
    await gate.until_waiting()
    runner.fail |= {"decode": RuntimeError("gone"), "release": RuntimeError("gone for good")}
    stop = asyncio.create_task(speeches[1].stop(engine.clock()))
    await asyncio.sleep(0)
    gate.open()
    await stop
    errors = await results
    assert all(isinstance(error, BackendUnavailableError) for error in errors)
    assert not engine.alive and not engine.metrics.alive
    with pytest.raises(BackendUnavailableError, match="gone for good"):
        say(engine, 4, 3)
    await engine.aclose()


async def test_closing_ends_every_speech_and_the_thread() -> None:
    runner = FakeRunner(slots=1, endless=True)
    engine = await Engine.open(lambda: runner)
    speeches = [say(engine, voice, 3, max_ahead=2) for voice in (1, 2)]
    await engine.aclose()
    await engine.aclose()
    for speech in speeches:
        with pytest.raises(ClosedError):
            await heard(speech)
    with pytest.raises(ClosedError):
        say(engine, 3, 1)
    assert runner.rows == {}
    assert "qwen3-tts-engine" not in {thread.name for thread in threading.enumerate()}


async def test_an_opening_that_is_cancelled_ends_the_thread_when_it_has_loaded() -> None:
    loading, go_on = threading.Event(), threading.Event()

    def make() -> FakeRunner:
        loading.set()
        go_on.wait()
        return FakeRunner()

    opening = asyncio.create_task(Engine.open(make))
    await asyncio.to_thread(loading.wait)
    thread = next(t for t in threading.enumerate() if t.name == "qwen3-tts-engine")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    await asyncio.to_thread(thread.join)


def test_a_loop_that_ends_without_closing_the_engine_ends_its_thread() -> None:
    runner = FakeRunner(slots=1, endless=True)
    gate = Gate(runner)
    kept: list[Engine] = []

    async def forget() -> None:
        engine = await Engine.open(lambda: runner)
        kept.append(engine)
        say(engine, 1, 3)
        await gate.until_waiting()

    asyncio.run(forget())
    thread = next(t for t in threading.enumerate() if t.name == "qwen3-tts-engine")
    gate.open()
    thread.join(10)
    assert not thread.is_alive()


async def test_finished_speeches_are_forgotten() -> None:
    async with opened(FakeRunner()) as engine:

        async def alive() -> int:
            gc.collect()
            return sum(issubclass(type(thing), EngineSpeech) for thing in gc.get_objects())

        for voice in range(1, 30):
            await heard(say(engine, voice, 2))
        assert await alive() <= 1


async def test_what_the_engine_logs_of_a_speech_it_logs_in_the_context_that_asked_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked_by: ContextVar[str] = ContextVar("asked_by", default="nobody")
    logged_for: list[str] = []
    caplog.handler.addFilter(lambda record: logged_for.append(asked_by.get()) is None)
    limits = GuardLimits(max_frames=3)
    async with opened(FakeRunner(slots=2, endless=True)) as engine:
        speeches = []
        for name in ("anna", "bert"):
            asked_by.set(name)
            speeches.append(say(engine, 1, 5, limits=limits))
        asked_by.set("somebody else")
        await asyncio.gather(*(heard(speech) for speech in speeches))
    assert sorted(logged_for) == ["anna", "bert"]
