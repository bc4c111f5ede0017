"""Says numbers in Japanese. Knows no pattern."""

from __future__ import annotations

from qwen3_tts_live.text.cjk_numbers import japanese_cardinal
from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.base import Clock, Day, Reader
from qwen3_tts_live.text.tables import Noun

__all__ = ["JapaneseReader"]

_DIGITS = ("ゼロ", "一", "二", "三", "四", "五", "六", "七", "八", "九")


class JapaneseReader(Reader):
    """Says numbers in Japanese."""

    language = "Japanese"
    joiner = ""
    group_joiner = "の"
    day_order = "ymd"

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number."""
        return japanese_cardinal(digits)

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say 三番目."""
        return self.whole(digits) + "番目"

    def digit(self, char: str) -> str:
        """Say one digit."""
        return _DIGITS[int(char)]

    def name_number(self, digits: str) -> str:
        """Say two digits as a number, more one by one."""
        return self.whole(digits) if len(digits) <= 2 else self.digits(digits)

    def magnified(self, number: Numeral, power: int) -> str:
        """Say 三百五十万 for 3.5 million."""
        return self.number(number.scaled(power))

    def money(self, number: Numeral, power: int, major: Noun, minor: Noun | None) -> str:
        """Say 百ドル; cents are decimals."""
        return self.magnified(number, power) + major.forms[0]

    def temperature(self, number: Numeral, scale: str) -> str:
        """Say マイナス五度; degrees are Celsius unless said otherwise."""
        start = self.word("fahrenheit") if scale == "F" else ""
        return start + self.number(number) + self.word("degree")

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say 一と四分の三."""
        start = self.whole(whole) + "と" if whole else ""
        return f"{start}{self.whole(bottom)}分の{self.whole(top)}"

    def date(self, day: Day, before: str) -> str:
        """Say 二千二十五年三月十五日."""
        names = zip(day, ("年", "月", "日"), strict=True)
        return "".join(
            japanese_cardinal(str(value)) + name for value, name in names if value is not None
        )

    def clock(self, clock: Clock, half: str = "") -> str:
        """Say 三時三十分."""
        start = {"am": "午前", "pm": "午後"}.get(half, "")
        names = zip(clock, ("時", "分", "秒"), strict=True)
        return start + "".join(
            japanese_cardinal(str(value)) + name
            for value, name in names
            if value is not None and (value or name == "時")
        )

    def duration(self, clock: Clock) -> str:
        """Say 一時間二十三分."""
        return self.clock(clock).replace("時", "時間", 1)
