"""Says numbers in German. Knows no pattern."""

from __future__ import annotations

import re
from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.european import EuropeanReader, next_word
from qwen3_tts_live.text.tables import Noun

__all__ = ["GermanReader"]

# What stands before an ordinal decides its ending: "am dritten", "der dritte", "ein dritter".
_WEAK_N = re.compile(
    r"(?:\b(?:am|im|vom|zum|zur|beim|dem|den|des|seit|bis|ab|nach|vor|diesem|diesen|jedem|jeden|"
    r"einem|einen|einer|eines|(?:in|an|auf|mit|von|aus|bei|nach|seit|zu|unter|vor|zwischen) der)"
    r"|\b\w+tag,? den|\. (?:bis|und|oder|/|-))\s*$",
    re.IGNORECASE,
)
_WEAK_E = re.compile(
    r"\b(?:der|die|das|dieser|diese|dieses|jede|jeder|jedes|eine)\s*$", re.IGNORECASE
)
_FEMININE = ("e", "ung", "heit", "keit", "schaft", "ion", "tät", "ik", "ur")


class GermanReader(EuropeanReader):
    """Says numbers in German."""

    language = "German"
    code = "de"
    magnitudes: ClassVar = {
        3: "tausend",
        6: "Million/Millionen@f",
        9: "Milliarde/Milliarden@f",
        12: "Billion/Billionen@f",
    }
    ones: ClassVar = {"m": "ein", "f": "eine", "n": "ein"}

    def noun(self, noun: Noun, number: Numeral) -> str:
        """Return the form of a counted word; a unit without prefix is a noun of its own."""
        form = super().noun(noun, number)
        return form[0].upper() + form[1:] if form != "tausend" else form

    def decimals(self, fraction: str) -> str:
        """Say decimals one by one."""
        return self.digits(fraction)

    def year(self, digits: str) -> str:
        """Say "neunzehnhundertachtundneunzig"."""
        if (
            digits[:2] in {"11", "12", "13", "14", "15", "16", "17", "18", "19"}
            and len(digits) == 4
        ):
            tail = self.cardinal(digits[2:]) if digits[2:] != "00" else ""
            return f"{self.cardinal(digits[:2])}hundert{tail}"
        return self.cardinal(digits)

    def ordinal_after(self, digits: str, before: str) -> str:
        """Say an ordinal with the ending that the text before it asks for."""
        words = self.ordinal(digits)
        if _WEAK_N.search(before):
            return words + "n"
        return words if _WEAK_E.search(before) else words + "r"

    def month_day(self, day: int, before: str) -> str:
        """Say the day of a date."""
        return self.ordinal_after(str(day), before)

    def hour(self, hour: int) -> str:
        """Say "ein Uhr"."""
        return f"{self.agree(self.cardinal(str(hour)), 'n')} Uhr"

    def amount(self, whole: Numeral, cents: Numeral, major: Noun, minor: Noun) -> str:
        """Say "zwölf Euro fünfzig"."""
        return self.join([self.measure(whole, major), self.cardinal(cents.whole)])

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        """Say "drei Viertel"."""
        value = int(bottom)
        part = "halb" if value == 2 else number_part(self.ordinal(bottom))
        if value == 2 and top != "1":
            part = "Halbe"
        start = self.cardinal(whole) if whole else ""
        return self.join([start, "und" if start else "", self.cardinal(top, "n"), part])

    def gender_after(self, number: Numeral, after: str) -> str:
        """Guess from the ending of the next word; only 1 changes."""
        word = next_word(after)
        if not word or not number.is_one or word in self.words["uncounted"].split():
            return ""
        feminine = word.endswith(_FEMININE) or word in self.words["odd_gender"].split()
        return "f" if feminine else "m"


def number_part(ordinal: str) -> str:
    """Return "Viertel" for "vierte"."""
    return ordinal[0].upper() + ordinal[1:] + "l"
