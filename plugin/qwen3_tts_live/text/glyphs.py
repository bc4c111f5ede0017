"""What the stages of the text front end hand to each other, one visible character at a time.

Owns the glyph and what a single character is: its script, its weight, whether it is seen at
all. Knows nothing about markup or sentences.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

__all__ = [
    "BREAK",
    "Glyph",
    "is_emoji",
    "is_ideograph",
    "is_invisible",
    "is_speakable",
    "is_wide",
    "weight",
]

#: What the stripper writes where a heading, a list item, a table row or a block tag begins or
#: ends: the sentence ends there, whatever punctuation there is.
BREAK = "\u2029"

_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
# Han, kana and what is written among them without spaces.
_IDEOGRAPH = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]")
_WIDE_PUNCTUATION = re.compile("[\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff65]")
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a\u231b\u23e9-\u23fa\u25a0-\u25ff]"
)
# Half of a pair, unassigned by anyone but its user, or a command to a terminal.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
_UNSEEN_MARKS = re.compile("[\ufe00-\ufe0f\u20e3\U000e0100-\U000e01ef\u115f\u1160\u3164\uffa0]")


class Glyph(NamedTuple):
    """Visible text and the raw slice `start:end` that it stands for.

    `text` is one character, or a mark with the line end behind it. `start` takes in the markup
    that opens before it, so that `**` goes with what it emphasizes. What lies between one
    glyph's end and the next one's start belongs to the earlier.
    """

    text: str
    start: int
    end: int


def is_ideograph(char: str) -> bool:
    """Whether it is Han, kana, or a sign that stands for one of them."""
    return char > "\u3004" and (_IDEOGRAPH.match(char) is not None or char >= "\U00020000")


def is_wide(char: str) -> bool:
    """Whether it belongs to a script that is written without spaces, punctuation included."""
    return char > "\u3000" and (is_ideograph(char) or _WIDE_PUNCTUATION.match(char) is not None)


def is_emoji(char: str) -> bool:
    """Whether it is a picture that nobody reads out."""
    return char > "\u2319" and _EMOJI.match(char) is not None


def is_invisible(char: str) -> bool:
    """Whether nothing is seen where it stands: controls, joiners, halves of a pair."""
    if " " <= char < "\x7f":
        return False
    return unicodedata.category(char) in _UNSEEN_CATEGORIES or bool(_UNSEEN_MARKS.match(char))


def is_speakable(char: str) -> bool:
    """Whether it is a letter, a digit or a sign that stands for some."""
    return char.isalnum()


def weight(char: str) -> float:
    """Return how long it takes to say, in Chinese characters."""
    if char.isdigit():
        return 1.0
    if not char.isalpha():
        return 0.0
    return 1.0 if is_ideograph(char) or _HANGUL.match(char) else 0.4
