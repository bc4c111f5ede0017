"""A call for tests: a real pipeline around a service, whose frames a test sends and waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

FrameT = TypeVar("FrameT", bound=Frame)


def turn(*tokens: str) -> list[Frame]:
    """What an LLM sends for one reply."""
    texts = [LLMTextFrame(token) for token in tokens]
    return [LLMFullResponseStartFrame(), *texts, LLMFullResponseEndFrame()]


def spaced(text: str) -> list[str]:
    """Cut an English text into tokens as an LLM does: a space begins a token."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


class _Ear(FrameProcessor):
    """Keeps the frames that pass in one direction."""

    def __init__(self, direction: FrameDirection, heard: Callable[[Frame], None]) -> None:
        super().__init__(enable_direct_mode=True)
        self._direction = direction
        self._heard = heard

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction == self._direction and not isinstance(frame, StartFrame):
            self._heard(frame)
        await self.push_frame(frame, direction)


class Call:
    """A running pipeline: `down` is what left it towards the transport, `up` the errors."""

    def __init__(self, *processors: FrameProcessor, sample_rate: int = 24_000) -> None:
        self.down: list[Frame] = []
        self.up: list[Frame] = []
        self._news = asyncio.Event()
        self._started = asyncio.Event()
        source = _Ear(FrameDirection.UPSTREAM, lambda frame: self._keep(self.up, frame))
        sink = _Ear(FrameDirection.DOWNSTREAM, lambda frame: self._keep(self.down, frame))
        self.worker = PipelineWorker(
            Pipeline([source, *processors, sink]),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
            params=PipelineParams(
                audio_out_sample_rate=sample_rate,
                enable_metrics=True,
                enable_usage_metrics=True,
            ),
        )

        @self.worker.event_handler("on_pipeline_started")
        async def on_pipeline_started(worker: Any, frame: Any) -> None:
            self._started.set()

    def _keep(self, frames: list[Frame], frame: Frame) -> None:
        frames.append(frame)
        self._news.set()

    async def run(self) -> None:
        """Run until the call has ended."""
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        await runner.run()

    async def started(self) -> None:
        """Wait until frames can be sent."""
        await self._started.wait()

    async def send(self, *frames: Frame) -> None:
        """Queue frames as if they came from the LLM."""
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until it is true; looked at after each frame, and now and then."""
        async with asyncio.timeout(60):
            while not true():
                self._news.clear()
                try:
                    async with asyncio.timeout(0.01):
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def heard(self, kind: type[FrameT], count: int = 1) -> FrameT:
        """Wait for the `count`-th frame of a kind."""
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[count - 1]

    def all(self, kind: type[FrameT], since: int = 0) -> list[FrameT]:
        """The frames of a kind that came since a position in `down`."""
        return [frame for frame in self.down[since:] if isinstance(frame, kind)]

    def words(self, since: int = 0) -> list[str]:
        """The words that were passed on, in the order in which a transport lets them out."""
        frames = self.all(TTSTextFrame, since)
        return [frame.text for frame in sorted(frames, key=lambda frame: frame.pts or 0)]

    def audio(self, context_id: str | None = None) -> bytes:
        """The audio of a context, or all of it."""
        frames = self.all(TTSAudioRawFrame)
        wanted = [frame for frame in frames if context_id in (None, frame.context_id)]
        return b"".join(frame.audio for frame in wanted)


@asynccontextmanager
async def calling(*processors: FrameProcessor, sample_rate: int = 24_000) -> AsyncIterator[Call]:
    """Run a call; hang up at the end, after what was sent before is said."""
    call = Call(*processors, sample_rate=sample_rate)
    running = asyncio.create_task(call.run())
    try:
        async with asyncio.timeout(60):
            await call.started()
        yield call
        await call.send(EndFrame())
        async with asyncio.timeout(60):
            await running
    finally:
        if not running.done():
            await call.send(CancelFrame())
            async with asyncio.timeout(60):
                await running
