"""Abbreviations with a point, initials, Roman numerals: words that are not said as written."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from qwen3_tts_live.text.numerals import rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.rules.base import Match, Rule
from qwen3_tts_live.text.tables import lines

__all__ = ["abbreviation_rules", "roman_rules", "roman_value"]

_LETTER = r"A-Za-z\u00c0-\u024f\u0400-\u052f"
_FOLLOWS = {
    "": r"",
    "name": r"(?= ?[A-Z\u00c0-\u00deА-Я])",
    "number": r"(?= ?[0-9])",
    "word": r"(?= ?\S)",
    "text": r"(?! ?(?:[1-9]|[12][0-9]|3[01])(?![0-9]))",
    "street": r"(?=\s+[a-z(0-9]|\s*[,;!?]|\s*$|\s+[NSEW]{1,2}\b)",
}


# ------------------------------------------------------------ abbreviations


@cache
def abbreviation_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for the abbreviations of one language."""
    rules = []
    for written, follows, spoken in _rows(language):
        pattern = re.escape(written).replace(r"\ ", " ?")
        end = "" if written[-1] in ".°º" else rf"(?![{_LETTER}0-9])"
        street = r"(?<=[A-Za-z0-9] )" if follows == "street" else ""
        rules.append(
            Rule(
                rx(rf"{street}(?<![{_LETTER}.]){pattern}{end}{_FOLLOWS[follows]}"),
                _said(spoken),
                written[-1] if written[-1] in ".°º" else "",
            )
        )
    return tuple(rules)


@cache
def _rows(language: str) -> list[tuple[str, str, str]]:
    rows = [row for row in lines("abbreviations.tsv") if row[0] == language]
    # "street" before "name": where both could hold, the narrower has the say.
    rows.sort(key=lambda row: (-len(row[1]), row[2] != "street"))
    return [(written, follows, spoken) for _, written, follows, spoken in rows]


def _said(spoken: str) -> Callable[[Match, Reader], str]:
    def read(match: Match, _: Reader) -> str:
        following = match.string[match.end() : match.end() + 1]
        return spoken + (" " if following.isalnum() and following < "\u1100" else "")

    return read


# ------------------------------------------------------------ Roman numerals

_ROMAN = r"(?P<say>(?=[MDCLXVI])(?:X[LC]|L?X{0,3})(?:I[XV]|V?I{0,3}))"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_EN_TRIGGERS = (
    "Chapter|Part|Section|Phase|Type|Act|Scene|Volume|Vol\\.|Book|Article|Title|Level|Stage|Grade|"
    "Class|Tier|World War|Super Bowl|Episode|Season|Division|Group|Category|Schedule|Appendix|"
    "Annex|Table|Figure|Mark|Version|Generation|Gen|Unit|Lesson|Factor|Apollo|Windows"
)
_EN_MONARCHS = (
    "Henry|Elizabeth|Charles|Louis|George|Edward|James|William|Richard|Napoleon|Paul|Benedict|"
    "Francis|Pius|Leo|Gregory|Clement|Innocent|Catherine|Peter|Nicholas|Alexander|Philip|Frederick|"
    "Wilhelm|Ramses|Mary|Victor Emmanuel|Gustav|Christian|Harald|Margrethe|Ferdinand|Alfonso|"
    "Felipe|Carlos|Juan Carlos|John|Ivan|Rama|Ptolemy|Xerxes|Darius|Theodosius|Constantine"
)


def roman_value(text: str) -> int:
    """Return the value of a Roman numeral."""
    values = [_VALUES[char] for char in text]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


def _cardinal(match: Match, reader: Reader) -> str:
    return reader.cardinal(str(roman_value(match["say"])))


def _ordinal(match: Match, reader: Reader) -> str:
    return reader.ordinal(str(roman_value(match["say"])))


def _small_ordinal(match: Match, reader: Reader) -> str:
    """Say "segundo" up to ten, "trece" above, as Spanish and Portuguese do with kings."""
    return _ordinal(match, reader) if roman_value(match["say"]) <= 10 else _cardinal(match, reader)


def _french_king(match: Match, reader: Reader) -> str:
    return "premier" if match["say"] == "I" else _cardinal(match, reader)


def _german_king(match: Match, reader: Reader) -> str:
    words = reader.ordinal(str(roman_value(match["say"])))
    return f"der {words.capitalize()}"


def _russian_ordinal(gender: str, case: str) -> Callable[[Match, Reader], str]:
    def read(match: Match, reader: Reader) -> str:
        return reader.inflected_ordinal(str(roman_value(match["say"])), gender, case)

    return read


def _russian_king(match: Match, reader: Reader) -> str:
    woman = match["name"][-1] in "ая"
    words = reader.inflected_ordinal(str(roman_value(match["say"])), "f" if woman else "m", "n")
    return words.capitalize()


_NAME = r"(?P<name>[A-Z\u00c0-\u00deА-Я][a-z\u00df-\u00ffа-яё]+)"
_TWO = r"(?=[XVI]{2})"
_END = rf"(?![{_LETTER}0-9])"


@cache
def roman_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for the Roman numerals of one language, in order."""
    king = rf"{_NAME} {_TWO}{_ROMAN}{_END}"
    rules: dict[str, tuple[tuple[str, Callable[[Match, Reader], str]], ...]] = {
        "English": (
            (rf"\b(?:{_EN_TRIGGERS}) {_ROMAN}{_END}", _cardinal),
            (rf"\b(?:{_EN_MONARCHS}) {_TWO}{_ROMAN}{_END}", lambda m, r: "the " + _ordinal(m, r)),
            (
                rf"\b(?:{_EN_MONARCHS}) {_ROMAN}(?=[,.;!?)]|$| (?:of|was|and|died|ruled|the)\b)",
                lambda m, r: "the " + _ordinal(m, r),
            ),
            (king, _cardinal),
        ),
        "Chinese": (
            (rf"第{_ROMAN}(?=[章节卷部册届期阶编篇条次型级类])", _cardinal),
            (rf"(?<![{_LETTER}]){_TWO}{_ROMAN}(?=[型期级类度])", _cardinal),
        ),
        "German": ((rf"{king[: -len(_END)]}\.", _german_king),),
        "French": (
            (rf"(?<![{_LETTER}]){_ROMAN[:-1]}(?:e|ème))(?= siècle)", _french_century),
            (rf"{_NAME} (?P<say>Ier){_END}", lambda m, r: "premier"),
            (king, _french_king),
        ),
        "Spanish": ((rf"\bsiglos? {_ROMAN}{_END}", _cardinal), (king, _small_ordinal)),
        "Portuguese": ((rf"\bséculos? {_ROMAN}{_END}", _cardinal), (king, _small_ordinal)),
        "Italian": (
            (rf"(?<![{_LETTER}]){_ROMAN}(?= secolo)", _ordinal),
            (rf"\bsecolo {_ROMAN}{_END}", _ordinal),
            (king, _ordinal),
        ),
        "Russian": (
            (rf"(?<![{_LETTER}]){_ROMAN}(?= век(?![а-я]))", _russian_ordinal("m", "n")),
            (rf"(?<![{_LETTER}]){_ROMAN}(?= веке)", _russian_ordinal("m", "p")),
            (rf"(?<![{_LETTER}]){_ROMAN}(?= века)", _russian_ordinal("m", "g")),
            (rf"{_NAME} {_ROMAN}{_END}", _russian_king),
        ),
    }
    return tuple(
        Rule(rx(pattern), _if_any(read), "IVX") for pattern, read in rules.get(language, ())
    )


def _french_century(match: Match, reader: Reader) -> str:
    return reader.ordinal(str(roman_value(match["say"].rstrip("eèm"))))


def _if_any(read: Callable[[Match, Reader], str]) -> Callable[[Match, Reader], str | None]:
    return lambda match, reader: read(match, reader) if match["say"] else None
