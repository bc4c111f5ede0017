"""Says numbers in French. Knows no pattern."""

from __future__ import annotations

from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.european import EuropeanReader, next_word
from qwen3_tts_live.text.tables import Noun

__all__ = ["FrenchReader"]

_FEMININE_ENDINGS = ("tion", "tions", "sion", "sions", "té", "tés", "ette", "ettes", "ée", "ées")


class FrenchReader(EuropeanReader):
    """Says numbers in French."""

    language = "French"
    code = "fr"
    magnitudes: ClassVar = {
        3: "mille/mille",
        6: "million/millions",
        9: "milliard/milliards",
        12: "billion/billions",
    }

    def noun(self, noun: Noun, number: Numeral) -> str:
        """Return the form of a counted word: singular below two."""
        return noun.forms[0 if int(number.whole) < 2 else -1]

    def agree(self, words: str, gender: str) -> str:
        """Say "vingt et une"."""
        if gender == "f" and (words == "un" or words.endswith(" un")):
            return words + "e"
        return words

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "premier", "première", "deuxième"."""
        words = super().ordinal(digits)
        return "première" if gender == "f" and words == "premier" else words

    def month_day(self, day: int, before: str) -> str:
        """Say "premier" for the first only."""
        return "premier" if day == 1 else self.cardinal(str(day))

    def hour(self, hour: int) -> str:
        """Say "quinze heures"."""
        return f"{self.cardinal(str(hour), 'f')} {'heure' if hour < 2 else 'heures'}"

    def of(self, power: int) -> str:
        """Say "millions d'euros"."""
        return "de" if power >= 6 else ""

    def money(self, number: Numeral, power: int, major: Noun, minor: Noun | None) -> str:
        """Say an amount; "de" loses its vowel before another."""
        return super().money(number, power, major, minor).replace(" de e", " d'e")

    def amount(self, whole: Numeral, cents: Numeral, major: Noun, minor: Noun) -> str:
        """Say "douze euros cinquante"."""
        return self.join([self.measure(whole, major), self.cardinal(cents.whole)])

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say "trois quarts"."""
        if not whole and int(bottom) > 10:
            return self.out_of(top, bottom)
        part = {"2": "demi", "3": "tiers", "4": "quart"}.get(bottom) or self.ordinal(bottom)
        if top != "1" and part != "tiers":
            part += "s"
        start = [self.cardinal(whole), "et"] if whole else []
        return self.join([*start, self.cardinal(top), part])

    def gender_after(self, number: Numeral, after: str) -> str:
        """Know a few words and endings; only "un" changes."""
        word = next_word(after)
        known = word in self.words["odd_gender"].split()
        return "f" if known or word.endswith(_FEMININE_ENDINGS) else ""
