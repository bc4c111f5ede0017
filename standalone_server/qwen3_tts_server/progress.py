"""Whether the engine still moves: the state that /ready tells. Knows nothing about HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from qwen3_tts_live.synthesizer import EngineMetrics

__all__ = ["DEAD", "Progress", "State"]

#: What the server can be; an engine alone is `ready`, `stalled` or `failed`.
State = Literal["ready", "loading", "draining", "stalled", "failed"]
#: Those that only a new process can help.
DEAD: frozenset[State] = frozenset({"stalled", "failed"})


class Progress:
    """Notices an engine that has work and makes no step; looked at whenever somebody asks.

    Args:
        limit: seconds without a step after which it counts as stalled. Longer than any step, as
            the first of a shape may take seconds to prepare.
        clock: seconds, rising.
    """

    def __init__(self, limit: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._steps = -1
        self._since = 0.0

    def state(self, engine: EngineMetrics | None) -> State:
        """Return `ready`, `stalled`, or `failed` for an engine that has died."""
        if engine is None:
            return "ready"
        if not engine.alive:
            return "failed"
        now = self._clock()
        busy = engine.active - engine.parked - engine.waiting_text > 0
        if not busy or engine.steps != self._steps:
            self._steps, self._since = engine.steps, now
        return "stalled" if now - self._since >= self._limit else "ready"
