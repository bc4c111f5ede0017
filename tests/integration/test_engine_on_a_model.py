"""The engine on a real model: interruptions, guards and slots, with nothing faked below."""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

from fakes import FakeClock
from official import Ask, Official
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
)
from qwen3_tts_live.model.contract import Frame, Prompt, Runner, Sampling
from qwen3_tts_live.model.runner import SpeechRunner
from qwen3_tts_live.model.steps import EagerSteps


class Counted:
    """A runner that counts the frames which it decodes for each slot."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.slots = runner.slots
        self.decoded: Counter[int] = Counter()
        self.start = runner.start
        self.append_text = runner.append_text
        self.release = runner.release
        self.vocode: Callable[[Sequence[int], int], list[NDArray[np.int16]]] = runner.vocode

    def decode(self, slots: Sequence[int]) -> list[Frame]:
        self.decoded.update(slots)
        return self.runner.decode(slots)


class Bench:
    """A core on a checkpoint, stepped by hand."""

    def __init__(self, folder: Path, slots: int = 3) -> None:
        official = Official(folder)
        model, codec = official.parts(max_length=600)
        self.runner = Counted(SpeechRunner(model, EagerSteps(model, codec, slots)))
        self.events: list[Event] = []
        self.core = EngineCore(self.runner, emit=self.events.append, clock=FakeClock())
        hidden = official.talker_config.hidden_size
        self._voice = np.random.default_rng(1).standard_normal(hidden, np.float32)
        self._official = official

    def prompt(self, text: str) -> Prompt:
        return self._official.prompt(Ask(text=text, embedding=self._voice))

    def submit(self, id: int, text: str = "Hello there.", **options) -> None:
        options = {"max_ahead": 10_000, "sampling": Sampling(seed=id), **options}
        prompt = options.pop("prompt", None) or self.prompt(text)
        self.core.handle(Submit(Request(id=id, prompt=prompt, **options)))

    def run(self, most: int = 2000) -> None:
        for _ in range(most):
            if self.core.idle:
                return
            self.core.step()
        raise AssertionError("the engine does not come to rest")

    def audio(self, id: int) -> NDArray[np.int16]:
        chunks = [e.samples for e in self.events if isinstance(e, Audio) and e.id == id]
        return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)

    def reason(self, id: int) -> str:
        (end,) = [e for e in self.events if not isinstance(e, Audio) and e.id == id]
        return end.reason if isinstance(end, Ended) else repr(end)


@pytest.fixture(scope="module")
def endless(tiny_base: Path) -> Bench:
    return Bench(tiny_base)


@pytest.fixture(scope="module")
def ending(tiny_ending: Path) -> Bench:
    return Bench(tiny_ending)


@pytest.fixture(scope="module")
def looping(checkpoint_at: Callable[..., Path]) -> Bench:
    return Bench(checkpoint_at(loops=True))


@pytest.fixture(autouse=True)
def forget(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("endless", "ending", "looping"):
        if name in request.fixturenames:
            bench = request.getfixturevalue(name)
            assert bench.core.metrics().active == 0, "a slot was left behind"
            bench.events.clear()
            bench.runner.decoded.clear()


def test_a_cancelled_speech_computes_no_frame_more_and_frees_its_slot(endless: Bench) -> None:
    for id in (1, 2, 3, 4):
        endless.submit(id)
    for _ in range(5):
        endless.core.step()
    before = endless.runner.decoded.copy()
    endless.core.handle(Cancel(2, 0.0))
    endless.core.handle(Cancel(4, 0.0))  # queued: there are three slots
    heard = len(endless.audio(2))
    for _ in range(5):
        endless.core.step()
    assert endless.runner.decoded[1] == before[1]
    assert endless.runner.decoded[0] == before[0] + 5
    assert len(endless.audio(2)) == heard
    assert endless.reason(2) == endless.reason(4) == "cancelled"
    for id in (1, 3):
        endless.core.handle(Cancel(id, 0.0))


def test_a_parked_speech_that_is_cancelled_frees_its_slot(endless: Bench) -> None:
    endless.submit(1, max_ahead=2)
    endless.run()
    assert endless.core.metrics().parked == 1
    endless.core.handle(Cancel(1, 0.0))
    assert endless.core.metrics().active == 0


def test_a_speech_is_the_same_after_others_used_its_slot(ending: Bench) -> None:
    ending.submit(1, "The first of all.")
    ending.run()
    for id in (2, 3, 4, 5):
        ending.submit(id, "Somebody else says more than that, and longer.")
    ending.run()
    ending.submit(6, "The first of all.", sampling=Sampling(seed=1))
    ending.run()
    assert len(ending.audio(1)) > 0
    assert np.array_equal(ending.audio(1), ending.audio(6))


@pytest.mark.parametrize(
    "schedule",
    [
        ChunkSchedule(first=1, size=1),
        ChunkSchedule(first=1, size=8),
        ChunkSchedule(first=2, size=3, pre_buffer=2),
    ],
)
def test_every_chunk_schedule_makes_the_same_samples(
    ending: Bench, schedule: ChunkSchedule
) -> None:
    text = "One speech, in whatever chunks it comes."
    ending.submit(1, text, chunks=ChunkSchedule(first=4, size=4))
    ending.submit(2, text, chunks=schedule, sampling=Sampling(seed=1))
    ending.run()
    one, other = ending.audio(1).astype(int), ending.audio(2)
    assert len(one) == len(other) > 20 * 1920
    assert np.abs(one - other).max() <= 2  # 1e-4 is 3 of 32,767


def test_live_text_through_the_engine_sounds_as_the_whole_text_does(ending: Bench) -> None:
    whole = ending.prompt("Text that is still being written.")
    ending.submit(1, prompt=whole)
    ids = list(whole.text_ids)
    begun = Prompt(
        text_ids=ids[:2],
        text_complete=False,
        layout="track",
        language_id=whole.language_id,
        speaker_embedding=whole.speaker_embedding,
    )
    ending.submit(2, prompt=begun, sampling=Sampling(seed=1))
    ending.run()
    assert ending.core.metrics().waiting_text == 1
    for start in range(2, len(ids), 3):
        piece = tuple(ids[start : start + 3])
        ending.core.handle(Append(2, piece, start + 3 >= len(ids)))
        ending.run()
    assert ending.reason(2) == "eos"
    assert np.abs(ending.audio(1).astype(int) - ending.audio(2)).max() <= 2


def test_ordinary_speech_fires_no_guard(ending: Bench) -> None:
    texts = ["Hm.", "An ordinary sentence, as people say it.", "你好，世界。今天天气不错。"]
    for id, text in enumerate(texts, start=1):
        ending.submit(id, text)
    ending.run()
    assert {ending.reason(id) for id in (1, 2, 3)} == {"eos"}


@pytest.mark.parametrize(
    ("limits", "reason", "frames"),
    [
        (GuardLimits(max_frames=50), "max_frames", 50),
        (GuardLimits(frames_a_token=2, least_frames=30), "text_budget", 30),
        (GuardLimits(max_frames=400, frames_a_token=12, least_frames=192), "text_budget", 192),
    ],
)
def test_a_speech_that_does_not_end_is_cut_and_faded(
    endless: Bench, limits: GuardLimits, reason: str, frames: int
) -> None:
    endless.submit(1, "Hello there.", limits=limits)
    endless.run()
    assert endless.reason(1) == reason
    assert len(endless.audio(1)) == frames * 1920
    assert endless.audio(1)[-1] == 0


def test_a_speech_that_loops_is_cut(looping: Bench) -> None:
    looping.submit(1, "Hi.")
    looping.run()
    assert looping.reason(1) == "loop"
    assert len(looping.audio(1)) <= 25 * 1920


def test_a_prompt_that_leaves_no_room_fails_alone(ending: Bench) -> None:
    ending.submit(1, "Hello there.")
    too_long = ending.prompt("a b c d " * 200)
    ending.submit(
        2, prompt=Prompt(text_ids=too_long.text_ids, text_complete=True, layout="prefill")
    )
    ending.run()
    assert ending.reason(1) == "eos"
    (failed,) = [event for event in ending.events if isinstance(event, Failed)]
    assert failed.id == 2 and failed.error.code == "text_too_long"


def test_hundreds_of_joins_and_cancels_leave_memory_flat(endless: Bench) -> None:
    rng = random.Random(0)
    going: list[int] = []

    def rounds(ids: range) -> None:
        for id in ids:
            endless.submit(id, "Hello.", max_ahead=4)
            going.append(id)
            if rng.random() < 0.5:
                endless.core.step()
            while len(going) > rng.randrange(6):
                endless.core.handle(Cancel(going.pop(rng.randrange(len(going))), 0.0))
            endless.events.clear()

    def held() -> tuple[int, int]:
        gc.collect()
        tensors = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
        return psutil.Process().memory_info().rss, tensors

    rounds(range(100))  # allocators and the pages of the caches settle
    memory, tensors = held()
    rounds(range(100, 400))
    for id in going:
        endless.core.handle(Cancel(id, 0.0))
    after, tensors_after = held()
    assert tensors_after <= tensors + 20
    assert after - memory < 12e6
