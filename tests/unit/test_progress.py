from __future__ import annotations

from fakes import FakeClock
from qwen3_tts_live.synthesizer import EngineMetrics
from qwen3_tts_server.progress import Progress


def test_an_engine_with_work_that_makes_no_step_is_stalled_until_it_makes_one() -> None:
    clock = FakeClock()
    progress = Progress(limit=30, clock=clock)
    busy = EngineMetrics(steps=5, active=2, parked=1)
    assert progress.state(busy) == "ready"
    clock.now += 31
    assert progress.state(busy) == "stalled"
    assert progress.state(EngineMetrics(steps=6, active=2)) == "ready"


def test_an_engine_that_waits_for_others_is_not_stalled() -> None:
    clock = FakeClock()
    progress = Progress(limit=30, clock=clock)
    waiting = EngineMetrics(steps=5, active=2, parked=1, waiting_text=1)
    for _ in range(3):
        assert progress.state(waiting) == progress.state(None) == "ready"
        clock.now += 31
    assert progress.state(EngineMetrics(alive=False)) == "failed"
