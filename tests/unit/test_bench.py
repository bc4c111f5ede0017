"""How many calls fit: what callers hear, by a clock that only the test and the callers move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from fakes import FakeClock, ScriptedBackend
from qwen3_tts_live import SessionOptions
from qwen3_tts_live.backend import BackendEvent, Pcm, Segment
from qwen3_tts_live.cli import main
from qwen3_tts_live.cli.bench import Row
from qwen3_tts_live.cli.calls import Calls, Heard
from qwen3_tts_live.playout import Playout
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits

TENTH = 2400  # samples: 100 ms


class Waiters:
    """Time that passes when everybody waits for it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        until: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self.clock.now + seconds, until))
        await until

    async def pass_until(self, done: asyncio.Task[Heard]) -> Heard:
        """Let time pass until `done` is."""
        while not done.done():
            for _ in range(100):  # whoever does not wait goes on
                await asyncio.sleep(0)
            if self._waiting:
                when, until = min(self._waiting, key=lambda one: one[0])
                self._waiting.remove((when, until))
                self.clock.now = max(self.clock.now, when)
                if not until.done():
                    until.set_result(None)
        return done.result()


class Slow:
    """A tenth of a second of sound a character, each after `cost` seconds of work."""

    name, languages, voices = "slow", ("English",), ("anna",)

    def __init__(self, time: Waiters, cost: float, silence: int = 0) -> None:
        self._time, self._cost, self._silence = time, cost, silence

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        for number, _ in enumerate(segment.text):
            await self._time.sleep(self._cost)
            yield Pcm(np.full(TENTH, 0 if number < self._silence else 9000, np.int16))

    async def aclose(self) -> None:
        pass


async def hold(backend: Slow, time: Waiters, calls: int, seconds: float) -> Heard:
    async with LiveSynthesizer(backend, clock=time.clock) as synthesizer:
        options = SessionOptions(language="en")
        simulated = Calls(synthesizer, options, ["abcdefghij."], time.clock, time.sleep)
        return await time.pass_until(asyncio.create_task(simulated.hold(calls, seconds)))


async def test_callers_of_a_quick_engine_hear_no_gap_and_talk_over_the_last_reply() -> None:
    time = Waiters()
    heard = await hold(Slow(time, 0.05), time, calls=3, seconds=3.0)
    assert (heard.underruns, heard.errors) == (0, [])
    assert len(heard.interrupts) == 3
    # Each took its replies as fast as they are played, and not faster.
    assert 3 * 2.5 < heard.seconds < 3 * 3.5


async def test_callers_of_a_slow_engine_hear_gaps_as_long_as_it_is_late() -> None:
    time = Waiters()
    heard = await hold(Slow(time, 0.15), time, calls=1, seconds=1.0)
    assert heard.underruns > 5
    assert heard.longest == pytest.approx(0.05)


async def test_the_first_sound_is_what_can_be_heard_and_not_the_silence_before_it() -> None:
    time = Waiters()
    heard = await hold(Slow(time, 0.02, silence=2), time, calls=1, seconds=0.5)
    # The first chunk comes after 20 ms; two tenths of a second of silence are played before it.
    assert heard.first_audio[0] == pytest.approx(0.22)


async def test_a_call_that_is_refused_is_an_error_and_the_others_go_on() -> None:
    limits = SessionLimits(max_sessions=1)
    async with LiveSynthesizer(ScriptedBackend(), limits) as synthesizer:
        calls = Calls(synthesizer, SessionOptions(language="en"), ["ab."])
        heard = await calls.hold(2, 0.05, ramp=0.0)
    assert len(heard.errors) == 1
    assert heard.first_audio


def test_late_audio_moves_all_that_follows() -> None:
    playout = Playout()
    for at in (5.0, 5.1, 5.4, 5.4, 5.5):
        playout.came(TENTH, at)
    assert (playout.underruns, playout.longest) == (1, pytest.approx(0.2))
    assert playout.due == pytest.approx(5.7)


@pytest.mark.parametrize(
    ("heard", "fits"),
    [
        (Heard(first_audio=[0.1, 0.2], seconds=9.0), True),
        (Heard(first_audio=[0.1, 0.6], seconds=9.0), False),
        (Heard(first_audio=[0.1, 0.2], underruns=1, longest=0.01), False),
        (Heard(first_audio=[0.1, 0.2], errors=["full"]), False),
        (Heard(), False),
    ],
)
def test_calls_fit_if_all_is_heard_in_time(heard: Heard, fits: bool) -> None:
    assert Row.of(4, heard, within=500.0).fits is fits


def test_the_command_holds_calls_until_they_are_too_many_and_says_how_many_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "bench.json"
    # Nothing is heard within no time at all, so one call is too many.
    asked = ["bench", "--calls", "1,2", "--seconds", "0.2", "--json", str(found)]
    assert main([*asked, "--within", "0"]) == 0
    assert "preview does not hold a single call" in capsys.readouterr().out
    assert [row["calls"] for row in json.loads(found.read_text())["rows_in_ms"]] == [1]


@pytest.mark.parametrize("numbers", ["", "0", "1,x", "9999"])
def test_a_number_of_calls_that_makes_no_sense_is_refused(
    numbers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--calls", numbers])
    assert "--calls" in capsys.readouterr().err
