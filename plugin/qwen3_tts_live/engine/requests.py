"""What the engine is asked for, and what it answers: plain frozen data.

Commands go from the event loop to the engine's thread, events come back. Knows nothing about
threads, queues or tensors.
"""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.engine.guards import Cut, GuardLimits
from qwen3_tts_live.errors import SpeechError
from qwen3_tts_live.model.contract import Prompt, Sampling

__all__ = [
    "FRAME_SAMPLES",
    "Append",
    "Audio",
    "Cancel",
    "ChunkSchedule",
    "Command",
    "EndReason",
    "Ended",
    "Event",
    "Failed",
    "Request",
    "Submit",
    "Taken",
]

#: Samples of one codec frame: 80 ms at 24 kHz.
FRAME_SAMPLES = 1920

#: Why a speech is over: it said all (`eos`), its owner stopped it, or a guard cut it.
EndReason: TypeAlias = Literal["eos", "cancelled"] | Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSchedule:
    """How many frames each chunk of a speech has: few at first, so that it is heard soon.

    Chunks double from `first` to `size`. `pre_buffer` chunks more are held back and come in one
    piece with the first: later to start, and safer against a gap where the machine is slow.
    """

    first: int = 1
    size: int = 4
    pre_buffer: int = 0

    def __post_init__(self) -> None:
        if self.first < 1 or self.size < 1 or self.pre_buffer < 0:
            raise ValueError("chunks have at least 1 frame, and none or more are held back")

    def frames(self, chunk: int) -> int:
        """Return the number of frames of chunk `chunk`, counted from 0."""
        if chunk == 0:
            return sum(self._ramp(n) for n in range(self.pre_buffer + 1))
        return self._ramp(chunk + self.pre_buffer)

    def _ramp(self, chunk: int) -> int:
        # 2^16 frames are more than an hour: the shift must not grow with a long speech.
        return min(self.size, self.first << min(chunk, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One speech: what to say and how, how to cut it into chunks, and when to stop it.

    `max_ahead` is how many frames may be handed out that the consumer has not taken; beyond that
    the speech is parked. What is logged about it is logged in `context`, by default that in which
    the request was made.
    """

    id: int
    prompt: Prompt
    sampling: Sampling
    limits: GuardLimits = field(default_factory=GuardLimits)
    chunks: ChunkSchedule = field(default_factory=ChunkSchedule)
    max_ahead: int = 12
    context: Context = field(default_factory=copy_context, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Submit:
    """Queue a request."""

    request: Request


@dataclass(frozen=True, slots=True)
class Append:
    """More text of a request that still receives it; `complete` says that no more comes."""

    id: int
    text_ids: tuple[int, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The consumer has taken so many frames."""

    id: int
    frames: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a request; `asked` is the clock's time at which its owner wanted that."""

    id: int
    asked: float


Command: TypeAlias = Submit | Append | Taken | Cancel


@dataclass(frozen=True, slots=True)
class Audio:
    """PCM that continues the request's earlier PCM without a gap."""

    id: int
    samples: NDArray[np.int16]  # (frames x 1920,) mono, 24 kHz


@dataclass(frozen=True, slots=True)
class Ended:
    """The request is over and its slot is free. Comes once, and nothing after it."""

    id: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed and its slot is free. Comes once, and nothing after it."""

    id: int
    error: SpeechError


Event: TypeAlias = Audio | Ended | Failed
