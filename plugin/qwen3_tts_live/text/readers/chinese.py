"""Says numbers in Chinese. Knows no pattern."""

from __future__ import annotations

from qwen3_tts_live.text.cjk_numbers import chinese_cardinal
from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.base import Clock, Day, Reader
from qwen3_tts_live.text.tables import Noun

__all__ = ["ChineseReader"]

_DIGITS = "零一二三四五六七八九"


class ChineseReader(Reader):
    """Says numbers in Chinese."""

    language = "Chinese"
    joiner = ""
    group_joiner = "，"
    day_order = "ymd"

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number; with any `gender`, a lone 2 counts something: 两."""
        if gender and digits.lstrip("0") == "2":
            return "两"
        return chinese_cardinal(digits)

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say 第三."""
        return "第" + self.whole(digits)

    def digit(self, char: str) -> str:
        """Say one digit."""
        return _DIGITS[int(char)]

    def year(self, digits: str) -> str:
        """Say a year digit by digit."""
        return self.digits(digits)

    def name_number(self, digits: str) -> str:
        """Say two digits as a number, more one by one: F十六, RTX 四零九零."""
        return self.whole(digits) if len(digits) <= 2 else self.digits(digits)

    def phone(self, text: str) -> str:
        """Say a telephone number, where 1 is 幺."""
        return super().phone(text).replace("一", "幺")

    def measure(self, number: Numeral, unit: Noun) -> str:
        """Say 五公里. Only the everyday measures take 两."""
        counts = unit.forms[0].startswith(("公", "小时", "分钟", "米", "升", "吨", "英", "磅"))
        return self.join([self.number(number, "m" if counts else ""), unit.forms[0]])

    def magnified(self, number: Numeral, power: int) -> str:
        """Say 三百五十万 for 3.5 million."""
        return self.number(number.scaled(power))

    def money(self, number: Numeral, power: int, major: Noun, minor: Noun | None) -> str:
        """Say 一百九十九点五元; cents are decimals."""
        if not power and number.whole == "2":
            return self.join([self.number(number, "m"), major.forms[0]])
        return self.magnified(number, power) + major.forms[0]

    def percent(self, number: Numeral, sign: str = "%") -> str:
        """Say 百分之五; 百分之百."""
        sign_word = self.word("permille" if sign == "‰" else "percent")
        value = number._replace(negative=False)
        spoken = "百" if sign == "%" and value.whole == "100" and not value.fraction else ""
        return ("负" if number.negative else "") + sign_word + (spoken or self.number(value))

    def temperature(self, number: Numeral, scale: str) -> str:
        """Say 零下五摄氏度."""
        name = self.word({"C": "celsius", "F": "fahrenheit"}.get(scale, "degree"))
        value = self.number(number._replace(negative=False))
        return ("零下" if number.negative else "") + value + name

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say 一又四分之三."""
        start = self.whole(whole) + "又" if whole else ""
        return f"{start}{self.whole(bottom)}分之{self.whole(top)}"

    def date(self, day: Day, before: str) -> str:
        """Say 二零二四年三月十五日."""
        year, month, date = day
        parts = [f"{self.digits(str(year))}年"] if year is not None else []
        parts.append(f"{chinese_cardinal(str(month))}月")
        if date is not None:
            parts.append(f"{chinese_cardinal(str(date))}日")
        return "".join(parts)

    def clock(self, clock: Clock, half: str = "") -> str:
        """Say 三点三十分."""
        hour, minute, second = clock
        start = {"am": "上午", "pm": "下午"}.get(half, "")
        parts = [start + self.cardinal(str(hour), "m") + "点"]
        if minute or second:
            parts.append(self._sixtieth(minute or 0) + "分")
        if second:
            parts.append(self._sixtieth(second) + "秒")
        return "".join(parts)

    def duration(self, clock: Clock) -> str:
        """Say 一小时二十三分四十五秒."""
        names = ("小时", "分", "秒")
        return "".join(
            self.cardinal(str(value), "m" if name == "小时" else "") + name
            for value, name in zip(clock, names, strict=True)
            if value is not None and (value or name != "小时")
        )

    def _sixtieth(self, value: int) -> str:
        return ("零" if 0 < value < 10 else "") + chinese_cardinal(str(value))
