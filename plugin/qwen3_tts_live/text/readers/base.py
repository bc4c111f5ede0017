"""What every language's reader can say, in terms of that language's tables.

Written for languages that put spaces between words and the unit after the number; the others
override what differs. Knows no pattern: rules find, readers say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.tables import Noun, parse_noun, table

__all__ = ["Clock", "Day", "Reader"]

# Larger numbers are read digit by digit: nobody can follow them otherwise.
_MAX_CARDINAL = 15

Day = tuple[int | None, int, int | None]  # year, month, day
Clock = tuple[int, int | None, int | None]  # hour, minute, second


class Reader(ABC):
    """Says numbers and what is made of them in one language."""

    language = ""
    joiner = " "
    #: How a local date is ordered where the year comes last or first: "dmy", "mdy" or "ymd".
    day_order = "dmy"
    #: Names of powers of ten, as nouns.
    magnitudes: ClassVar[Mapping[int, str]] = {}

    # ------------------------------------------------------------ words

    @cached_property
    def words(self) -> dict[str, str]:
        """How this language names symbols."""
        return table("words", self.language)

    @cached_property
    def months(self) -> list[str]:
        """The names of the months, in the form that a date has."""
        return self.words["months"].split()

    def word(self, key: str) -> str:
        """Return one word of the table in its first form."""
        return self.words[key].split("/")[0]

    def join(self, parts: Iterable[str]) -> str:
        """Join words as the language writes them."""
        return self.joiner.join(part for part in parts if part)

    def noun(self, noun: Noun, number: Numeral) -> str:
        """Return the form of a counted word."""
        return noun.forms[0] if number.is_one else noun.forms[-1]

    # ------------------------------------------------------------ numbers

    @abstractmethod
    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number. `gender` is given where a counted word follows."""
        ...

    @abstractmethod
    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "third"."""
        ...

    def inflected_ordinal(self, digits: str, gender: str, case: str) -> str:
        """Say an ordinal in a gender and a case, where the language has cases."""
        del case
        return self.ordinal(digits, gender)

    def inflected_cardinal(self, digits: str, case: str) -> str:
        """Say a whole number in a case, where the language has cases."""
        del case
        return self.cardinal(digits)

    def digit(self, char: str) -> str:
        """Say one digit."""
        return self.cardinal(char)

    def digits(self, text: str) -> str:
        """Say digits one by one."""
        return self.join(self.digit(char) for char in text)

    def whole(self, digits: str, gender: str = "") -> str:
        """Say a whole number, or its digits where a leading zero or its length asks for it."""
        if len(digits) > _MAX_CARDINAL or (len(digits) > 1 and digits[0] == "0"):
            return self.digits(digits)
        return self.cardinal(digits, gender)

    def decimals(self, fraction: str) -> str:
        """Say what follows the decimal mark."""
        return self.digits(fraction)

    def number(self, number: Numeral, gender: str = "") -> str:
        """Say any number."""
        parts = [self.word("minus")] if number.negative else []
        if number.fraction:
            mark = self.word("comma" if number.mark == "," else "point")
            parts += [self.whole(number.whole), mark, self.decimals(number.fraction)]
        else:
            parts.append(self.whole(number.whole, gender))
        return self.join(parts)

    def year(self, digits: str) -> str:
        """Say a year."""
        return self.cardinal(digits)

    def name_number(self, digits: str) -> str:
        """Say the number in a name: GPT-4, RTX 4090, Boeing 747."""
        return self.whole(digits)

    def phone(self, text: str) -> str:
        """Say a telephone number or code; what is no digit separates groups."""
        groups = "".join(char if char.isdigit() else " " for char in text).split()
        spoken = self.group_joiner.join(self.digits(group) for group in groups)
        return self.join([self.word("+"), spoken]) if text.startswith("+") else spoken

    group_joiner = ", "

    # ------------------------------------------------------------ quantities

    def measure(self, number: Numeral, unit: Noun) -> str:
        """Say "five kilometers"."""
        return self.join([self.number(number, unit.gender), self.noun(unit, number)])

    def magnified(self, number: Numeral, power: int) -> str:
        """Say "three point five million"."""
        if not power:
            return self.number(number)
        noun = parse_noun(self.magnitudes[power])
        return self.join([self.number(number, noun.gender), self.noun(noun, number)])

    def money(self, number: Numeral, power: int, major: Noun, minor: Noun | None) -> str:
        """Say an amount of money."""
        if power:
            many = self.noun(major, Numeral("5"))
            return self.join([self.magnified(number, power), self.of(power), many])
        if minor is None or len(number.fraction) != 2:
            return self.measure(number, major)
        whole, cents = number._replace(fraction=""), Numeral(number.fraction.lstrip("0") or "0")
        if cents.whole == "0":
            return self.measure(whole, major)
        if not whole.whole.strip("0"):
            return self.measure(cents._replace(negative=number.negative), minor)
        return self.amount(whole, cents, major, minor)

    def amount(self, whole: Numeral, cents: Numeral, major: Noun, minor: Noun) -> str:
        """Say "twelve dollars and fifty cents"."""
        return self.join([self.measure(whole, major), self.word("&"), self.measure(cents, minor)])

    def of(self, power: int) -> str:
        """Return what stands between "million" and the currency."""
        del power
        return ""

    def percent(self, number: Numeral, sign: str = "%") -> str:
        """Say "five percent"."""
        noun = parse_noun(self.words["permille" if sign == "‰" else "percent"])
        return self.measure(number, noun)

    def temperature(self, number: Numeral, scale: str) -> str:
        """Say a temperature; `scale` is C, F or empty."""
        degree = self.measure(number, parse_noun(self.words["degree"]))
        name = {"C": "celsius", "F": "fahrenheit"}.get(scale)
        return self.join([degree, self.word(name) if name else ""])

    def between(self, first: str, second: str) -> str:
        """Say a range of two things that are already words."""
        return self.join([first, self.word("to"), second])

    def score(self, first: str, second: str) -> str:
        """Say the result of a game."""
        return self.join([self.whole(first), self.word("versus"), self.whole(second)])

    @abstractmethod
    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say "one and a half"; `whole` may be empty."""
        ...

    # ------------------------------------------------------------ calendar and clock

    @abstractmethod
    def date(self, day: Day, before: str) -> str:
        """Say a date that is written in digits; `before` is the text before it."""
        ...

    @abstractmethod
    def clock(self, clock: Clock, half: str = "") -> str:
        """Say a time of day; `half` is "am", "pm" or empty."""
        ...

    def duration(self, clock: Clock) -> str:
        """Say hours, minutes and seconds."""
        hours, minutes, seconds = clock
        return self.clock((hours, minutes, seconds))
