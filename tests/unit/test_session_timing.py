"""What an utterance's end tells of its time, and in whose context it is made."""

from __future__ import annotations

from contextvars import ContextVar

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import CHUNK, FakeClock, ScriptedBackend, settle
from qwen3_tts_live.audio import AudioChunk
from qwen3_tts_live.backend import Segment
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Event, Finished, SessionOptions, Utterance


async def listen(utterance: Utterance) -> list[Event]:
    return [event async for event in utterance]


async def test_the_end_tells_how_long_the_utterance_waited() -> None:
    clock = FakeClock()
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend, clock=clock) as synthesizer:
        session = await synthesizer.open_session()
        first, second = session.utter("one"), session.utter("two")
        await settle()
        clock.now += 2
        backend.permit(3)
        await listen(first)
        await settle()
        clock.now += 0.5
        backend.permit(3)
        end = (await listen(second))[-1]
    assert isinstance(end, Finished)
    assert (end.queue_seconds, end.ttfb_seconds) == (2.0, 2.5)


class SilentStart(ScriptedBackend):
    """Its first two chunks, and a tenth of a second of the third, cannot be heard."""

    def samples(self, segment: Segment, start: int) -> NDArray[np.int16]:
        samples = super().samples(segment, start)
        samples[: max(0, 2 * CHUNK + CHUNK // 2 - start)] = 3
        return samples


async def end_of(clock: FakeClock, gaps: list[float], text: str = "four") -> Finished:
    """Speak with a silent start, each chunk after a gap of so many seconds; return the end."""
    backend = SilentStart(free=False)
    async with LiveSynthesizer(backend, clock=clock) as synthesizer:
        utterance = (await synthesizer.open_session()).utter(text)
        await settle()
        for gap in gaps:
            clock.now += gap
            backend.permit()
            await settle()
        end = (await listen(utterance))[-1]
        assert isinstance(end, Finished)
        return end


async def test_the_time_to_the_first_sound_counts_the_silence_before_it() -> None:
    # Chunks of 80 ms; what is heard begins 40 ms into the third.
    early = await end_of(FakeClock(), [0.5, 0.01, 0.01, 0.01])
    assert (early.ttfb_seconds, early.ttfa_seconds) == pytest.approx((0.5, 0.5 + 0.16 + 0.04))
    late = await end_of(FakeClock(), [0.5, 0.3, 0.3, 0.3])
    assert (late.ttfb_seconds, late.ttfa_seconds) == pytest.approx((0.5, 1.1 + 0.04))
    silent = await end_of(FakeClock(), [0.5, 0.01], "ab")
    assert (silent.ttfb_seconds, silent.ttfa_seconds) == (pytest.approx(0.5), None)


async def test_the_time_of_synthesis_is_without_that_of_text_and_consumer() -> None:
    clock, backend = FakeClock(), ScriptedBackend(free=False)
    async with LiveSynthesizer(backend, clock=clock) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=0.08))
        utterance = session.utter()
        await settle()
        clock.now += 7  # for its text
        utterance.push_text("ab")
        utterance.end_input()
        await settle()
        clock.now += 0.25
        backend.permit()
        await settle()
        clock.now += 9  # for its consumer
        events = aiter(utterance)
        while not isinstance(await anext(events), AudioChunk):
            pass
        await settle()
        clock.now += 0.25
        backend.permit()
        end = [event async for event in events][-1]
    assert isinstance(end, Finished)
    assert end.synthesis_seconds == pytest.approx(0.5)


async def test_each_utterance_is_made_in_the_context_in_which_it_was_asked_for() -> None:
    asked_by: ContextVar[str] = ContextVar("asked_by")
    made_for: list[str] = []

    class Telling(ScriptedBackend):
        def samples(self, segment: Segment, start: int) -> NDArray[np.int16]:
            made_for.append(asked_by.get())
            return super().samples(segment, start)

    async with LiveSynthesizer(Telling()) as synthesizer:
        session = await synthesizer.open_session()
        said = []
        for name in ("first", "second"):
            asked_by.set(name)
            said.append(session.utter("ab"))
        asked_by.set("somebody who only listens")
        for utterance in said:
            await listen(utterance)
    assert made_for == ["first", "first", "second", "second"]
