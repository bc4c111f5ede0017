"""One engine turn after another, by hand: no thread, no model, no waiting."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from fake_runner import FRAME, FakeRunner, prompt, value
from fakes import FakeClock
from qwen3_tts_live.engine.core import EngineCore
from qwen3_tts_live.engine.guards import GuardLimits
from qwen3_tts_live.engine.requests import (
    Append,
    Audio,
    Cancel,
    ChunkSchedule,
    Ended,
    Event,
    Failed,
    Request,
    Submit,
    Taken,
)
from qwen3_tts_live.errors import BackendCrashedError, CapacityError, ClosedError, TextTooLongError
from qwen3_tts_live.model.contract import Sampling


class Bench:
    """A core with what it emitted."""

    def __init__(self, runner: FakeRunner, max_queued: int = 100) -> None:
        self.runner = runner
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.core = EngineCore(
            runner, emit=self.events.append, clock=self.clock, max_queued=max_queued
        )

    def submit(self, id: int, tokens: int, *, complete=True, layout="track", **options) -> None:
        said = prompt(id, tokens, complete=complete, layout=layout)
        options = {"max_ahead": 10_000, **options}
        self.core.handle(Submit(Request(id=id, prompt=said, sampling=Sampling(), **options)))

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.core.step()

    def run(self, most: int = 5000) -> None:
        for _ in range(most):
            if self.core.idle:
                return
            self.core.step()
        raise AssertionError("the engine does not come to rest")

    def audio(self, id: int) -> list[np.ndarray]:
        return [e.samples for e in self.events if isinstance(e, Audio) and e.id == id]

    def heard(self, id: int) -> list[int]:
        """One sample a frame."""
        chunks = self.audio(id)
        return [] if not chunks else list(np.concatenate(chunks)[::FRAME])

    def end(self, id: int) -> Ended | Failed | None:
        ends = [e for e in self.events if not isinstance(e, Audio) and e.id == id]
        assert len(ends) <= 1
        return ends[0] if ends else None


@pytest.fixture
def bench() -> Bench:
    return Bench(FakeRunner(slots=2))


def frames(id: int, count: int) -> list[int]:
    return [value(id, n) for n in range(count)]


# ---------------------------------------------------------------- batching


def test_a_speech_is_all_its_frames_in_order_and_then_its_end(bench: Bench) -> None:
    bench.submit(1, 9)
    bench.run()
    assert bench.heard(1) == frames(1, 9)
    assert bench.events[-1] == Ended(1, "eos")
    assert bench.runner.rows == {}


def test_speeches_with_a_slot_share_every_step_and_others_join_between_frames() -> None:
    bench = Bench(FakeRunner(slots=3))
    bench.submit(1, 4)
    bench.steps(2)
    bench.submit(2, 4)
    bench.submit(3, 1)
    bench.run()
    assert bench.runner.batches[:4] == [(1,), (1,), (1, 2, 3), (1, 2, 3)]
    assert [bench.heard(id) for id in (1, 2, 3)] == [frames(1, 4), frames(2, 4), frames(3, 1)]


def test_who_waits_for_a_slot_gets_it_in_the_order_of_arrival(bench: Bench) -> None:
    for id in range(1, 7):
        bench.submit(id, 3)
    assert bench.core.metrics().queued == 6
    bench.run()
    assert bench.runner.started == [1, 2, 3, 4, 5, 6]
    assert all(bench.end(id) == Ended(id, "eos") for id in range(1, 7))


def test_a_burst_of_callers_does_not_hold_up_those_who_speak() -> None:
    bench = Bench(FakeRunner(slots=16))
    bench.submit(1, 50)
    bench.steps(1)
    for id in range(2, 12):
        bench.submit(id, 50)
    started = []
    for _ in range(3):
        bench.core.step()
        started.append(len(bench.runner.started))
    assert started == [5, 9, 11]  # four prefills a step, and a frame for the first in each
    assert len(bench.runner.batches) == 4


def test_more_than_the_engine_will_queue_is_refused_and_can_be_retried() -> None:
    bench = Bench(FakeRunner(slots=1), max_queued=2)
    for id in (1, 2, 3):
        bench.submit(id, 3)
    refused = bench.end(3)
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, CapacityError) and refused.error.retryable
    bench.run()
    assert bench.heard(2) == frames(2, 3)


# ---------------------------------------------------------------- chunks


@pytest.mark.parametrize(
    ("schedule", "sizes"),
    [
        (ChunkSchedule(), [1, 2, 4, 4, 4, 4, 1]),
        (ChunkSchedule(first=2, size=8), [2, 4, 8, 6]),
        (ChunkSchedule(size=1), [1] * 20),
        (ChunkSchedule(size=4, pre_buffer=2), [7, 4, 4, 4, 1]),
        (ChunkSchedule(first=8, size=3), [3, 3, 3, 3, 3, 3, 2]),
    ],
)
def test_chunks_grow_from_the_first_to_the_full_size(
    bench: Bench, schedule: ChunkSchedule, sizes: list[int]
) -> None:
    bench.submit(1, 20, chunks=schedule)
    bench.run()
    assert [len(chunk) // FRAME for chunk in bench.audio(1)] == sizes
    assert bench.heard(1) == frames(1, 20)


def test_the_first_chunk_comes_after_the_work_of_one_frame(bench: Bench) -> None:
    bench.submit(1, 100)
    bench.steps(1)
    assert bench.heard(1) == frames(1, 1)
    assert len(bench.runner.batches) == 1


def test_chunks_of_one_size_are_vocoded_in_one_call(bench: Bench) -> None:
    bench.submit(1, 8)
    bench.submit(2, 8)
    bench.run()
    assert bench.runner.chunks == [1, 2, 4, 1]


# ---------------------------------------------------------------- parking


def test_a_speech_whose_consumer_takes_nothing_is_parked_and_costs_no_step(bench: Bench) -> None:
    bench.submit(1, 50, max_ahead=7)
    bench.submit(2, 20)
    bench.run()
    assert len(bench.heard(1)) == 7
    assert bench.heard(2) == frames(2, 20)
    assert sum(1 in batch for batch in bench.runner.batches) == 7
    assert bench.core.metrics().parked == 1


def test_a_parked_speech_goes_on_when_its_consumer_has_taken_some(bench: Bench) -> None:
    bench.submit(1, 12, max_ahead=1)
    for taken in (1, 2, 4, 4, 1):
        bench.run()
        bench.core.handle(Taken(1, taken))
    bench.run()
    assert bench.heard(1) == frames(1, 12)
    assert bench.end(1) == Ended(1, "eos")


# ---------------------------------------------------------------- text that still arrives


def test_a_speech_without_its_next_text_rests_and_goes_on_when_that_comes(bench: Bench) -> None:
    bench.submit(1, 2, complete=False, chunks=ChunkSchedule(size=1))
    bench.run()
    assert bench.heard(1) == frames(1, 2)
    assert bench.core.metrics().waiting_text == 1
    bench.core.handle(Append(1, (1, 1, 1), complete=False))
    bench.run()
    assert bench.heard(1) == frames(1, 5)
    bench.core.handle(Append(1, (), complete=True))
    bench.run()
    assert bench.heard(1) == frames(1, 5)
    assert bench.end(1) == Ended(1, "eos")


def test_a_speech_without_any_text_holds_no_slot_and_stops_nobody(bench: Bench) -> None:
    bench.submit(1, 0, complete=False)
    bench.submit(2, 0, complete=False)
    bench.submit(3, 3)
    bench.run()
    assert bench.end(3) == Ended(3, "eos")
    assert bench.core.metrics().active == 0
    bench.core.handle(Append(2, (2, 2), complete=True))
    bench.run()
    assert bench.heard(2) == frames(2, 2)


def test_a_speech_whose_text_turns_out_empty_ends_without_the_model(bench: Bench) -> None:
    bench.submit(1, 0)
    bench.submit(2, 0, complete=False)
    bench.core.handle(Append(2, (), complete=True))
    assert [bench.end(1), bench.end(2)] == [Ended(1, "eos"), Ended(2, "eos")]
    assert bench.runner.started == []


def test_with_all_text_in_the_prefill_a_speech_starts_when_its_text_is_complete(
    bench: Bench,
) -> None:
    bench.submit(1, 3, complete=False, layout="prefill")
    bench.core.handle(Append(1, (1, 1), complete=False))
    bench.run()
    assert bench.runner.started == []
    bench.core.handle(Append(1, (1,), complete=True))
    bench.run()
    assert bench.heard(1) == frames(1, 6)


def test_a_reference_longer_than_its_text_asks_for_that_much_more_text_first() -> None:
    # 5 frames and their first row are laid beside 2 tokens of the reference's text: 4 more.
    bench = Bench(FakeRunner(slots=1))
    said = prompt(1, 3, complete=False)
    reference = {"reference_codes": np.zeros((5, 16), np.int64), "reference_text_ids": (8, 9)}
    said = type(said)(text_ids=said.text_ids, text_complete=False, layout="track", **reference)
    bench.core.handle(Submit(Request(id=1, prompt=said, sampling=Sampling())))
    bench.run()
    assert bench.runner.started == []
    bench.core.handle(Append(1, (1,), complete=False))
    bench.run()
    assert bench.runner.started == [1] and len(bench.runner.batches) == 1


# ---------------------------------------------------------------- cancellation


@pytest.mark.parametrize("when", ["queued", "decoding", "parked", "waiting_text"])
def test_a_cancelled_speech_frees_its_slot_and_decodes_no_further_frame(when: str) -> None:
    bench = Bench(FakeRunner(slots=1))
    if when == "queued":
        bench.submit(9, 0, complete=False)
    bench.submit(
        1,
        2 if when == "waiting_text" else 50,
        complete=when != "waiting_text",
        max_ahead=3 if when == "parked" else 1000,
    )
    if when != "queued":
        bench.steps(4) if when == "decoding" else bench.run()
    decoded = len(bench.runner.batches)
    bench.submit(2, 3)
    bench.core.handle(Cancel(1, bench.clock()))
    assert bench.end(1) == Ended(1, "cancelled")
    assert bench.runner.rows == {}
    bench.run()
    assert bench.runner.batches[decoded:] == [(2,)] * 4
    assert bench.events.index(Ended(1, "cancelled")) == max(
        n for n, event in enumerate(bench.events) if event.id == 1
    )


def test_a_cancellation_that_comes_within_a_step_is_seen_before_the_next_part(
    bench: Bench,
) -> None:
    bench.submit(1, 5)
    bench.core.step(lambda: bench.core.handle(Cancel(1, bench.clock())))
    assert bench.runner.started == [1] and bench.runner.batches == []
    assert bench.end(1) == Ended(1, "cancelled")


def test_cancelling_twice_or_too_late_does_nothing(bench: Bench) -> None:
    bench.submit(1, 1)
    bench.run()
    for command in (Cancel(1, 0.0), Taken(1, 1), Append(1, (1,), complete=True), Cancel(77, 0.0)):
        bench.core.handle(command)
    assert bench.end(1) == Ended(1, "eos")
    assert bench.runner.released == 1


def test_the_time_from_a_cancellation_to_the_free_slot_is_measured(bench: Bench) -> None:
    for id, seconds in ((1, 0.5), (2, 0.25)):
        bench.submit(id, 5)
        asked = bench.clock()
        bench.clock.now += seconds
        bench.core.handle(Cancel(id, asked))
    metrics = bench.core.metrics()
    assert (metrics.cancel_seconds, metrics.last_cancel_seconds) == (0.5, 0.25)
    assert metrics.ended == {"cancelled": 2}


# ---------------------------------------------------------------- guards


@pytest.mark.parametrize(
    ("runner", "limits", "reason", "count"),
    [
        (FakeRunner(endless=True), GuardLimits(max_frames=30), "max_frames", 30),
        (FakeRunner(endless=True), GuardLimits(least_frames=40), "text_budget", 60),
        (FakeRunner(endless=True), GuardLimits(least_frames=90), "text_budget", 90),
        (FakeRunner(endless=True, looping=True), GuardLimits(), "loop", 10),
    ],
)
def test_a_runaway_is_cut_with_a_fade_and_a_counted_and_logged_reason(
    runner: FakeRunner,
    limits: GuardLimits,
    reason: str,
    count: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(runner)
    with caplog.at_level(logging.WARNING):
        bench.submit(5, 5, limits=limits)
        bench.run()
    assert bench.end(5) == Ended(5, reason)
    assert bench.heard(5) == frames(5, count)
    last = bench.audio(5)[-1]
    assert last[-1] == 0 and last[-480] == value(5, count - 1)
    assert np.all(np.diff(last[-480:].astype(int)) <= 0)
    assert bench.core.metrics().ended == {reason: 1}
    assert reason in caplog.text


def test_a_speech_that_ends_by_itself_is_not_faded(bench: Bench) -> None:
    bench.submit(5, 3)
    bench.run()
    assert bench.audio(5)[-1][-1] == value(5, 2)


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("method", ["start", "decode", "vocode"])
def test_a_failing_step_ends_its_requests_once_and_the_engine_lives_on(
    bench: Bench, method: str
) -> None:
    bench.runner.fail[method] = RuntimeError("out of memory")
    bench.submit(1, 3)
    bench.steps(2)
    failed = bench.end(1)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, BackendCrashedError) and failed.error.retryable
    assert "out of memory" in failed.error.message
    assert bench.runner.rows == {}
    bench.runner.fail.clear()
    bench.submit(2, 3)
    bench.run()
    assert bench.heard(2) == frames(2, 3)
    assert bench.core.metrics().ended == {"failed": 1, "eos": 1}


def test_a_start_that_fails_harms_nobody_else(bench: Bench) -> None:
    bench.submit(1, 6)
    bench.steps(2)
    bench.runner.fail["start"] = TextTooLongError("too long")
    bench.submit(2, 3)
    bench.run()
    failed = bench.end(2)
    assert isinstance(failed, Failed) and isinstance(failed.error, TextTooLongError)
    assert bench.heard(1) == frames(1, 6)


def test_an_append_that_fails_ends_that_request_alone(bench: Bench) -> None:
    bench.submit(1, 1, complete=False)
    bench.submit(2, 6)
    bench.steps(1)
    bench.runner.fail["append_text"] = RuntimeError("no room")
    bench.core.handle(Append(1, (1,), complete=True))
    bench.run()
    assert isinstance(bench.end(1), Failed)
    assert bench.heard(2) == frames(2, 6)


def test_a_model_that_fails_every_step_is_given_up(bench: Bench) -> None:
    bench.runner.fail["decode"] = RuntimeError("the device is lost")
    with pytest.raises(RuntimeError, match="the device is lost"):
        for id in range(1, 20):
            bench.submit(id, 3)
            bench.steps(1)
    assert id == 8


def test_closing_ends_every_request_and_frees_every_slot(bench: Bench) -> None:
    for id in (1, 2, 3):
        bench.submit(id, 5)
    bench.steps(2)
    bench.core.close(ClosedError("closed"))
    assert all(isinstance(bench.end(id), Failed) for id in (1, 2, 3))
    assert bench.runner.rows == {} and bench.core.idle


# ---------------------------------------------------------------- metrics


def test_the_metrics_count_steps_frames_and_time(bench: Bench) -> None:
    def slow() -> None:
        bench.clock.now += 0.01

    bench.runner.before_decode = slow
    bench.submit(1, 4)
    bench.submit(2, 2)
    bench.run()
    metrics = bench.core.metrics()
    assert (metrics.steps, metrics.frames) == (5, 6)
    assert metrics.slot_steps == 8  # 6 frames, and what told each speech that it had ended
    assert metrics.step_seconds == pytest.approx(0.05)
    assert metrics.last_step_seconds == pytest.approx(0.01)
    assert (metrics.active, metrics.queued, metrics.batch) == (0, 0, 1)
