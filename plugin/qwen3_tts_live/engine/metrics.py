"""What the engine did: a snapshot of plain numbers, for `/metrics`, benchmarks and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["EngineMetrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMetrics:
    """Counts since the start, and the state now. Times are seconds of the engine's clock.

    Attributes:
        alive: whether the engine takes requests; false once it is closed or has died.
        steps: turns of the engine that ran the model.
        frames: frames decoded, of all speeches.
        slot_steps: speeches that decoded in a step, summed over all steps: by `steps`, the
            average batch. `batch` are those of the last step.
        step_seconds: time that all steps took; `last_step_seconds` the last one.
        active: speeches that hold a slot; `parked` and `waiting_text` are among them: their
            consumer has audio enough, or their text has not arrived.
        queued: speeches that wait for a slot, or for their first text.
        ended: speeches that are over, by reason (`eos`, `cancelled`, the guards), and `failed`.
        cancel_seconds: the longest time from a cancellation to the free slot;
            `last_cancel_seconds` the last one.
    """

    alive: bool = True
    steps: int = 0
    frames: int = 0
    slot_steps: int = 0
    batch: int = 0
    step_seconds: float = 0.0
    last_step_seconds: float = 0.0
    active: int = 0
    queued: int = 0
    parked: int = 0
    waiting_text: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)
    cancel_seconds: float = 0.0
    last_cancel_seconds: float = 0.0
