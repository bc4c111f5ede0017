"""Random schedules of everything that can happen to the engine, against what it promises."""

from __future__ import annotations

import gc
import random
import tracemalloc
from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fake_runner import FRAME, FakeRunner, prompt, value
from fakes import FakeClock
from qwen3_tts_live.engine.core import EngineCore
from qwen3_tts_live.engine.requests import (
    Append,
    Audio,
    Cancel,
    ChunkSchedule,
    Ended,
    Event,
    Request,
    Submit,
    Taken,
)
from qwen3_tts_live.model.contract import Sampling

SLOTS = 3


@dataclass
class Told:
    """What the test knows about one request."""

    tokens: int
    complete: bool
    layout: str
    cancelled: bool = False
    taken: int = 0


class EngineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = FakeRunner(slots=SLOTS)
        self.events: list[Event] = []
        self.core = EngineCore(self.runner, emit=self.events.append, clock=FakeClock())
        self.told: dict[int, Told] = {}

    def frames(self, id: int) -> int:
        mine = (e for e in self.events if isinstance(e, Audio) and e.id == id)
        return sum(len(event.samples) // FRAME for event in mine)

    def ended(self, id: int) -> Ended | None:
        ends = [e for e in self.events if isinstance(e, Ended) and e.id == id]
        assert len(ends) <= 1
        return ends[0] if ends else None

    def open(self) -> list[int]:
        return [id for id in self.told if self.ended(id) is None]

    @rule(
        tokens=st.integers(0, 12),
        complete=st.booleans(),
        layout=st.sampled_from(["track", "prefill"]),
        size=st.integers(1, 5),
        held=st.integers(0, 2),
        ahead=st.integers(1, 9),
    )
    def submit(
        self, tokens: int, complete: bool, layout: str, size: int, held: int, ahead: int
    ) -> None:
        id = len(self.told) + 1
        self.told[id] = Told(tokens, complete, layout)
        said = prompt(id, tokens, complete=complete, layout=layout)
        chunks = ChunkSchedule(size=size, pre_buffer=held)
        self.core.handle(
            Submit(Request(id=id, prompt=said, sampling=Sampling(), chunks=chunks, max_ahead=ahead))
        )

    @precondition(lambda self: any(not t.complete for t in self.told.values()))
    @rule(tokens=st.integers(0, 5), complete=st.booleans(), data=st.data())
    def append(self, tokens: int, complete: bool, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from([i for i, t in self.told.items() if not t.complete]))
        self.told[id].tokens += tokens
        self.told[id].complete = complete
        self.core.handle(Append(id, (id,) * tokens, complete))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.told)))
        waiting = self.frames(id) - self.told[id].taken
        taken = data.draw(st.integers(0, waiting))
        self.told[id].taken += taken
        self.core.handle(Taken(id, taken))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.told)))
        before = self.ended(id)
        self.core.handle(Cancel(id, 0.0))
        self.told[id].cancelled |= before is None
        assert self.ended(id) == (before or Ended(id, "cancelled"))

    @rule()
    def step(self) -> None:
        batches = len(self.runner.batches)
        self.core.step()
        for batch in self.runner.batches[batches:]:
            assert not any(self.told[voice].cancelled for voice in batch)

    @invariant()
    def no_slot_leaks(self) -> None:
        metrics = self.core.metrics()
        assert len(self.runner.rows) == metrics.active <= SLOTS
        assert metrics.active + metrics.queued == len(self.open())

    @invariant()
    def audio_is_in_order_and_of_its_own_speech(self) -> None:
        for id, told in self.told.items():
            mine = [e.samples for e in self.events if isinstance(e, Audio) and e.id == id]
            heard = list(np.concatenate(mine)[::FRAME]) if mine else []
            assert heard == [value(id, n) for n in range(len(heard))]
            assert len(heard) <= told.tokens
            if (end := self.ended(id)) is not None and end.reason == "eos":
                assert len(heard) == told.tokens

    @invariant()
    def nothing_comes_after_an_end(self) -> None:
        over: set[int] = set()
        for event in self.events:
            assert event.id not in over
            if isinstance(event, Ended):
                over.add(event.id)

    def teardown(self) -> None:
        """Nothing starves: with its text complete and its audio taken, every speech ends."""
        for id in self.open():
            if not self.told[id].complete:
                self.core.handle(Append(id, (), complete=True))
        for _ in range(2000):
            for id in self.open():
                waiting = self.frames(id) - self.told[id].taken
                self.told[id].taken += waiting
                self.core.handle(Taken(id, waiting))
            if not self.open():
                break
            assert not self.core.idle
            self.core.step()
        assert not self.open()
        assert self.runner.rows == {} and self.core.idle


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_thousand_random_joins_and_cancels_leave_memory_flat() -> None:
    chance = random.Random(4)
    runner = FakeRunner(slots=8)
    core = EngineCore(runner, emit=lambda event: None, clock=FakeClock())

    def churn(first: int, count: int) -> None:
        for id in range(first, first + count):
            said = prompt(id % 300 + 1, chance.randint(1, 30), complete=chance.random() < 0.8)
            core.handle(Submit(Request(id=id, prompt=said, sampling=Sampling(), max_ahead=1000)))
            for _ in range(chance.randint(0, 3)):
                core.step()
            core.handle(Cancel(chance.randint(max(first, id - 20), id), 0.0))
        for id in range(first, first + count):
            core.handle(Cancel(id, 0.0))
        runner.batches.clear()
        runner.chunks.clear()
        runner.started.clear()

    def in_use() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    churn(0, 1000)
    before = in_use()
    churn(1000, 1000)
    after = in_use()
    tracemalloc.stop()
    assert core.idle and runner.rows == {}
    assert core.metrics().active == core.metrics().queued == 0
    assert after - before < 20_000  # bytes: 1,000 leaked requests would be hundreds of thousands
