"""Says numbers in English. Knows no pattern."""

from __future__ import annotations

from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.base import Clock, Day, Reader
from qwen3_tts_live.text.tables import Noun

__all__ = ["EnglishReader"]

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_GROUPS = ("", " thousand", " million", " billion", " trillion")
_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


class EnglishReader(Reader):
    """Says numbers in English."""

    language = "English"
    day_order = "mdy"
    magnitudes: ClassVar = {3: "thousand", 6: "million", 9: "billion", 12: "trillion"}

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number of up to fifteen digits."""
        value = int(digits)
        if value == 0:
            return "zero"
        parts = []
        for rank in range(len(digits) // 3, -1, -1):
            group = value // 1000**rank % 1000
            if group:
                parts.append(_under_thousand(group, last=rank == 0) + _GROUPS[rank])
        return " ".join(parts)

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "twenty third"."""
        head, _, last = self.cardinal(digits).rpartition(" ")
        if last in _IRREGULAR:
            last = _IRREGULAR[last]
        else:
            last = (last[:-1] + "ie" if last.endswith("y") else last) + "th"
        return f"{head} {last}".strip()

    def pair(self, digits: str) -> str:
        """Say two digits as they stand: "oh five", "forty"."""
        return f"oh {_SMALL[int(digits[1])]}" if digits[0] == "0" else self.cardinal(digits)

    def year(self, digits: str) -> str:
        """Say "nineteen oh five", "two thousand one"."""
        if len(digits) != 4 or digits[:3] == "200":
            return self.cardinal(digits)
        return self.name_number(digits)

    def name_number(self, digits: str) -> str:
        """Say "seven forty seven", "forty ninety", "twelve oh five"."""
        if digits[0] == "0" or len(digits) > 4:
            return self.digits(digits)
        if len(digits) == 3:
            if digits[1:] == "00":
                return self.cardinal(digits)
            return f"{_SMALL[int(digits[0])]} {self.pair(digits[1:])}"
        if len(digits) == 4 and digits[1:] != "000":
            tail = "hundred" if digits[2:] == "00" else self.pair(digits[2:])
            return f"{self.cardinal(digits[:2])} {tail}"
        return self.cardinal(digits)

    def phone(self, text: str) -> str:
        """Say a telephone number; 800 is a number."""
        groups = super().phone(text).split(", ")
        return ", ".join("eight hundred" if g == "eight zero zero" else g for g in groups)

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say "one and a half"."""
        if not whole and int(bottom) >= 50 and int(top) > 1:
            return f"{self.cardinal(top)} out of {self.cardinal(bottom)}"
        part = {"2": "half", "4": "quarter"}.get(bottom) or self.ordinal(bottom)
        if top.lstrip("0") != "1":
            part = "halves" if part == "half" else part + "s"
        if not whole:
            return f"{self.cardinal(top)} {part}"
        article = "a" if top.lstrip("0") == "1" else self.cardinal(top)
        return f"{self.cardinal(whole)} and {article} {part}"

    def date(self, day: Day, before: str) -> str:
        """Say "March fifteenth, twenty twenty four"."""
        year, month, date = day
        spoken = self.months[month - 1]
        if date is not None:
            spoken += f" {self.ordinal(str(date))}"
        return f"{spoken}, {self.year(str(year))}" if year is not None else spoken

    def clock(self, clock: Clock, half: str = "") -> str:
        """Say "three thirty P M", "fourteen oh five"."""
        hour, minute, second = clock
        parts = [self.cardinal(str(hour))]
        if minute:
            parts.append(self.pair(f"{minute:02}"))
        elif not half and minute == 0 and second is None:
            parts.append("o'clock" if 0 < hour < 13 else "hundred")
        if second:
            parts += ["and", self.measure(Numeral(str(second)), Noun(("second", "seconds"), ""))]
        return " ".join(parts + ([{"am": "A M", "pm": "P M"}[half]] if half else []))

    def duration(self, clock: Clock) -> str:
        """Say "one hour, two minutes and three seconds"."""
        units = (("hour", "hours"), ("minute", "minutes"), ("second", "seconds"))
        return ", ".join(
            self.measure(Numeral(str(value)), Noun(forms, ""))
            for value, forms in zip(clock, units, strict=True)
            if value
        )


def _under_thousand(value: int, *, last: bool) -> str:
    hundreds, rest = divmod(value, 100)
    parts = [f"{_SMALL[hundreds]} hundred"] if hundreds else []
    if rest:
        if parts and last:
            parts.append("and")
        parts.append(_SMALL[rest] if rest < 20 else _TENS[rest // 10] + _tail(rest % 10))
    return " ".join(parts)


def _tail(digit: int) -> str:
    return f" {_SMALL[digit]}" if digit else ""
