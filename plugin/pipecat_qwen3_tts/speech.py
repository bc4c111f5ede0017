"""What one audio context of Pipecat says, and how far it has come.

A context is one or more `Part`s: stretches of text that share their options, each an utterance of
the engine. A part that lost its utterance can begin again behind what was passed on. Knows the
seam, and nothing of Pipecat.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from pipecat_qwen3_tts.words import Words
from qwen3_tts_live import SAMPLE_RATE, Mark, Session, SessionOptions, Utterance
from qwen3_tts_live.audio import PcmSamples, Resampler

__all__ = ["OutputRate", "Part", "Playhead", "Speech", "wait"]


class OutputRate:
    """Turns the engine's samples into bytes at the rate of the frames.

    Args:
        sample_rate: of the frames, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        same = sample_rate == SAMPLE_RATE
        self._resampler = None if same else Resampler(SAMPLE_RATE, sample_rate)

    def push(self, samples: PcmSamples, *, last: bool = False) -> bytes:
        """Return PCM16 little-endian; `last` gives out what the resampler held back."""
        if self._resampler is not None:
            samples = self._resampler.push(samples, last=last)
        return samples.astype("<i2", copy=False).tobytes()

    def tail(self) -> bytes:
        """Return the rest of the audio."""
        return self.push(np.zeros(0, np.int16), last=True)


class Speech:
    """An audio context's words, times and samples.

    Args:
        sample_rate: of the frames, in Hz.

    Attributes:
        words: its text.
        output: its audio's way out.
        zero: the time that its word times count from; None before its first audio.
    """

    def __init__(self, sample_rate: int) -> None:
        self.words = Words()
        self.output = OutputRate(sample_rate)
        self.zero: float | None = None


class Part:
    """A stretch of a context's text that is spoken with the same options.

    Attributes:
        utterance: what speaks it; None before it began, and after it was lost.
        closes: nothing follows it in its context.
        gone: set when nobody wants it any more.
    """

    def __init__(self, context_id: str, options: SessionOptions, *, offset: int) -> None:
        self.context_id = context_id
        self.options = options
        self.closes = False
        self.gone = asyncio.Event()
        self.utterance: Utterance | None = None
        self._offset = offset  # characters of the context before this part
        self._text = ""
        self._ended = False
        self._heard = 0  # characters whose audio was passed on completely
        self._coming: deque[Mark] = deque()  # their audio has not begun to come
        self._begun: deque[Mark] = deque()  # it has, and is not complete

    @property
    def position(self) -> int:
        """Characters of the context before what was not passed on yet."""
        return self._offset + self._heard

    def begin(self, session: Session) -> None:
        """Let the session speak what was not passed on yet.

        Raises:
            SpeechError: it will not.
        """
        self._coming.clear()
        self._begun.clear()
        self.utterance = session.utter(options=self.options)
        self.utterance.push_text(self._text[self._heard :])
        if self._ended:
            self.utterance.end_input()

    def lose(self) -> None:
        """Give the utterance up, so that the part can begin again."""
        if self.utterance is not None:
            self.utterance.cancel()
            self.utterance = None

    def push(self, text: str) -> None:
        """Add text.

        Raises:
            TextTooLongError: it is too long for the engine.
        """
        if self.utterance is not None:
            self.utterance.push_text(text)
        self._text += text

    def end(self, *, closes: bool) -> None:
        """Say that no more text comes, and whether the context ends here."""
        self._ended = True
        self.closes = closes
        if self.utterance is not None:
            self.utterance.end_input()

    def cancel(self) -> None:
        """Stop it for good; never waits."""
        self.gone.set()
        self.lose()

    def expect(self, mark: Mark) -> None:
        """Keep a mark until its audio comes."""
        self._coming.append(mark)

    def reached(self, samples: int) -> Iterator[Mark]:
        """Yield the marks that begin before `samples` of the utterance, which were passed on."""
        while self._coming and self._coming[0].start < samples:
            mark = self._coming.popleft()
            self._begun.append(mark)
            yield mark
        while self._begun and self._begun[0].end <= samples:
            self._heard += len(self._begun.popleft().text)

    def rest(self) -> Iterator[Mark]:
        """Yield the marks that are left when all audio was passed on."""
        while self._coming:
            yield self._coming.popleft()


class Playhead:
    """When audio is heard that is handed to a transport, which plays it without a pause."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.end = clock()  # when all that was added will have been heard

    @property
    def lead(self) -> float:
        """Seconds of audio that are not heard yet."""
        return max(0.0, self.end - self.clock())

    def add(self, seconds: float) -> float:
        """Add audio; return when it begins to be heard."""
        begins = max(self.clock(), self.end)
        self.end = begins + seconds
        return begins

    def clear(self) -> None:
        """What was added is not heard any more."""
        self.end = self.clock()


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, `seconds` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
