"""One utterance that is spoken in this process: how its text becomes segments.

The rest of it is in `turn.py`. Knows nothing about queues, backends or pacing: `session.py`
decides what is spoken when.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import ParamSpec, Protocol

from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_live.text.front_end import TextFrontEnd, TextSegment
from qwen3_tts_live.text.settings import NormalizerSettings
from qwen3_tts_live.turn import BaseTurn

__all__ = ["Timer", "Turn"]

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


class Turn(BaseTurn):
    """An utterance whose text a front end reads here.

    Attributes:
        context: in which it was made, and in which it is spoken.
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
        super().__init__(utterance_id, max_text, clock)
        self.options = options
        self.context = copy_context()
        self._settings = options.normalizer or NormalizerSettings()
        self._front_end = TextFrontEnd(options.language, self._settings)
        self._pieces: deque[str] = deque()  # text that the front end has not seen
        self._segments: deque[TextSegment] = deque()
        self._text_read = False
        self._stalled = False  # and what was complete has been asked for
        self._more_text = asyncio.Event()  # wakes the session's runner
        self._timer = timer
        self._stop = stop

    # ------------------------------------------------------------ the caller's side

    def _text_came(self, text: str) -> None:
        """Keep the text and wake the runner, which reads it when it needs it."""
        self._pieces.extend(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        self._stalled = False
        self._more_text.set()

    def _text_ended(self) -> None:
        self._more_text.set()

    def cancel(self) -> None:
        """Ask the session to take this turn out of its queue; never waits."""
        self._stop(self)

    # ------------------------------------------------------------ the session's side

    async def next_segment(self) -> TextSegment | None:
        """Wait for the next segment; None when the text has ended."""
        if self.started_at is None:
            self.started_at = self._clock()
        while not self._segments:
            if self._pieces:
                found = await self._read(self._front_end.push, self._pieces.popleft())
                await asyncio.sleep(0)  # a long stretch without a segment keeps nobody waiting
            elif self._text_read:
                return None
            elif self.input_ended:
                self._text_read = True
                found = await self._read(self._front_end.end)
            elif await self._more_came():
                continue
            else:
                found = await self._read(self._front_end.stalled)
            self._segments.extend(found)
        return self._segments.popleft()

    async def _more_came(self) -> bool:
        """Wait for more text; False, once, if none came for as long as a voice should wait."""
        self._more_text.clear()
        if self.text_at is None or self._stalled:
            await self._more_text.wait()
            return True
        wait = self.last_text_at + self._settings.stall_s - self._clock()
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

    def interrupt(self) -> None:
        """Drop what still waits, text and audio; the consumer's next event is the end."""
        super().interrupt()
        self._pieces.clear()
        self._segments.clear()
