"""Cuts what an utterance says at the ends of its sentences, for clients that count in sentences.

The cut is one of bookkeeping: where the sound of a sentence is only estimated, so is the cut, and
the pieces join to the same audio either way. Knows nothing about messages.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from qwen3_tts_live.audio import AudioChunk, PcmSamples
from qwen3_tts_live.synthesizer import Event, Finished, Mark

__all__ = ["Begins", "Ends", "Sentence", "SentenceCutter", "Sounds", "Step"]

_CLOSERS = "[\"'”’»)\\]」』]*"
_ENDS = re.compile(rf"(?:[.!?…]+{_CLOSERS}(?:\s+|$)|[。！？]+{_CLOSERS}\s*)")


@dataclass(slots=True)
class Sentence:
    """A sentence. `start` is in samples and `text_start` in characters, both of the utterance."""

    index: int
    start: int
    text_start: int
    words: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Begins:
    """`text` is as much of the sentence as is known by now."""

    sentence: Sentence
    text: str


@dataclass(frozen=True, slots=True)
class Sounds:
    """Audio of the sentence that began last."""

    samples: PcmSamples  # (n,)


@dataclass(frozen=True, slots=True)
class Ends:
    """All of its audio has come, and all of its words."""

    sentence: Sentence


Step: TypeAlias = Begins | Sounds | Ends


class SentenceCutter:
    """One utterance's sentences.

    Args:
        by_sentence: whether to cut at all; else the whole utterance is one.

    Attributes:
        count: sentences that have begun.
    """

    def __init__(self, *, by_sentence: bool) -> None:
        self.count = 0
        self._by_sentence = by_sentence
        self._text = ""
        self._marked = 0  # characters of it whose marks have come
        self._sentences: deque[Sentence] = deque()  # the first is heard, the others come
        self._made = 0
        self._complete = True  # the last of them; the next word begins another

    def push_text(self, text: str) -> None:
        """Take more of what the utterance was given to say."""
        self._text += text

    @property
    def newest(self) -> Sentence | None:
        """The sentence of the mark that came last."""
        return self._sentences[-1] if self._sentences else None

    def feed(self, event: Event) -> Iterator[Step]:
        """Yield what follows from an event of the utterance."""
        if isinstance(event, Mark):
            self._mark(event)
        elif isinstance(event, AudioChunk):
            yield from self._cut(event)
        elif isinstance(event, Finished):
            while self._sentences:
                yield from self._begin()
                yield Ends(self._sentences.popleft())

    def _mark(self, mark: Mark) -> None:
        if not self._sentences or (self._complete and self._by_sentence and mark.text.strip()):
            self._add(mark.start)
        if mark.text.strip():
            self._sentences[-1].words.append(mark)
        self._marked += len(mark.text)
        self._complete = self._complete or _ENDS.search(mark.text) is not None

    def _cut(self, chunk: AudioChunk) -> Iterator[Step]:
        if not self._sentences:
            self._add(chunk.offset)
        position, samples = chunk.offset, chunk.samples
        yield from self._begin()
        while len(self._sentences) > 1 and self._sentences[1].start < position + len(samples):
            before = max(0, self._sentences[1].start - position)
            if before:
                yield Sounds(samples[:before])
            position, samples = position + before, samples[before:]
            yield Ends(self._sentences.popleft())
            yield from self._begin()
        yield Sounds(samples)

    def _add(self, start: int) -> None:
        self._sentences.append(Sentence(self._made, start, self._marked))
        self._made += 1
        self._complete = False

    def _begin(self) -> Iterator[Step]:
        sentence = self._sentences[0]
        if sentence.index == self.count:
            self.count += 1
            end = _ENDS.search(self._text, sentence.text_start) if self._by_sentence else None
            text = self._text[sentence.text_start : end.end() if end else len(self._text)]
            yield Begins(sentence, text.strip())
