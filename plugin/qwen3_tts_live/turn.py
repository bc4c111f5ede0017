"""One utterance between its caller and its consumer, wherever it is spoken.

`BaseTurn` is what a session's queue holds of it; `LiveUtterance` is the handle that a caller
holds. They are two objects so that dropping the handle can be noticed. Knows nothing about
queues, backends or sockets: what becomes of the text is up to the subclass.
"""

from __future__ import annotations

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk, first_audible
from qwen3_tts_live.errors import SpeechError, TextTooLongError
from qwen3_tts_live.synthesizer import Event, Finished, Mark

__all__ = ["BaseTurn", "LiveUtterance"]


class BaseTurn(ABC):
    """The state of one utterance between the caller, the queue and the consumer.

    Attributes:
        generated: samples made so far.
        delivered: samples that the consumer has taken.
        complete: nothing more will be made; what was made may still wait for the consumer.
        over: the consumer has, or will get, the end as its next event.
        input_ended: its text is complete.
        made_at: when it was made, by `clock`; `text_at` and `last_text_at`: when its first and
            its latest text came.
        started_at: when its synthesis began.
        synthesis_seconds: how long its audio was waited for, where it is synthesized here.

    Args:
        utterance_id: unique in the synthesizer.
        max_text: characters that it may have.
        clock: seconds, rising.
    """

    def __init__(self, utterance_id: str, max_text: int, clock: Callable[[], float]) -> None:
        self.id = utterance_id
        self.generated = self.delivered = 0
        self.complete = self.over = False
        self.input_ended = False
        self.made_at = self.last_text_at = clock()
        self.text_at: float | None = None
        self.started_at: float | None = None
        self.synthesis_seconds = 0.0
        self._first_chunk_at: float | None = None
        self._audible_at: float | None = None
        self._clock = clock
        self._room = self._max_text = max_text
        self._events: deque[Event | SpeechError] = deque()
        self._deliverable = False
        self._changed = asyncio.Event()  # wakes the consumer

    # ------------------------------------------------------------ the caller's side

    def push_text(self, text: str) -> None:
        """Take more text; see `synthesizer.Utterance`."""
        if self.input_ended:
            raise RuntimeError("push_text() after end_input(): the utterance's text is complete")
        if self.over or not text:
            return
        self.check_length(text)
        self._room -= len(text)
        self.last_text_at = self._clock()
        if self.text_at is None:
            self.text_at = self.last_text_at
        self._text_came(text)

    def check_length(self, text: str) -> None:
        """Raise TextTooLongError if there is no room for `text`."""
        if len(text) > self._room:
            raise TextTooLongError(
                f"an utterance may have {self._max_text} characters of text; "
                "split it into several utterances"
            )

    def end_input(self) -> None:
        """Commit the rest of the text."""
        if not self.input_ended and not self.over:
            self.input_ended = True
            self._text_ended()

    @abstractmethod
    def cancel(self) -> None:
        """Ask for this utterance's end; never waits."""

    @abstractmethod
    def _text_came(self, text: str) -> None: ...

    @abstractmethod
    def _text_ended(self) -> None: ...

    # ------------------------------------------------------------ the maker's side

    @property
    def waiting(self) -> int:
        """Samples made that the consumer has not taken."""
        return 0 if self.over else self.generated - self.delivered

    def put(self, event: Mark | AudioChunk) -> None:
        """Hand an event to the consumer."""
        if isinstance(event, AudioChunk):
            if self._audible_at is None:
                self._notice_sound(event)
            self.generated += len(event.samples)
        self._append(event)

    def _notice_sound(self, chunk: AudioChunk) -> None:
        now = self._clock()
        if self._first_chunk_at is None:
            self._first_chunk_at = now
        if (silent := first_audible(chunk.samples)) is not None:
            # Whoever began to play with the first chunk has the earlier ones to play before.
            played = self._first_chunk_at + self.generated / SAMPLE_RATE
            self._audible_at = max(now, played) + silent / SAMPLE_RATE

    def finish(self) -> None:
        """All is made: the end follows what still waits."""
        self.complete = True
        self._append(self._finished("completed"))

    def fail(self, error: SpeechError) -> None:
        """All that could be made is made: the error follows what still waits."""
        self.complete = True
        self._append(error)

    def interrupt(self) -> None:
        """Drop what still waits; the consumer's next event is the end."""
        self.complete = self.over = True
        self._events.clear()
        self._append(self._finished("interrupted"))

    def deliver(self) -> None:
        """Let the consumer have the events: every earlier utterance is over."""
        self._deliverable = True
        self._changed.set()

    def _append(self, event: Event | SpeechError) -> None:
        self._events.append(event)
        self._changed.set()

    def _finished(self, reason: Literal["completed", "interrupted"]) -> Finished:
        samples = self.delivered if reason == "interrupted" else self.generated
        return Finished(
            self.id,
            reason,
            samples,
            _since(self.made_at, self.started_at),
            _since(self.text_at, self._first_chunk_at),
            _since(self.text_at, self._audible_at),
            self.synthesis_seconds or None,
        )

    # ------------------------------------------------------------ the consumer's side

    async def take(self) -> Event:
        """Wait for the next event; raises the utterance's error in its place."""
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


TurnT = TypeVar("TurnT", bound=BaseTurn)


class LiveUtterance(Generic[TurnT]):
    """The handle of an utterance; see `synthesizer.Utterance` for what it promises.

    Args:
        turn: the utterance.
        taken: called with it whenever its consumer has taken an event.
    """

    def __init__(self, turn: TurnT, taken: Callable[[TurnT], None]) -> None:
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


def _drop(loop: asyncio.AbstractEventLoop, turn: BaseTurn) -> None:
    if not turn.over and not loop.is_closed():
        loop.call_soon_threadsafe(turn.cancel)
