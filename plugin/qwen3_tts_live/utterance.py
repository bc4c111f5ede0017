"""One utterance: its text on the way in, its events on the way out.

`Turn` is what the session's queue holds; `LiveUtterance` is the handle that a caller holds.
They are two objects so that dropping the handle can be noticed. Knows nothing about queues,
backends or pacing: `session.py` decides what is spoken when.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Literal, ParamSpec, Protocol, Self

from qwen3_tts_live.audio import AudioChunk
from qwen3_tts_live.errors import SpeechError, TextTooLongError
from qwen3_tts_live.synthesizer import Event, Finished, Mark, SessionOptions
from qwen3_tts_live.text.front_end import TextFrontEnd, TextSegment
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["LiveUtterance", "Timer", "Turn"]

# Characters that the front end takes at a time: with the one segment that comes out at most, a
# millisecond or two. A long text is read while it is spoken, not when it is pushed.
_PIECE = 64


# A segment takes these tens of milliseconds, and others' audio must not wait for it; the rest takes
# less than a thread's round trip would save (benchmarks/text.py).
_SLOW_GRAMMARS = ("wetextprocessing",)

P = ParamSpec("P")


class _Handle(Protocol):
    def cancel(self) -> object: ...


class Timer(Protocol):
    """What can call back later, as `AbstractEventLoop.call_later` can."""

    def __call__(self, delay: float, callback: Callable[[], None], /) -> _Handle:
        """Call `callback` in `delay` seconds, unless the handle is cancelled before."""
        ...


class Turn:
    """The state of one utterance between the caller, the queue and the consumer.

    Attributes:
        generated: samples made so far.
        delivered: samples that the consumer has taken.
        complete: nothing more will be made; what was made may still wait for the consumer.
        over: the consumer has, or will get, the end as its next event.
    """

    def __init__(
        self,
        utterance_id: str,
        options: SessionOptions,
        *,
        max_text: int,
        clock: Callable[[], float],
        timer: Timer,
        stop: Callable[[Turn], None],
    ) -> None:
        self.id = utterance_id
        self.options = options
        self.generated = self.delivered = 0
        self.complete = self.over = False
        self._settings = options.normalizer or NormalizerSettings()
        self._front_end = TextFrontEnd(options.language, self._settings)
        self._pieces: deque[str] = deque()  # text that the front end has not seen
        self._segments: deque[TextSegment] = deque()
        self._room = max_text
        self._max_text = max_text
        self._input_ended = self._text_read = False
        self._stalled = False  # and what was complete has been asked for
        self._events: deque[Event | SpeechError] = deque()
        self._deliverable = False
        self._changed = asyncio.Event()  # wakes the consumer
        self._more_text = asyncio.Event()  # wakes the session's runner
        self._clock = clock
        self._timer = timer
        self._stop = stop
        self._made_at = clock()
        self._text_at: float | None = None
        self._last_text_at = self._made_at
        self._started_at: float | None = None
        self._first_chunk_at: float | None = None

    # ------------------------------------------------------------ the caller's side

    def push_text(self, text: str) -> None:
        """Keep the text and wake the runner, which reads it when it needs it."""
        if self._input_ended:
            raise RuntimeError("push_text() after end_input(): the utterance's text is complete")
        if self.over or not text:
            return
        if len(text) > self._room:
            raise TextTooLongError(
                f"an utterance may have {self._max_text} characters of text; "
                "split it into several utterances"
            )
        self._room -= len(text)
        self._last_text_at = self._clock()
        if self._text_at is None:
            self._text_at = self._last_text_at
        self._pieces.extend(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        self._stalled = False
        self._more_text.set()

    def end_input(self) -> None:
        """Commit the rest of the text."""
        if self._input_ended or self.over:
            return
        self._input_ended = True
        self._more_text.set()

    def cancel(self) -> None:
        """Ask the session to take this turn out of its queue; never waits."""
        self._stop(self)

    # ------------------------------------------------------------ the session's side

    async def next_segment(self) -> TextSegment | None:
        """Wait for the next segment; None when the text has ended."""
        if self._started_at is None:
            self._started_at = self._clock()
        while not self._segments:
            if self._pieces:
                found = await self._read(self._front_end.push, self._pieces.popleft())
                await asyncio.sleep(0)  # a long stretch without a segment keeps nobody waiting
            elif self._text_read:
                return None
            elif self._input_ended:
                self._text_read = True
                found = await self._read(self._front_end.end)
            elif await self._text_came():
                continue
            else:
                found = await self._read(self._front_end.stalled)
            self._segments.extend(found)
        return self._segments.popleft()

    async def _text_came(self) -> bool:
        """Wait for more text; False, once, if none came for as long as a voice should wait."""
        self._more_text.clear()
        if self._text_at is None or self._stalled:
            await self._more_text.wait()
            return True
        wait = self._last_text_at + self._settings.stall_s - self._clock()
        timer = self._timer(max(0.0, wait), self._stall)
        try:
            await self._more_text.wait()
        finally:
            timer.cancel()
        return not self._stalled

    def _stall(self) -> None:
        self._stalled = True
        self._more_text.set()

    async def _read(
        self, step: Callable[P, list[TextSegment]], *args: P.args, **kwargs: P.kwargs
    ) -> list[TextSegment]:
        if self._settings.grammar in _SLOW_GRAMMARS:
            return await asyncio.to_thread(step, *args, **kwargs)
        return step(*args, **kwargs)

    @property
    def waiting(self) -> int:
        """Samples made that the consumer has not taken."""
        return 0 if self.over else self.generated - self.delivered

    def put(self, event: Mark | AudioChunk) -> None:
        """Hand an event to the consumer."""
        if isinstance(event, AudioChunk):
            if self._first_chunk_at is None:
                self._first_chunk_at = self._clock()
            self.generated += len(event.samples)
        self._events.append(event)
        self._changed.set()

    def finish(self) -> None:
        """All is made: the end follows what still waits."""
        self.complete = True
        self._events.append(self._finished("completed"))
        self._changed.set()

    def fail(self, error: SpeechError) -> None:
        """All that could be made is made: the error follows what still waits."""
        self.complete = True
        self._events.append(error)
        self._changed.set()

    def interrupt(self) -> None:
        """Drop what still waits; the consumer's next event is the end."""
        self.complete = self.over = True
        self._events.clear()
        self._pieces.clear()
        self._segments.clear()
        self._events.append(self._finished("interrupted"))
        self._changed.set()

    def deliver(self) -> None:
        """Let the consumer have the events: every earlier turn is over."""
        self._deliverable = True
        self._changed.set()

    def _finished(self, reason: Literal["completed", "interrupted"]) -> Finished:
        samples = self.delivered if reason == "interrupted" else self.generated
        return Finished(
            self.id,
            reason,
            samples,
            _since(self._made_at, self._started_at),
            _since(self._text_at, self._first_chunk_at),
        )

    # ------------------------------------------------------------ the consumer's side

    async def take(self) -> Event:
        """Wait for the next event; raises the turn's error in its place."""
        while not (self._events and (self._deliverable or self.over)):
            self._changed.clear()
            await self._changed.wait()
        event = self._events.popleft()
        if isinstance(event, AudioChunk):
            self.delivered += len(event.samples)
        elif not isinstance(event, Mark):
            self.over = True
        if isinstance(event, SpeechError):
            raise event
        return event


def _since(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


class LiveUtterance:
    """The handle of an utterance; see `synthesizer.Utterance` for what it promises."""

    def __init__(self, turn: Turn, taken: Callable[[Turn], None]) -> None:
        self._turn = turn
        self._taken = taken
        self._iterated = False
        # Nobody can hear an utterance whose handle is gone. The collector may run in any
        # thread, hence the hop onto the loop.
        drop = weakref.finalize(self, _drop, asyncio.get_running_loop(), turn)
        drop.atexit = False

    @property
    def id(self) -> str:
        """Unique in the synthesizer."""
        return self._turn.id

    def push_text(self, text: str) -> None:
        """Add text; see the protocol."""
        self._turn.push_text(text)

    def end_input(self) -> None:
        """Say that no more text comes."""
        self._turn.end_input()

    def cancel(self) -> None:
        """Stop this utterance alone."""
        self._turn.cancel()

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        if self._iterated:
            raise RuntimeError("an utterance can be iterated once: its audio is sent once")
        self._iterated = True
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Event, None]:
        turn = self._turn
        try:
            while True:
                event = await turn.take()
                self._taken(turn)
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            turn.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turn.cancel()


def _drop(loop: asyncio.AbstractEventLoop, turn: Turn) -> None:
    if not turn.over and not loop.is_closed():
        loop.call_soon_threadsafe(turn.cancel)
