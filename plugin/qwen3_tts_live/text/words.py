"""Words that are not said as they are written: abbreviations, initials, acronyms.

Knows no numbers.
"""

from __future__ import annotations

import re

from qwen3_tts_live.text.acronyms import Speller, fixed_forms
from qwen3_tts_live.text.board import Board
from qwen3_tts_live.text.runs import Runs
from qwen3_tts_live.text.settings import AcronymStyle

__all__ = ["read_acronyms", "read_fixed_forms"]

_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u0400-\u052f]{2,}")
# "U.S.", "Ph.D.", "J.K.": letters with points between them.
_INITIALS = re.compile(
    r"(?<![A-Za-z.])(?:[A-Z]\.(?:[A-Z]\.?)+|[A-Z][a-z]?\.(?:[A-Z][a-z]?\.)+)(?![A-Za-z])"
)


def read_fixed_forms(board: Board, runs: Runs, style: AcronymStyle) -> None:
    """Read what the built-in lexicon says in a way of its own, such as AT&T."""
    if style == "off":
        return
    pattern, spoken = fixed_forms()

    def say(match: re.Match[str]) -> str | None:
        key = (match[0], runs.language_at(match.start()))
        return spoken.get(key) or spoken.get((match[0], ""))

    board.apply(pattern, say)


def read_acronyms(board: Board, runs: Runs, style: AcronymStyle) -> None:
    """Spell the acronyms that have no reading yet."""
    if style == "off":
        return
    speller = Speller(board.text, style, runs.main)

    def initials(match: re.Match[str]) -> str:
        return speller.letters("".join(char for char in match[0] if char != ".").upper())

    board.apply(_INITIALS, initials)
    for start, end in list(board.open_spans()):
        for match in _WORD.finditer(board.text, start, end):
            if match[0].islower():
                continue
            touching = board.text[match.start() - 1 : match.start()] + board.text[match.end() :][:1]
            digit = any(char.isdigit() for char in touching)
            spoken = speller.say(match[0], beside_digit=digit)
            if spoken is not None:
                board.claim(match.start(), match.end(), spoken)
