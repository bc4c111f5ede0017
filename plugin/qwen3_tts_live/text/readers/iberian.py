"""Says numbers in Spanish and Portuguese, which agree in gender alike. Knows no pattern."""

from __future__ import annotations

from typing import ClassVar

from qwen3_tts_live.text.numerals import Numeral
from qwen3_tts_live.text.readers.european import EuropeanReader, next_word
from qwen3_tts_live.text.tables import Noun

__all__ = ["PortugueseReader", "SpanishReader"]

_FEMININE = ("as", "ades", "iones", "ções", "sões", "ices")
_FEMININE_ONE = ("a", "dad", "dade", "ión", "ção", "são")


class _IberianReader(EuropeanReader):
    date_joiner = " de "
    shares: ClassVar[dict[str, str]] = {}

    def of(self, power: int) -> str:
        return "de" if power >= 6 else ""

    def gender_after(self, number: Numeral, after: str) -> str:
        word = next_word(after)
        if not word or word in self.words["uncounted"].split():
            return ""
        endings = _FEMININE_ONE if number.is_one else _FEMININE
        masculine = word in self.words["odd_gender"].split()
        return "f" if word.endswith(endings) and not masculine else "m"

    def fraction(self, whole: str, top: str, bottom: str) -> str:
        if not whole and int(bottom) > 10:
            return self.out_of(top, bottom)
        part = self.shares.get(bottom) or self.ordinal(bottom)
        start = [self.cardinal(whole), self.word("&")] if whole else []
        many = "" if top == "1" else "s"
        return self.join([*start, self.cardinal(top, "m"), part + many])


class SpanishReader(_IberianReader):
    """Says numbers in Spanish."""

    language = "Spanish"
    code = "es"
    shares: ClassVar = {"2": "medio", "3": "tercio", "4": "cuarto"}
    magnitudes: ClassVar = {
        3: "mil",
        6: "millón/millones",
        9: "mil millones",
        12: "billón/billones",
    }

    def agree(self, words: str, gender: str) -> str:
        """Say "veintiún años", "treinta y una casas", "doscientas personas"."""
        if gender == "f":
            words = words.replace("cientos", "cientas").replace("quinientos", "quinientas")
            return words[:-1] + "a" if words.endswith("uno") else words
        if words.endswith("veintiuno"):
            return words[:-3] + "ún"
        return words[:-1] if words.endswith("uno") else words

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "tercero", "segunda"."""
        words = super().ordinal(digits)
        return words[:-1] + "a" if gender == "f" else words

    def hour(self, hour: int) -> str:
        """Say "la una", "las dos" without the article."""
        return self.cardinal(str(hour), "f" if hour % 10 == 1 and hour != 11 else "")

    def minute(self, minute: int) -> str:
        """Say "y cinco"; larger numbers follow the hour directly."""
        return f"y {self.cardinal(str(minute))}" if minute < 10 else self.cardinal(str(minute))

    def amount(self, whole: Numeral, cents: Numeral, major: Noun, minor: Noun) -> str:
        """Say "doce euros con cincuenta"."""
        return self.join([self.measure(whole, major), "con", self.cardinal(cents.whole)])


class PortugueseReader(_IberianReader):
    """Says numbers in Brazilian Portuguese, which European speakers understand as well."""

    language = "Portuguese"
    code = "pt_BR"
    shares: ClassVar = {"2": "meio", "3": "terço", "4": "quarto"}
    magnitudes: ClassVar = {
        3: "mil",
        6: "milhão/milhões",
        9: "bilhão/bilhões",
        12: "trilhão/trilhões",
    }

    def agree(self, words: str, gender: str) -> str:
        """Say "duas horas", "vinte e uma pessoas", "duzentas casas"."""
        if gender != "f":
            return words
        words = words.replace("entos", "entas")
        if words == "um" or words.endswith(" um"):
            return words[:-1] + "ma"
        return words[:-4] + "duas" if words == "dois" or words.endswith(" dois") else words

    def ordinal(self, digits: str, gender: str = "m") -> str:
        """Say "terceiro", "primeira"."""
        words = super().ordinal(digits)
        if gender != "f":
            return words
        return " ".join(word[:-1] + "a" if word.endswith("o") else word for word in words.split())

    def month_day(self, day: int, before: str) -> str:
        """Say "primeiro" for the first only."""
        return "primeiro" if day == 1 else self.cardinal(str(day))

    def hour(self, hour: int) -> str:
        """Say "quinze horas"."""
        return self.cardinal(str(hour), "f")

    def minute(self, minute: int) -> str:
        """Say "e trinta"."""
        return f"e {self.cardinal(str(minute))}"
