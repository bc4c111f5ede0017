"""Which words of capitals are spelled, and how the letters are written.

Owns the built-in lexicon, the guard against shouted text, and the guess whether letters can be
read as a word. Knows no numbers; the user's own lexicon has been applied before.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

from qwen3_tts_live.text.settings import AcronymStyle
from qwen3_tts_live.text.tables import lines

__all__ = ["Speller", "fixed_forms"]

_LETTER = r"A-Za-z\u00c0-\u024f\u0400-\u052f"
_UPPER = r"A-Z\u00c0-\u00de\u0400-\u042f"
_WORD = re.compile(rf"[{_LETTER}]+")
# A run of capitals: not the first letter of a capitalized word.
_CAPITALS = re.compile(rf"[{_UPPER}]+(?![a-z\u00df-\u00ff\u0430-\u045f])")
_PLURAL = re.compile(rf"([{_UPPER}]{{2,}})(s)$")
_VOWELS = frozenset("AEIOUYÀÁÂÃÄÅÈÉÊËÌÍÎÏÒÓÔÕÖÙÚÛÜАЕЁИОУЫЭЮЯ")
# Consonants that begin words in European languages; other clusters cannot be read as they stand.
_ONSET = re.compile(
    r"[BCFGKPS]L|[BCDFGKPTVW]R|S?CH|S[CHKLMNPQTW]|[GK]N|[PT]H|QU|TW|W[HR]|PF|ZW|SCR|SP[RL]|STR|THR|"
    r"Ш[КП]|СТ|[ПТКБГДВ]Р|С[ПКЛНВ]|[КПБГ]Л"
)
_HARD_END = re.compile(r"(?:[BCDFGHJKLMNPQRSTVWXZ]{4,}|[JQV]|[^LNRSCTFP]T|[BDGHKLMNPRTVWZ]X)$")
# Words of two letters: in capitals they are shouted, not spelled.
_TWO_LETTER_WORDS = {
    "English": "AM AN AS AT BE BY DO GO HE IF IN IS ME MY NO OF OH ON OR SO TO UP WE HI OK",
    "German": "AB AM AN DA DU ER ES IM IN JA OB SO UM WO ZU OK",
    "French": "AU CE DE DU EN ET IL JE LA LE MA NE ON OU SA SE SI TA TU UN OK",
    "Spanish": "AL DE EL EN ES HA LA LE LO ME MI NO SE SI SU TE TU UN YA OK",
    "Portuguese": "AO AS DA DE DO EM EU JÁ NA NO OS OU SE SÓ UM OK",
    "Italian": "AL DA DI È HA HO IL IO LA LE LO MA MI NE NO SE SI SU TI TU UN OK",
    "Russian": "ДА НЕ НА НО ЗА ИЗ ДО ПО ОТ ОН МЫ ВЫ ТЫ ЕЁ ИХ ОБ ОК",
}
# Words that are letters where nobody shouts.
_SHOUTED_SPELLED = frozenset(("IT", "US", "WHO"))


class _Form(NamedTuple):
    kind: str
    spoken: str


@cache
def _lexicon() -> dict[str, _Form]:
    rows = lines("acronyms.tsv")
    return {row[0]: _Form(row[1], row[2] if len(row) > 2 else "") for row in rows}


@cache
def _common_words() -> frozenset[str]:
    text = resources.files("qwen3_tts_live.text").joinpath("data/words.en.txt").read_text("utf-8")
    return frozenset(line.upper() for line in text.splitlines() if not line.startswith("#"))


@cache
def fixed_forms() -> tuple[re.Pattern[str], dict[tuple[str, str], str]]:
    """Return the pattern of all forms that are said in a way of their own.

    And how each is said, by form and language; an empty language holds for all others.
    """
    spoken = {
        (row[0], row[3] if len(row) > 3 else ""): row[2]
        for row in lines("acronyms.tsv")
        if row[1] == "say"
    }
    forms = {written for written, _ in spoken}
    names = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
    pattern = re.compile(rf"(?<![{_LETTER}0-9])(?:{names})(?![{_LETTER}0-9+#])")
    return pattern, spoken


class Speller:
    """Spells the acronyms of one text.

    Args:
        text: the whole text, for what surrounds a word.
        style: how letters are written.
        language: the main language of the text.
    """

    def __init__(self, text: str, style: AcronymStyle, language: str) -> None:
        self._style = style
        self._short = frozenset(
            _TWO_LETTER_WORDS.get(language, _TWO_LETTER_WORDS["English"]).split()
        )
        self._shouting = self._is_shouting(_WORD.findall(text))

    def say(self, word: str, *, beside_digit: bool = False) -> str | None:
        """Return a word with its acronyms spelled, or None if it has none.

        `beside_digit`: a digit touches it, so two letters are no word: the SO of H2SO4.
        """
        if self._style == "off":
            return None
        if beside_digit and len(word) == 2 and word.isupper():
            return self.letters(word)
        form = _lexicon().get(word)
        if form is not None and form.kind == "say":
            return form.spoken
        plural = _PLURAL.fullmatch(word)
        if plural:
            spelled = self._run(plural[1])
            return spelled and f"{spelled} {plural[2]}"
        if word.isupper() or word in _lexicon():
            return self._run(word)
        return self._mixed(word)

    def letters(self, letters: str) -> str:
        """Write letters as the style says."""
        if self._style == "off":
            return letters
        if self._style == "dots":
            return "".join(f"{letter}." for letter in letters)
        return " ".join(letters)

    def _mixed(self, word: str) -> str | None:
        parts: list[str] = []
        at, spelled = 0, False
        for match in _CAPITALS.finditer(word):
            run = self._run(match[0]) if len(match[0]) > 1 else None
            if run is None:
                continue
            parts += [word[at : match.start()], run]
            at, spelled = match.end(), True
        parts.append(word[at:])
        return " ".join(part for part in parts if part) if spelled else None

    def _run(self, run: str) -> str | None:
        return self.letters(run) if len(run) > 1 and self._is_spelled(run) else None

    def _is_spelled(self, run: str) -> bool:
        common = self._is_common(run)
        if self._shouting and (common or run in _SHOUTED_SPELLED or len(run) > 3):
            return not common and run not in _SHOUTED_SPELLED and not _is_pronounceable(run)
        form = _lexicon().get(run)
        if form is not None:
            return form.kind == "spell"
        if run in _SHOUTED_SPELLED:
            return True
        if common:
            return False
        if len(run) <= 3 or not _VOWELS & set(run):
            return True
        return not _is_pronounceable(run)

    def _is_common(self, word: str) -> bool:
        return word in self._short or word in _common_words()

    def _is_shouting(self, words: list[str]) -> bool:
        """Return whether two common words in capitals stand side by side, or most words do."""
        loud = [word.isupper() and len(word) > 1 for word in words]
        common = [
            is_loud and self._is_common(word) for word, is_loud in zip(words, loud, strict=True)
        ]
        if any(one and other for one, other in pairwise(common)):
            return True
        known = sum(common) + sum(
            is_loud and len(word) > 4 and _is_pronounceable(word)
            for word, is_loud in zip(words, loud, strict=True)
        )
        return len(words) > 2 and sum(loud) * 5 >= len(words) * 3 and known * 2 > sum(loud)


def _is_pronounceable(run: str) -> bool:
    if not _VOWELS & set(run) or "Q" in run.replace("QU", ""):
        return False
    clusters = re.split(f"[{''.join(_VOWELS)}]+", run)
    first, middle, last = clusters[0], clusters[1:-1], clusters[-1]
    if len(first) > 1 and not _ONSET.fullmatch(first):
        return False
    if any(len(cluster) > 3 for cluster in middle):
        return False
    return len(last) < 3 and not _HARD_END.search(last if len(last) > 1 else run)
