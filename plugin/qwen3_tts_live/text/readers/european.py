"""What the readers of German, French, Russian, Portuguese, Spanish and Italian share.

Whole numbers come from num2words; separators, agreement and everything around a number are
ours. Knows no pattern.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.base import Clock, Day, Reader

__all__ = ["EuropeanReader", "number_words"]


@cache
def _converter(code: str) -> Any:
    # Imported here: it loads every language it knows, which text without numbers never needs.
    from num2words import CONVERTER_CLASSES

    return CONVERTER_CLASSES[code]


@lru_cache(maxsize=4096)
def number_words(code: str, value: int, form: str = "cardinal", **options: Any) -> str:
    """Return num2words' words for a number of at most fifteen digits."""
    words = str(getattr(_converter(code), f"to_{form}")(value, **options))
    return words.replace(",", "")


class EuropeanReader(Reader):
    """Says numbers with num2words."""

    code = ""
    #: "one" where a counted word follows, by gender; the table's form stands alone.
    ones: ClassVar[dict[str, str]] = {}
    #: What stands between date, month and year.
    date_joiner = " "

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number."""
        words = number_words(self.code, int(digits))
        return self.agree(words, gender) if gender else words

    def agree(self, words: str, gender: str) -> str:
        """Return the number as it stands before a word of that gender."""
        return self.ones.get(gender, words) if words == self.cardinal("1") else words

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "third"."""
        return number_words(self.code, int(digits), "ordinal")

    def month_day(self, day: int, before: str) -> str:
        """Say the day of a date."""
        return self.cardinal(str(day))

    def date(self, day: Day, before: str) -> str:
        """Say "quinze mars deux mille vingt-quatre"."""
        year, month, date = day
        parts = [self.month_day(date, before)] if date is not None else []
        parts.append(self.months[month - 1])
        if year is not None:
            parts.append(self.year(str(year)))
        return self.date_joiner.join(parts)

    def decimals(self, fraction: str) -> str:
        """Say two digits after the comma as a number, as people do; others one by one."""
        if len(fraction) == 2 and fraction[0] != "0":
            return self.cardinal(fraction)
        return self.digits(fraction)

    def name_number(self, digits: str) -> str:
        """Say the number in a name."""
        return self.digits(digits) if len(digits) > 4 else self.whole(digits)

    def out_of(self, top: str, bottom: str) -> str:
        """Say "dix-huit sur vingt"."""
        return self.join([self.cardinal(top), self.word("over"), self.cardinal(bottom)])

    def clock(self, clock: Clock, half: str = "") -> str:
        """Say "quinze heures trente"."""
        hour, minute, second = clock
        parts = [self.hour(hour)]
        if minute or second:
            parts.append(self.minute(minute or 0))
        if second:
            parts.append(self.minute(second))
        return self.join(parts)

    def hour(self, hour: int) -> str:
        """Say the hour of a time."""
        return self.cardinal(str(hour))

    def minute(self, minute: int) -> str:
        """Say the minutes of a time."""
        return self.cardinal(str(minute))

    def gender_after(self, number: Numeral, after: str) -> str:
        """Return the gender of the word that follows a number, or nothing if none does."""
        del number, after
        return ""


_NEXT_WORD = re.compile(r" ?([^\W\d_]{3,})")


def next_word(text: str) -> str:
    """Return the word right after a number, in small letters."""
    match = _NEXT_WORD.match(text)
    return match[1].lower() if match else ""
