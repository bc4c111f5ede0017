"""How late the event loop is: what every client waits for, whatever it waits for.

An engine that holds the interpreter, or a callback that takes long, shows here first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

__all__ = ["LoopLag"]

# At this rate looking costs 0.7 % of a core where others keep it busy, and nearly all of that is
# waking up, which a loop that serves does anyway. More often would see little more: what hurts a
# listener takes tens of milliseconds.
_PERIOD = 0.02


class LoopLag:
    """Looks at how much later than asked for the loop wakes a task.

    Args:
        observe: is told each lateness, in seconds.
        clock: seconds, rising.
        sleep: waits so many of them.
    """

    def __init__(
        self,
        observe: Callable[[float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._sleep = sleep

    async def watching(self, app: web.Application) -> AsyncIterator[None]:
        """Look as long as the application runs."""
        watch = asyncio.create_task(self._watch(), name="loop-lag")
        yield
        watch.cancel()
        await asyncio.wait([watch])

    async def _watch(self) -> None:
        while True:
            asked = self._clock()
            await self._sleep(_PERIOD)
            self._observe(max(0.0, self._clock() - asked - _PERIOD))
