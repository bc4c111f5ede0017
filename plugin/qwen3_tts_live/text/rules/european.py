"""What German, French, Russian, Portuguese, Spanish and Italian each write in their own way.

Days with named months, hours, ordinals, years. Knows nothing that they share with others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from qwen3_tts_live.text.numerals import parse_numeral, rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.readers.european import EuropeanReader
from qwen3_tts_live.text.readers.french import FrenchReader
from qwen3_tts_live.text.readers.german import GermanReader
from qwen3_tts_live.text.readers.iberian import PortugueseReader, SpanishReader
from qwen3_tts_live.text.readers.italian import ItalianReader
from qwen3_tts_live.text.rules.base import Match, Rule
from qwen3_tts_live.text.rules.calendar import YEAR_END, is_day, letter_time

__all__ = ["day_of_month", "european_rules", "magnitude_words"]

_HOUR = r"(?P<h>[01]?[0-9]|2[0-4])"


def day_of_month(reader: EuropeanReader, months: str, joint: str, mark: str = "") -> Rule:
    """Return the rule for the day before a month's name."""

    def read(match: Match, _: Reader) -> str | None:
        day = int(match["d"])
        if not 1 <= day <= 31:
            return None
        return reader.month_day(day, match.string[: match.start("say")])

    pattern = rf"ALONE(?P<say>(?P<d>[0-9]{{1,2}}){mark})(?={joint}(?:{months}))"
    return Rule(rx(pattern, flags=re.IGNORECASE), read)


def magnitude_words(reader: EuropeanReader, words: dict[str, int]) -> Rule:
    """Return the rule for "5 Mio.", "5 млн"."""
    names = "|".join(sorted(map(re.escape, words), key=len, reverse=True))

    def read(match: Match, _: Reader) -> str:
        number = parse_numeral(match["n"], reader.language)
        return reader.magnified(number, words[match["word"]])

    pattern = rf"ALONE(?P<n>NUM) ?(?P<word>{names})(?![^\W_])(?! ?[€$£₽])"
    return Rule(rx(pattern, reader.language), read)


def _ordinals(reader: EuropeanReader, pattern: str, feminine: str, apocope: bool = False) -> Rule:
    """Return the rule for numbers with an ordinal mark; `feminine` are the marks that say so."""

    def read(match: Match, _: Reader) -> str:
        mark = match["mark"]
        words = reader.ordinal(match["n"], "f" if mark[-1] in feminine else "m")
        return words[:-1] if apocope and mark.endswith("r") else words

    return Rule(rx(rf"ALONE(?P<n>[0-9]{{1,4}})(?P<mark>{pattern})(?![0-9A-Za-zÀ-ÿ])"), read)


def _german() -> tuple[Rule, ...]:
    reader = GermanReader()
    months = (
        r"Jan(?:uar|\.)|Feb(?:ruar|\.)|März|Apr(?:il|\.)|Mai|Juni|Juli|Aug(?:ust|\.)|"
        r"Sept?(?:ember|\.)|Okt(?:ober|\.)|Nov(?:ember|\.)|Dez(?:ember|\.)"
    )

    def ordinal(match: Match, _: Reader) -> str:
        return reader.ordinal_after(match["n"], match.string[: match.start()])

    def year(match: Match, _: Reader) -> str | None:
        # "1500 Menschen" is an amount; a noun right after a year is rare.
        counted = re.match(r" [A-ZÄÖÜ]\w", match.string[match.end() :])
        return None if counted and match["n"] < "2000" else reader.year(match["n"])

    def day_and_month(match: Match, _: Reader) -> str | None:
        day, month = int(match["d"]), int(match["m"])
        if not is_day(month, day):
            return None
        return reader.date((None, month, day), match.string[: match.start()])

    return (
        Rule(
            rx(
                rf"ALONE(?P<n>[0-9]{{1,2}})\.(?= (?:bis|und|oder) (?:zum )?[0-9]{{1,2}}\. ?(?:{months}))"
            ),
            ordinal,
        ),
        day_of_month(reader, months, " ?", r"\."),
        Rule(
            rx(
                r"ALONE(?P<n>[01]?[0-9]|2[0-4])(?: Uhr)? ?[-–] ?(?=[0-9]{1,2}(?:[.:][0-9]{2})? ?Uhr)"
            ),
            lambda match, _: f"{reader.cardinal(match['n'])} bis ",
        ),
        Rule(rx(rf"ALONE{_HOUR}[.:](?P<m>[0-5][0-9]) ?Uhr\b"), letter_time),
        Rule(rx(rf"ALONE{_HOUR} ?Uhr\b"), letter_time),
        Rule(
            rx(
                r"(?i:\b(?:der|die|das|den|dem|des|am|im|zum|zur|vom|beim|ein|eine|einen|einem|einer|seine|"
                r"ihre|unsere|jeder|jede|jedes|jeden|dieser|dieses|auf) )(?P<say>(?P<n>[0-9]{1,3})\.)(?= [A-ZÄÖÜa-zäöü])"
            ),
            lambda match, _: reader.ordinal_after(match["n"], match.string[: match.start("say")]),
        ),
        Rule(
            rx(r"ALONE(?P<n>[1-9]0|[12][0-9]{2}0)er\b"),
            lambda match, _: reader.year(match["n"]) + "er",
        ),
        Rule(rx(r"ALONE(?P<d>[0-9]{1,2})\.(?P<m>[0-9]{1,2})\.(?![0-9])"), day_and_month, "."),
        Rule(rx(r"(?<=[a-zäöüß])str\.(?= )"), lambda match, _: "straße", "."),
        Rule(
            rx(
                r"ALONE(?P<a>1[1-9][0-9]{2}|20[0-9]{2})[-–](?P<b>1[1-9][0-9]{2}|20[0-9]{2})(?![0-9])"
            ),
            lambda match, _: reader.between(reader.year(match["a"]), reader.year(match["b"])),
        ),
        magnitude_words(reader, {"Mio.": 6, "Mrd.": 9, "Mio": 6, "Mrd": 9, "Tsd.": 3}),
        Rule(
            rx(
                rf"(?<![$€£¥+#-])ALONE(?P<n>1[1-9][0-9]{{2}}|20[0-9]{{2}}){YEAR_END}(?! ?[€$£]| [0-9])"
            ),
            year,
        ),
    )


def _french() -> tuple[Rule, ...]:
    reader = FrenchReader()
    months = "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
    return (
        day_of_month(reader, months, " "),
        Rule(rx(rf"ALONE{_HOUR} ?[hH](?: ?(?P<m>[0-5][0-9]))?(?![0-9A-Za-z])"), letter_time),
        _ordinals(reader, r"ers?|ères?|res?|[eè]mes?|es?", "")._replace(
            read=lambda match, _: reader.ordinal(
                match["n"], "f" if match["mark"].rstrip("s") in ("re", "ère") else "m"
            )
        ),
        magnitude_words(reader, {"M": 6, "Md": 9, "Mds": 9}),
        Rule(rx(r"(?<=[0-9]h)[-–](?=[0-9])"), lambda match, _: " à ", "-–"),
        Rule(rx(r"ALONE2n(?P<f>de?)(?![A-Za-z])"), lambda match, _: "second" + match["f"][1:]),
    )


def _spanish() -> tuple[Rule, ...]:
    reader = SpanishReader()
    months = (
        "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
    )
    return (
        day_of_month(reader, months, " de "),
        _ordinals(reader, r"\.?[ºª°]|\.?er", "ª", apocope=True),
    )


def _portuguese() -> tuple[Rule, ...]:
    reader = PortugueseReader()
    months = (
        "janeiro|fevereiro|março|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro"
    )

    def hours(match: Match, _: Reader) -> str:
        spoken = letter_time(match, reader)
        return spoken if match["m"] else f"{spoken} {'hora' if int(match['h']) < 2 else 'horas'}"

    return (
        day_of_month(reader, months, " de ", "[ºo°]?"),
        Rule(rx(rf"ALONE{_HOUR} ?h(?: ?(?P<m>[0-5][0-9]))?(?:min)?(?![0-9A-Za-z])"), hours),
        _ordinals(reader, r"\.?[ºª°]", "ª"),
        Rule(
            rx(r"ALONE(?P<a>[0-9]{1,2}) ?[xX] ?(?P<b>[0-9]{1,2})(?![0-9])(?! ?(?:m|cm|mm|km)\b)"),
            lambda match, _: reader.score(match["a"], match["b"]),
        ),
        magnitude_words(reader, {"mi": 6, "bi": 9}),
    )


def _italian() -> tuple[Rule, ...]:
    reader = ItalianReader()
    months = (
        "gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto|settembre|ottobre|novembre|"
        "dicembre"
    )
    return (
        day_of_month(reader, months, " ", "[°º]?"),
        Rule(
            rx(rf"\b(?:ore|alle|dalle) (?P<say>{_HOUR}\.(?P<m>[0-5][0-9]))(?![0-9])"), letter_time
        ),
        _ordinals(reader, r"[ºª°](?! ?[CF]\b)", "ª"),
        Rule(rx(r"['’](?=[2-9]0(?![0-9]))"), lambda match, _: "", "'’"),
        magnitude_words(reader, {"mln": 6, "mld": 9}),
    )


@cache
def european_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules of one of these languages, in order."""
    builders: dict[str, Callable[[], tuple[Rule, ...]]] = {
        "German": _german,
        "French": _french,
        "Spanish": _spanish,
        "Portuguese": _portuguese,
        "Italian": _italian,
    }
    return builders[language]()
