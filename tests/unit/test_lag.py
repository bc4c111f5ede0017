from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from fakes import FakeClock, settle
from qwen3_tts_server.lag import LoopLag


class LateLoop:
    """Sleeps that end when the test's clock has moved on, late by what the test says."""

    def __init__(self, *late: float) -> None:
        self.clock = FakeClock()
        self.periods: list[float] = []
        self._late = iter(late)

    async def sleep(self, seconds: float) -> None:
        self.periods.append(seconds)
        late = next(self._late, None)
        if late is None:
            await asyncio.Event().wait()
        else:
            self.clock.now += seconds + late


async def test_it_tells_how_much_later_than_asked_for_the_loop_comes_back() -> None:
    loop, seen = LateLoop(0.0, 0.004, 1.5, -0.001), list[float]()
    lag = LoopLag(seen.append, clock=loop.clock, sleep=loop.sleep)
    watching = lag.watching(web.Application())
    await anext(watching)
    await settle()
    assert seen == pytest.approx([0.0, 0.004, 1.5, 0.0])
    assert all(0.01 <= period <= 0.02 for period in loop.periods)
    with pytest.raises(StopAsyncIteration):
        await anext(watching)
    assert [task.get_name() for task in asyncio.all_tasks()].count("loop-lag") == 0
