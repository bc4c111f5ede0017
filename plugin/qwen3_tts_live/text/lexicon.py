"""The user's own words: longest written form first, before every rule. Knows no rule."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qwen3_tts_live.text.board import Board
from qwen3_tts_live.text.languages import AUTO
from qwen3_tts_live.text.runs import Runs
from qwen3_tts_live.text.settings import LexiconEntry

__all__ = ["Lexicon"]

# Letters and digits of scripts that put spaces between words: a form that begins or ends with
# one is not found inside a longer word.
_EDGE = re.compile(r"[0-9A-Za-z\u00aa-\u052f\u1e00-\u1fff]")


class Lexicon:
    """Reads the written forms that a user has given.

    Looked up by first character and length: a pattern of a thousand forms takes most of a second
    to compile, and a request may bring its own.

    Args:
        entries: the user's words; of two entries for one form in one language the last counts.
    """

    def __init__(self, entries: Iterable[LexiconEntry]) -> None:
        self._spoken: dict[tuple[str, str], str] = {
            (entry.written, entry.language): entry.spoken for entry in entries
        }
        lengths: dict[str, set[int]] = {}
        for written, _ in self._spoken:
            lengths.setdefault(written[0], set()).add(len(written))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def read(self, board: Board, runs: Runs) -> None:
        """Claim every form that the user has a reading for."""
        text, at = board.text, 0
        while self._lengths and at < len(text):
            for length in self._lengths.get(text[at], ()):
                end = at + length
                spoken = self._say(text[at:end], at, runs)
                if spoken is not None and _stands_alone(text, at, end) and board.is_free(at, end):
                    board.claim(at, end, spoken)
                    at = end
                    break
            else:
                at += 1

    def _say(self, form: str, at: int, runs: Runs) -> str | None:
        for language in (runs.language_at(at), runs.main, AUTO):
            if (form, language) in self._spoken:
                return self._spoken[form, language]
        return None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit of a spaced script goes on across either edge of the form."""
    if start and _EDGE.match(text[start]) and _EDGE.match(text[start - 1]):
        return False
    return end == len(text) or not (_EDGE.match(text[end - 1]) and _EDGE.match(text[end]))
