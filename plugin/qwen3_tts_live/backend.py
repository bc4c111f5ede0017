"""What a backend is: the thing that turns one text segment into PCM.

A backend knows nothing about sessions, queues, interruptions or pacing: it is asked for one
segment at a time, streams what it makes, and stops when its generator is closed. The session
layer (`session.py`) does the rest, the same way for every backend.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Backend", "BackendEvent", "Pcm", "Segment", "Word", "to_the_end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A piece of text to synthesize in one go: a clause or a few sentences.

    `language` is a canonical name; sessions never ask for `Auto`. `seed` fixes the random draws of a backend
    that has any; `extra` holds settings that only one backend knows.
    """

    text: str
    language: str
    voice: str | None = None
    instruct: str | None = None
    seed: int | None = None
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pcm:
    """Audio that continues the segment's earlier audio without a gap."""

    samples: NDArray[np.int16]  # (n,) mono, 24 kHz


@dataclass(frozen=True, slots=True)
class Word:
    """Where one word of `Segment.text` sounds. Sent before its audio.

    `text_start`/`text_end` are character offsets in `Segment.text`; `start`/`end` are samples
    from the start of the segment's audio.
    """

    text_start: int
    text_end: int
    start: int
    end: int


BackendEvent: TypeAlias = Pcm | Word


class Backend(Protocol):
    """Turns segments into PCM, several at once."""

    @property
    def name(self) -> str:
        """What it is, for people and for metrics: `preview`, `Qwen3-TTS-12Hz-0.6B-Base`."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """Canonical names of the languages that it speaks."""
        ...

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of its voices; the first is the default. Empty where the voice is not by name."""
        ...

    def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Speak `segment`.

        Closing the generator, or cancelling the task that waits on it, stops the work. When
        `aclose()` has returned (or the cancellation has come out), nothing is computed for the
        segment any more and its place is free; that takes at most one step of the backend. A
        cancellation may also come while the generator cleans up after a natural end, so what it
        awaits in `finally` goes through `to_the_end`.

        Raises:
            InvalidRequestError: this backend cannot speak it as asked.
            BackendError: it failed; `retryable` says whether trying again can help.
        """
        ...

    async def aclose(self) -> None:
        """Release everything: processes, threads, memory. May be called twice."""
        ...


async def to_the_end(work: Coroutine[object, object, None]) -> None:
    """Await `work` to its end, even if the caller is cancelled meanwhile; then be cancelled.

    For clean-up that must not be cut short. `work` has to end soon by itself.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
