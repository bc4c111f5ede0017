"""Says numbers in Korean: Sino-Korean, and native before the words that count things.

Knows no pattern.
"""

from __future__ import annotations

from qwen3_tts_live.text.cjk_numbers import KOREAN_DIGITS, korean_cardinal
from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.base import Clock, Day, Reader
from qwen3_tts_live.text.tables import Noun

__all__ = ["KoreanReader"]

_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")


class KoreanReader(Reader):
    """Says numbers in Korean."""

    language = "Korean"
    group_joiner = " "
    day_order = "ymd"

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a Sino-Korean number."""
        return korean_cardinal(digits)

    def counted(self, digits: str) -> str:
        """Say a number of things: native below a hundred."""
        value = int(digits)
        if not 0 < value < 100:
            return self.whole(digits)
        return "스무" if value == 20 else _TENS[value // 10] + _ONES[value % 10]

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say 세 번째."""
        return ("첫" if digits.lstrip("0") == "1" else self.counted(digits)) + " 번째"

    def digit(self, char: str) -> str:
        """Say one digit, as in decimals."""
        return KOREAN_DIGITS[int(char)]

    def digits(self, text: str) -> str:
        """Say digits one by one, with 공 for zero."""
        return "".join("공" if char == "0" else self.digit(char) for char in text)

    def decimals(self, fraction: str) -> str:
        """Say what follows the point, with 영 for zero."""
        return "".join(self.digit(char) for char in fraction)

    def number(self, number: Numeral, gender: str = "") -> str:
        """Say any number."""
        minus = "마이너스 " if number.negative else ""
        tail = "점" + self.decimals(number.fraction) if number.fraction else ""
        return minus + self.whole(number.whole) + tail

    def name_number(self, digits: str) -> str:
        """Say two digits as a number, more one by one."""
        return self.whole(digits) if len(digits) <= 2 else self.digits(digits)

    def magnified(self, number: Numeral, power: int) -> str:
        """Say 삼백오십만 for 3.5 million."""
        return self.number(number.scaled(power))

    def money(self, number: Numeral, power: int, major: Noun, minor: Noun | None) -> str:
        """Say 백 달러; cents are decimals."""
        gap = "" if major.forms[0] == "원" else " "
        return self.magnified(number, power) + gap + major.forms[0]

    def temperature(self, number: Numeral, scale: str) -> str:
        """Say 영하 오 도; degrees are Celsius unless said otherwise."""
        start = self.word("fahrenheit") + " " if scale == "F" else ""
        start += "영하 " if number.negative else ""
        return f"{start}{self.number(number._replace(negative=False))}도"

    def between(self, first: str, second: str) -> str:
        """Say 삼에서 오."""
        return f"{first}에서 {second}"

    def score(self, first: str, second: str) -> str:
        """Say 삼 대 이."""
        return f"{self.whole(first)} 대 {self.whole(second)}"

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say 삼분의 일."""
        return self.join(
            [self.whole(whole) if whole else "", self.whole(bottom) + "분의", self.whole(top)]
        )

    def month(self, number: int) -> str:
        """Say a month; two of them have forms of their own."""
        return {6: "유", 10: "시"}.get(number, korean_cardinal(str(number))) + "월"

    def date(self, day: Day, before: str) -> str:
        """Say 이천이십오년 삼월 십오일."""
        year, month, date = day
        parts = [f"{korean_cardinal(str(year))}년"] if year is not None else []
        parts.append(self.month(month))
        if date is not None:
            parts.append(f"{korean_cardinal(str(date))}일")
        return " ".join(parts)

    def hour(self, hour: int) -> str:
        """Say an hour: native up to twelve."""
        spoken = self.counted(str(hour)) if 1 <= hour <= 12 else korean_cardinal(str(hour))
        return spoken + "시"

    def clock(self, clock: Clock, half: str = "") -> str:
        """Say 세시 삼십분."""
        hour, minute, second = clock
        parts = [{"am": "오전", "pm": "오후"}.get(half, ""), self.hour(hour)]
        if minute or second:
            parts.append(korean_cardinal(str(minute or 0)) + "분")
        if second is not None:
            parts.append(korean_cardinal(str(second)) + "초")
        return self.join(parts)

    def duration(self, clock: Clock) -> str:
        """Say 두 시간 삼십분."""
        hour, minute, second = clock
        parts = [self.counted(str(hour)) + " 시간"] if hour else []
        parts += [korean_cardinal(str(minute)) + "분"] if minute else []
        return self.join([*parts, korean_cardinal(str(second)) + "초" if second else ""])
