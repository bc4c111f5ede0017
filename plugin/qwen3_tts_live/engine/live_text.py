"""Tokens of a text that still arrives: only those that later text cannot change.

The tokenizer cuts a text into words first (letters with at most one other character before
them; single digits; punctuation with at most one space before it; white space) and then merges
inside each word. Where such a cut is certain whatever follows, the ids up to it are final.
Knows nothing about models or requests; the tokenizer is passed in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

__all__ = ["LiveText"]


class LiveText:
    """Turns pieces of text into token ids.

    The ids of all calls joined are those of the whole text, however it was cut into pieces.
    White space around the whole text is dropped: a leading line break would merge with the
    prompt's own.

    Args:
        tokenize: returns the ids of a text, special tokens not parsed.
    """

    def __init__(self, tokenize: Callable[[str], list[int]]) -> None:
        self._tokenize = tokenize
        self._held = ""  # arrived, not yet certain
        self._begun = False

    def push(self, text: str) -> list[int]:
        """Take the next piece; return the ids that have become certain."""
        self._held += text
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
        cut = _last_certain_cut(self._held)
        certain, self._held = self._held[:cut], self._held[cut:]
        return self._tokenize(certain) if certain else []

    def finish(self) -> list[int]:
        """Return the ids of what is left; nothing may be pushed after it."""
        rest, self._held = self._held.rstrip(), ""
        return self._tokenize(rest) if rest else []


def _last_certain_cut(text: str) -> int:
    """Return the highest index at which the tokenizer cuts, whatever comes after `text`."""
    for index in range(len(text) - 1, 0, -1):
        if _certain(text[index - 1], text[index]):
            return index
    return 0


def _certain(before: str, after: str) -> bool:
    """Whether the tokenizer always cuts between these two characters.

    No word has a space after something else, nor punctuation after a letter or digit. A
    combining mark is neither: it may still change the character before it. White space before
    the cut is no place to be sure of, as a run of it is cut by what follows.
    """
    if before.isspace():
        return False
    if after == " ":
        return True
    return unicodedata.category(before)[0] in "LN" and unicodedata.category(after)[0] == "P"
