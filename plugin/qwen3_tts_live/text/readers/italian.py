"""Says numbers in Italian. Knows no pattern."""

from __future__ import annotations

import re
from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.european import EuropeanReader, next_word
from qwen3_tts_live.text.tables import Noun

__all__ = ["ItalianReader"]

# Before these sounds it is "uno zaino", not "un".
_UNO = re.compile(r"z|x|y|gn|ps|pn|s[bcdfghlmnpqrtvz]")


class ItalianReader(EuropeanReader):
    """Says numbers in Italian."""

    language = "Italian"
    code = "it"
    magnitudes: ClassVar = {
        3: "mille/mila",
        6: "milione/milioni",
        9: "miliardo/miliardi",
        12: "bilione/bilioni",
    }
    ones: ClassVar = {"m": "un", "f": "una", "z": "uno"}

    def cardinal(self, digits: str, gender: str = "") -> str:
        """Say a whole number; "tre" at the end of a longer word is accented."""
        words = re.sub(r"(?<=[a-z])tre$", "tré", super().cardinal(digits))
        return self.agree(words, gender) if gender else words

    def agree(self, words: str, gender: str) -> str:
        """Say "un euro", "una volta"."""
        return self.ones.get(gender, words) if words == "uno" else words

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "terzo", "seconda"."""
        words = super().ordinal(digits)
        return words[:-1] + "a" if gender == "f" else words

    def month_day(self, day: int, before: str) -> str:
        """Say "primo" for the first only."""
        return "primo" if day == 1 else self.cardinal(str(day))

    def minute(self, minute: int) -> str:
        """Say "e trenta"."""
        return f"e {self.cardinal(str(minute))}"

    def of(self, power: int) -> str:
        """Say "milioni di euro"."""
        return "di" if power >= 6 else ""

    def amount(self, whole: Numeral, cents: Numeral, major: Noun, minor: Noun) -> str:
        """Say "dodici euro e cinquanta"."""
        return self.join([self.measure(whole, major), "e", self.cardinal(cents.whole)])

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say "tre quarti"."""
        if not whole and int(bottom) > 10:
            return self.out_of(top, bottom)
        part = "mezzo" if bottom == "2" else self.ordinal(bottom)
        if top != "1":
            part = part[:-1] + "i"
        start = [self.cardinal(whole), "e"] if whole else []
        return self.join([*start, self.cardinal(top, "m"), part])

    def gender_after(self, number: Numeral, after: str) -> str:
        """Guess from the ending of the next word; only 1 changes."""
        word = next_word(after)
        if not word or not number.is_one or word in self.words["uncounted"].split():
            return ""
        if word.endswith(("a", "ione", "tà")):
            return "f"
        return "z" if _UNO.match(word) else "m"
