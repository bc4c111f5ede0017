"""Says numbers in Russian, whose numbers have gender and case. Knows no pattern.

Cases are those that the words around a number show plainly; elsewhere the nominative.
"""

from __future__ import annotations

import re
from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.base import Clock, Day
from qwen3_tts_live.text.readers.european import EuropeanReader, next_word, number_words
from qwen3_tts_live.text.tables import Noun

__all__ = ["RussianReader"]

_TENTHS = ("", "десятая/десятых", "сотая/сотых", "тысячная/тысячных")
_ACCUSATIVE_DATE = re.compile(r"\bпо\s*$", re.IGNORECASE)


class RussianReader(EuropeanReader):
    """Says numbers in Russian."""

    language = "Russian"
    code = "ru"
    magnitudes: ClassVar = {
        3: "тысяча/тысячи/тысяч@f",
        6: "миллион/миллиона/миллионов",
        9: "миллиард/миллиарда/миллиардов",
        12: "триллион/триллиона/триллионов",
    }

    def noun(self, noun: Noun, number: Numeral) -> str:
        """Return the form that the number governs."""
        if number.fraction:
            return noun.forms[min(1, len(noun.forms) - 1)]
        tens, ones = divmod(int(number.whole) % 100, 10)
        if tens == 1 or ones == 0 or ones > 4:
            return noun.forms[-1]
        return noun.forms[0 if ones == 1 else min(1, len(noun.forms) - 1)]

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number; 1 and 2 have genders."""
        options = {"gender": gender} if gender in ("f", "n") else {}
        return number_words("ru", int(digits), **options)

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "третий"."""
        return self.inflected_ordinal(digits, gender, "n")

    def inflected_ordinal(self, digits: str, gender: str, case: str) -> str:
        """Say an ordinal in a gender ("p" for the plural) and a case."""
        plural = gender == "p"
        words = number_words(
            "ru", int(digits), "ordinal", case=case, plural=plural, gender="m" if plural else gender
        )
        # One thousand of a year is said without "one".
        return words.removeprefix("одна ")

    def inflected_cardinal(self, digits: str, case: str) -> str:
        """Say a whole number in a case."""
        return number_words("ru", int(digits), case=case)

    def year(self, digits: str) -> str:
        """Say a year, which is an ordinal."""
        return self.ordinal(digits)

    def number(self, number: Numeral, gender: str = "") -> str:
        """Say "три целых пять десятых"."""
        if number[:3] == ("1", "5", ","):
            return "полторы" if gender == "f" else "полтора"
        size = len(number.fraction)
        if not 0 < size < len(_TENTHS):
            return super().number(number, gender)
        part = Noun(tuple(_TENTHS[size].split("/")), "f")
        tail = self.cardinal(number.fraction, "f")
        wholes = self.noun(Noun(("целая", "целых"), "f"), Numeral(number.whole))
        parts = [self.word("minus")] if number.negative else []
        parts += [self.whole(number.whole, "f"), wholes, tail]
        return self.join([*parts, self.noun(part, Numeral(number.fraction))])

    def month_day(self, day: int, before: str) -> str:
        """Say "пятнадцатого"; after "по" the accusative."""
        case = "n" if _ACCUSATIVE_DATE.search(before) else "g"
        return self.inflected_ordinal(str(day), "n", case)

    def date(self, day: Day, before: str) -> str:
        """Say "пятнадцатого марта две тысячи двадцать пятого года"."""
        year, month, date = day
        spoken = self.months[month - 1]
        if date is not None:
            spoken = f"{self.month_day(date, before)} {spoken}"
        return (
            f"{spoken} {self.inflected_ordinal(str(year), 'm', 'g')} года"
            if year is not None
            else spoken
        )

    def clock(self, clock: Clock, half: str = "") -> str:
        """Say "девять часов", "пятнадцать тридцать"."""
        if clock[1] or clock[2]:
            return super().clock(clock, half)
        hours = Noun(("час", "часа", "часов"), "m")
        return self.measure(Numeral(str(clock[0])), hours)

    def minute(self, minute: int) -> str:
        """Say "ноль пять"."""
        return ("ноль " if minute < 10 else "") + self.cardinal(str(minute), "f" if minute else "")

    def amount(self, whole: Numeral, cents: Numeral, major: Noun, minor: Noun) -> str:
        """Say "двенадцать евро пятьдесят центов"."""
        return self.join([self.measure(whole, major), self.measure(cents, minor)])

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say "одна треть", "три четверти"."""
        names = {"2": "вторая/вторых", "3": "треть/трети", "4": "четверть/четверти"}
        part = (
            names.get(bottom)
            or f"{self.ordinal(bottom, 'f')}/{self.inflected_ordinal(bottom, 'p', 'g')}"
        )
        form = part.split("/")[0 if top == "1" else -1]
        start = [self.cardinal(whole), "и"] if whole else []
        return self.join([*start, self.cardinal(top, "f"), form])

    def gender_after(self, number: Numeral, after: str) -> str:
        """Go by the ending of the next word: книга, яблоко; after 2 книги, яблока."""
        word = next_word(after)
        if number.fraction:
            return "f" if word.endswith(("ы", "и")) else ""
        last = int(number.whole[-2:])
        if not word or 10 < last < 20 or last % 10 not in (1, 2):
            return ""
        if last % 10 == 2:
            return "f" if word.endswith(("ы", "и")) else ""
        return "f" if word.endswith(("а", "я")) else "n" if word.endswith(("о", "е")) else ""
