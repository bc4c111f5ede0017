"""Ties the input text to the audio, whether or not the backend says where its words are.

Owns the promise that the marks of a segment join to exactly its raw text, rise in time, and
come before their audio. Knows nothing about queues or backends.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.backend import Word
from qwen3_tts_live.synthesizer import Mark
from qwen3_tts_live.text.front_end import TextSegment

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff"
# A token is one ideograph (they are spoken one by one and written without spaces) or a run of
# other characters, each with the spaces and punctuation behind it.
_TOKEN = re.compile(rf"(?:[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+(?:['’.,-][^\W{_IDEOGRAPH}]+)*)[\W_]*")
_BREAK = re.compile(r"\w")
_IDEOGRAPHS = re.compile(rf"[{_IDEOGRAPH}]")


class SpeechRate:
    """Samples for a unit of written text, learnt from the segments that were spoken.

    An ideograph weighs as much as three letters: about what its syllable takes.
    """

    # 15 letters a second: ordinary English speech, and the rate that the estimate starts from.
    _PRIOR = SAMPLE_RATE / 15

    def __init__(self) -> None:
        self.samples_per_unit = self._PRIOR

    @staticmethod
    def units(text: str) -> int:
        """Return the weight of `text`, at least 1."""
        return max(1, len(text) + 2 * len(_IDEOGRAPHS.findall(text)))

    def learn(self, text: str, samples: int) -> None:
        """Take into account that `text` took `samples`."""
        # Half new, half old: follows a change of voice within two sentences.
        self.samples_per_unit = (self.samples_per_unit + samples / self.units(text)) / 2


class SegmentMarks:
    """The marks of one segment.

    Args:
        utterance_id: whose marks they are.
        segment: the text.
        start: sample offset of the segment in its utterance.
        rate: the estimate to use, and to improve, where the backend names no words.
    """

    def __init__(
        self, utterance_id: str, segment: TextSegment, start: int, rate: SpeechRate
    ) -> None:
        self._utterance_id = utterance_id
        self._segment = segment
        self._rate = rate
        self._start = self._last = start
        self._done = 0  # offset in raw up to which marks were made
        self._estimated: deque[Mark] | None = None

    def word(self, word: Word) -> Iterator[Mark]:
        """Yield the mark of a word that the backend placed."""
        raw = self._segment.raw
        stop = self._segment.raw_offset(word.text_end)
        # What follows a word up to the next one is heard with it: ", " and closing quotes.
        following = _BREAK.search(raw, stop)
        stop = following.start() if following else len(raw)
        self._estimated = deque()
        if stop > self._done:
            yield self._mark(stop, self._start + word.start, self._start + word.end, exact=True)

    def before(self, position: int, samples: int) -> Iterator[Mark]:
        """Yield the estimated marks that begin in audio `position`..`position + samples`."""
        if self._estimated is None:
            self._estimated = deque(self._estimate())
        while self._estimated and self._estimated[0].start < position + samples:
            yield self._estimated.popleft()

    def finish(self, position: int) -> Iterator[Mark]:
        """Yield marks for what is left, at `position`, where the segment's audio ends."""
        raw = self._segment.raw
        for mark in self._estimated or ():
            yield Mark(self._utterance_id, mark.text, position, position, exact=False)
        if self._done < len(raw):
            yield self._mark(len(raw), self._last, position, exact=True)
        if self._segment.spoken and position > self._start:
            self._rate.learn(raw, position - self._start)

    def _estimate(self) -> Iterator[Mark]:
        raw = self._segment.raw
        position = float(self._start)
        stops = [match.end() for match in _TOKEN.finditer(raw)] or [len(raw)]
        for stop in [*stops[:-1], len(raw)]:
            text = raw[self._done : stop]
            end = position + SpeechRate.units(text) * self._rate.samples_per_unit
            yield self._mark(stop, int(position), int(end), exact=False)
            position = end

    def _mark(self, stop: int, start: int, end: int, *, exact: bool) -> Mark:
        text = self._segment.raw[self._done : stop]
        self._done = stop
        start = max(start, self._last)
        self._last = max(start, end)
        return Mark(self._utterance_id, text, start, self._last, exact)
