"""Cuts the text of a turn into the words that Pipecat is told about, as they are heard.

Pipecat joins words with a space, unless they are marked as bringing their own; a mark holds for
the rest of its sentence, and spaces at a word's ends are lost. So a sentence is either *spaced*
(cut only at spaces, as in English) or *glued* (cut between ideographs, and never at a space within it).
Punctuation stays on the word before it. Knows nothing about audio, Pipecat or the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Word", "Words"]

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_LETTER = re.compile(r"[^\W_]")
# Two letters that follow each other, and what stands between them.
_PAIR = re.compile(r"([^\W_])([\W_]*)(?=([^\W_]))")
_IS_IDEOGRAPH = re.compile(f"[{_IDEOGRAPH}]")
_SENTENCE_END = re.compile(r"[.!?…](?=\s)|[。！？\n]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the turn's text.

    `at` is the time given for the letter it begins with. `glued`: no space belongs before or
    behind it.
    """

    text: str
    at: float
    glued: bool


class Words:
    """The words of one turn. Text is added as it comes; words come out as they are heard."""

    def __init__(self) -> None:
        self._text = ""
        self._heard = 0  # characters up to which times are known
        self._done = 0  # characters that are in words that were returned
        self._at: float | None = None  # when the word behind `_done` began
        self._glued = False
        self._decided = 0  # `_glued` holds for words that begin before this

    def add(self, text: str) -> None:
        """Add to the turn's text."""
        self._text += text

    @property
    def length(self) -> int:
        """Characters of the text so far."""
        return len(self._text)

    def rewind(self, position: int) -> None:
        """Say that what follows character `position` will be heard again."""
        self._heard = position

    def hear(self, count: int, at: float) -> Iterator[Word]:
        """Yield the words that begin in the next `count` characters, heard from time `at`."""
        self._heard += count
        while (begin := _LETTER.search(self._text, self._done)) and begin.start() < self._heard:
            if self._at is None:
                self._at = at
            stop = self._stop(begin.start())
            if stop is None:
                return
            word = Word(self._text[self._done : stop].strip(), self._at, self._glued)
            self._done, self._at = stop, None
            yield word

    def _stop(self, begin: int) -> int | None:
        """Return where the word that begins at `begin` ends; None if that is not known yet."""
        if begin >= self._decided:
            self._decide(begin)
        cut = next(_cuts(self._text, begin, len(self._text), glued=self._glued), None)
        # The end of the text may be inside a word, unless it is known how all of it is heard.
        return len(self._text) if cut is None and self._heard >= len(self._text) else cut

    def _decide(self, begin: int) -> None:
        end = _SENTENCE_END.search(self._text, begin)
        self._decided = end.end() if end else len(self._text)
        glued = sum(1 for _ in _cuts(self._text, begin, self._decided, glued=True))
        spaced = sum(1 for _ in _cuts(self._text, begin, self._decided, glued=False))
        alone = not glued and not spaced
        self._glued = glued > spaced or (alone and bool(_IS_IDEOGRAPH.match(self._text, begin)))


def _cuts(text: str, begin: int, end: int, *, glued: bool) -> Iterator[int]:
    """Yield where a text may be cut behind `begin`."""
    for pair in _PAIR.finditer(text, begin, end):
        before, between, after = pair.groups()
        space = max((at for at, char in enumerate(between) if char.isspace()), default=None)
        # Pipecat would take a word that goes on into the next sentence apart, and space what follows.
        if space is not None and (not glued or _SENTENCE_END.search(between)):
            yield pair.start(2) + space + 1
        elif glued and space is None and _IS_IDEOGRAPH.search(before + after):
            yield pair.end(2)
