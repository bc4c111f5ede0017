"""The user's own words: longest written form first, before every rule. Knows no rule."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qwen3_tts_live.text.board import Board
from qwen3_tts_live.text.languages import AUTO
from qwen3_tts_live.text.runs import Runs
from qwen3_tts_live.text.settings import LexiconEntry

__all__ = ["Lexicon"]


class Lexicon:
    """Reads the written forms that a user has given.

    Args:
        entries: the user's words; of two entries for one form in one language the last counts.
    """

    def __init__(self, entries: Iterable[LexiconEntry]) -> None:
        self._spoken: dict[tuple[str, str], str] = {
            (entry.written, entry.language): entry.spoken for entry in entries
        }
        forms = sorted({written for written, _ in self._spoken}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_bounded, forms))) if forms else None

    def read(self, board: Board, runs: Runs) -> None:
        """Claim every form that the user has a reading for."""
        if self._pattern is None:
            return

        def say(match: re.Match[str]) -> str | None:
            for language in (runs.language_at(match.start()), runs.main, AUTO):
                if (match[0], language) in self._spoken:
                    return self._spoken[match[0], language]
            return None

        board.apply(self._pattern, say)


def _bounded(form: str) -> str:
    """Return the pattern of a form that no letter or digit of a spaced script touches."""
    edge = r"[0-9A-Za-z\u00aa-\u052f\u1e00-\u1fff]"
    before = rf"(?<!{edge})" if re.match(edge, form) else ""
    after = rf"(?!{edge})" if re.match(edge, form[-1]) else ""
    return before + re.escape(form) + after
