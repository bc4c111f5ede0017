"""Whether a mark ends a sentence, a clause, or nothing.

Owns the rules for one mark: what stands before it, what closes behind it, what follows. A rule
answers as soon as nothing that may follow can change its answer. Knows nothing about segments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum

from qwen3_tts_live.text.abbreviations import Abbreviations
from qwen3_tts_live.text.glyphs import BREAK, is_wide

__all__ = ["MARKS", "STOPS", "Grade", "Mark", "judge", "judge_stalled"]

_WIDE_STOPS = "。！？｡．"
_LINES = "\n" + BREAK
_DASHES = "—–-"
STOPS = _WIDE_STOPS + ".!?…‽⁇⁈⁉।"
_WIDE_PAUSES = "，；：、､"
MARKS = frozenset(STOPS + _WIDE_PAUSES + ",;:" + _DASHES + _LINES)
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýœаеёиоуыэюя")
_ELISION = re.compile(r"^\w+['’](?=\w{3})")  # l'Avv., but not wasn't.
_ROMAN = re.compile(r"[IVXLC]+")
_MAX_WORD = 14  # longer than any word that begins sentences
_QUESTION_OPENERS = "¿¡"
_QUOTES_OF_SPEECH = frozenset('」』”’"')


class Grade(IntEnum):
    """How good a place to cut it is."""

    NONE = 0
    LISTING = 1
    COMMA = 2
    CLAUSE = 3
    SENTENCE = 4


@dataclass(slots=True)
class Mark:
    """A mark that has been seen, and what is known of its surroundings.

    Attributes:
        marks: the mark, with those that follow it directly (`?!`, `...`) and line ends.
        token: the word before it, without white space, quotes or brackets.
        chain: the abbreviation before that (`z.` before `B`), else empty.
        before: the character before it.
        numbers_item: the token is a number at the start of a sentence.
        at: index of the first mark.
        end: index behind it, its closing quotes and brackets, and white space.
        weight: spoken weight of everything before `end`.
        inside: a quote or bracket is still open.
        closer: the last quote or bracket that closed behind it, if one did.
        introduced: what closed had been opened behind a colon.
        spaced: white space followed.
        following: the first character after all that, once it is known.
        word: the letters from `following` on; `word_end` is the character behind them.
    """

    marks: str
    token: str
    chain: str
    before: str
    numbers_item: bool
    at: int
    end: int = 0
    weight: float = 0.0
    inside: bool = False
    closer: str = ""
    introduced: bool = False
    spaced: bool = False
    following: str = ""
    word: str = ""
    word_end: str = ""

    def look(self, char: str) -> None:
        """Take a character of what follows."""
        if not self.following:
            self.following = char
        if (char.isalpha() and not is_wide(char)) or (self.word and char in "'’"):
            self.word += char
            if len(self.word) > _MAX_WORD:
                self.word_end = char
        else:
            self.word_end = char

    @property
    def is_stop(self) -> bool:
        """Whether it is a mark that sentences end with."""
        return self.marks[0] in STOPS

    @property
    def ends_line(self) -> bool:
        """Whether a line ends with it."""
        return "\n" in self.marks or BREAK in self.marks

    @property
    def is_dash(self) -> bool:
        """Whether it is a dash."""
        return self.marks[0] in _DASHES


def judge(mark: Mark, known: Abbreviations) -> Grade | None:
    """Return what `mark` is; None while it depends on what follows."""
    if BREAK in mark.marks:
        return Grade.SENTENCE
    if "\n" in mark.marks:
        return _judge_line(mark)
    if not mark.is_stop:
        return _judge_dash(mark) if mark.is_dash else _judge_pause(mark)
    if not mark.following and not mark.spaced:
        return None
    last = mark.marks[-1]
    if last in _WIDE_STOPS:
        return _judge_wide_stop(mark)
    if mark.marks == ".":
        return _judge_full_stop(mark, known) if mark.spaced else _judge_dot(mark, known)
    return _judge_exclamation(mark)


def judge_stalled(mark: Mark, known: Abbreviations) -> Grade | None:
    """Return what `mark` is if nothing follows for now; None if that would be a guess.

    A number with a stop may become a decimal, an abbreviation wants its name.
    """
    if mark.following:
        return None
    if not mark.is_stop or mark.marks[-1] in _LINES:
        return Grade.SENTENCE if "\n" in mark.marks else judge(replace(mark, spaced=True), known)
    if (
        mark.marks == "."
        and not mark.closer
        and not (mark.spaced and _is_plain_number(mark, known))
    ):
        return judge(replace(mark, spaced=True), known)
    return Grade.SENTENCE


def _is_plain_number(mark: Mark, known: Abbreviations) -> bool:
    short = len(mark.token) <= 2 and known.ordinals_have_stops
    return mark.token.isdigit() and not mark.numbers_item and not short


def _judge_line(mark: Mark) -> Grade | None:
    if mark.is_stop or mark.marks.count("\n") > 1:
        return Grade.SENTENCE
    if mark.marks[0] != "\n":
        return Grade.CLAUSE
    if not mark.following:
        return None
    # A line that goes on with a small letter was wrapped by someone's mail program.
    return Grade.NONE if mark.following.islower() else Grade.SENTENCE


def _judge_wide_stop(mark: Mark) -> Grade:
    """`。` and its like; a sentence may go on behind a quote: 「はい。」と言った, “好。”他说."""
    follows, kana = mark.following, "\u3040" <= mark.following <= "\u309f"
    if follows and follows in _PAUSES:  # “不行！”，他说
        return Grade.NONE
    if mark.closer in _QUOTES_OF_SPEECH and follows and not mark.spaced and not mark.introduced:
        goes_on = kana or (mark.closer not in "」』" and follows.isalpha())
        return Grade.CLAUSE if goes_on else Grade.SENTENCE
    return Grade.CLAUSE if mark.closer and kana else Grade.SENTENCE


def _judge_exclamation(mark: Mark) -> Grade | None:
    """`!`, `?`, their combinations, and ellipses."""
    ellipsis = mark.marks[-1] in ".…"
    if mark.spaced:
        if not mark.closer and not ellipsis:
            return Grade.SENTENCE
        if not mark.following:
            return None
        return Grade.CLAUSE if mark.following.islower() else Grade.SENTENCE
    follows = mark.following
    if is_wide(follows) or follows in _QUESTION_OPENERS:
        return Grade.SENTENCE
    if ellipsis and follows.isalpha():
        return Grade.CLAUSE if follows.islower() else Grade.SENTENCE
    if follows.isupper() and not _is_address(mark.token):
        return Grade.SENTENCE
    return Grade.NONE


def _judge_dot(mark: Mark, known: Abbreviations) -> Grade:
    """A stop that is followed directly by something: `3.5`, `config.yaml`, `Python.然后`."""
    if mark.closer or not is_wide(mark.following) or mark.numbers_item:
        return Grade.NONE
    initials = "." in mark.token and _is_initial(mark.token)
    return Grade.NONE if initials or known.is_before(mark.token) else Grade.SENTENCE


def _judge_full_stop(mark: Mark, known: Abbreviations) -> Grade | None:
    """A stop with white space behind it."""
    token = _ELISION.sub("", mark.token)
    chained, lower = mark.chain + token, mark.following.islower()
    if mark.chain and known.is_after(chained):  # "и т. д.", though "д." is a house
        return _judge_after(mark)
    if mark.numbers_item or known.is_before(token) or known.is_before(chained):
        return Grade.NONE
    if token.isdigit():
        return _judge_number(mark, known)
    if len(token) > 1 and known.is_after(token):
        return _judge_after(mark)
    ordinal = known.ordinals_have_stops and _ROMAN.fullmatch(token)  # Ludwig XIV.
    if ordinal or _is_initial(token) or known.is_in_name(token):
        return _by_next_word(mark, known)
    if known.is_before_number(token):
        return _unless(mark, mark.following.isdigit(), lower)
    if mark.closer or _has_no_vowel(token):
        return _unless(mark, lower)
    return Grade.SENTENCE


def _judge_after(mark: Mark) -> Grade | None:
    """An abbreviation that often ends a sentence: "at 5 p.m. He", but "5 p.m. EST"."""
    if not mark.following or (mark.following.isupper() and not mark.word_end):
        return None
    zone = len(mark.word) > 1 and mark.word.isupper()
    return _unless(mark, mark.following.islower(), mark.following == "(", zone)


def _judge_number(mark: Mark, known: Abbreviations) -> Grade | None:
    more_numbers = mark.following.isdigit() or mark.chain[:1].isdigit()  # 2025. 3. 15.
    if len(mark.token) > 2 or more_numbers:
        return _unless(mark, mark.following.islower(), more_numbers)
    if known.ordinals_have_stops:
        return _by_next_word(mark, known)
    if mark.following and not mark.word_end and mark.following.isalpha():
        return None
    return _unless(mark, mark.following.islower(), known.is_month(mark.word))


def _unless(mark: Mark, *reasons: bool) -> Grade | None:
    if not mark.following:
        return None
    return Grade.NONE if any(reasons) else Grade.SENTENCE


def _by_next_word(mark: Mark, known: Abbreviations) -> Grade | None:
    if not mark.following or not mark.word_end:
        return None
    # "J. A. Smith": a starter with a stop of its own is an initial.
    stem = mark.word.replace("’", "'").partition("'")[0]  # It's
    begins = mark.word_end != "." and (known.is_starter(mark.word) or known.is_starter(stem))
    return Grade.SENTENCE if begins else Grade.NONE


def _judge_pause(mark: Mark) -> Grade | None:
    sign, follows = mark.marks[0], mark.following
    if not follows and not mark.spaced:
        return None
    number = mark.before.isdigit()
    if sign in _WIDE_PAUSES:
        if sign == "：" and number and follows.isdigit():
            return Grade.NONE
        return _PAUSES[sign]
    if mark.spaced:
        if number and not follows:
            return None
        return Grade.NONE if number and follows.isdigit() else _PAUSES[sign]
    wide = is_wide(follows) or is_wide(mark.before)
    return _PAUSES[sign] if wide and not (number or follows.isdigit()) else Grade.NONE


def _judge_dash(mark: Mark) -> Grade | None:
    if not mark.following:
        return None
    numbers = mark.before.isdigit() or mark.following.isdigit()
    if mark.marks[0] == "—":
        return Grade.NONE if numbers and not mark.spaced else Grade.CLAUSE
    stands_free = mark.before == " " and mark.spaced
    return Grade.CLAUSE if stands_free and mark.following.isalpha() else Grade.NONE


_PAUSES = {
    "，": Grade.COMMA,
    ",": Grade.COMMA,
    "；": Grade.CLAUSE,
    ";": Grade.CLAUSE,
    "：": Grade.CLAUSE,
    ":": Grade.CLAUSE,
    "、": Grade.LISTING,
    "､": Grade.LISTING,
}


def _is_address(token: str) -> bool:
    return "/" in token or "=" in token or "@" in token


def _is_initial(token: str) -> bool:
    """Whether it is like `J`, `U.S`, `J.-P` or `Ph.D`: letters too few for words."""
    parts = token.replace("-", "").split(".")
    if len(parts) == 1:
        return len(token) == 1 and token.lower() != token.upper()
    return all(len(part) <= 2 and part.isalpha() for part in parts)


def _has_no_vowel(token: str) -> bool:
    return token.islower() and not _VOWELS.intersection(token)
