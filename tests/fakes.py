"""Fakes that tests share: a backend that does what the test says, and a clock that it moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.backend import BackendEvent, Pcm, Segment, to_the_end

CHUNK = 1920  # samples: one codec frame


class FakeClock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeTimer:
    """Timers that end when they are told to."""

    def __init__(self) -> None:
        self.running: list[FakeHandle] = []

    def __call__(self, delay: float, callback: Callable[[], None], /) -> FakeHandle:
        self.running.append(FakeHandle(self, delay, callback))
        return self.running[-1]

    def end(self) -> None:
        """End all timers that run."""
        for handle in list(self.running):
            handle.cancel()
            handle.callback()


class FakeHandle:
    """A timer that runs."""

    def __init__(self, timer: FakeTimer, delay: float, callback: Callable[[], None]) -> None:
        self.timer, self.delay, self.callback = timer, delay, callback

    def cancel(self) -> None:
        if self in self.timer.running:
            self.timer.running.remove(self)


class Run:
    """One segment that the scripted backend is speaking."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.made = 0
        self.permits = asyncio.Semaphore(0)


def voice_of(text: str) -> int:
    """The sample value that the scripted backend speaks `text` with: never 0."""
    return 1 + sum(text.encode()) % 30_000


class ScriptedBackend:
    """Makes one chunk a character, one a permit; with `free`, without asking.

    The samples of a segment all have the value `voice_of(text)`, so a test can hear whose they
    are. A text with "boom" in it raises, one with "crash" fails as a crashed backend would.
    """

    name = "scripted"
    languages = ("English", "Chinese")
    voices = ("anna", "bert")

    def __init__(self, *, free: bool = True) -> None:
        self.free = free
        self.running: list[Run] = []
        self.started: list[str] = []
        self.segments: list[Segment] = []  # the same, with their options
        self.stopping = asyncio.Event()  # cleared: a stopped segment does not come to its end
        self.stopping.set()
        self.closed = False

    @property
    def asked(self) -> list[tuple[str | None, str]]:
        """The voice and the language of each segment."""
        return [(segment.voice, segment.language) for segment in self.segments]

    def permit(self, chunks: int = 1) -> None:
        """Let every running segment make that many more chunks."""
        for run in self.running:
            for _ in range(chunks):
                run.permits.release()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        run = Run(segment)
        self.running.append(run)
        self.started.append(segment.text)
        self.segments.append(segment)
        try:
            for character in segment.text:
                if self.free:
                    await asyncio.sleep(0)
                else:
                    await run.permits.acquire()
                if segment.text.endswith("boom") and character == "b":
                    raise ZeroDivisionError("scripted")
                run.made += CHUNK
                yield Pcm(self.samples(segment, run.made - CHUNK))
        finally:
            await to_the_end(self._end(run))

    def samples(self, segment: Segment, start: int) -> NDArray[np.int16]:
        """Return the chunk of `segment` that starts at sample `start`."""
        return np.full(CHUNK, voice_of(segment.text), np.int16)

    async def _end(self, run: Run) -> None:
        await self.stopping.wait()
        self.running.remove(run)

    async def aclose(self) -> None:
        self.closed = True


async def settle(turns: int = 50) -> None:
    """Let everything that can go on without a permit go on."""
    for _ in range(turns):
        await asyncio.sleep(0)
