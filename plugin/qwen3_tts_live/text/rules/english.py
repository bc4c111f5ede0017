"""What only English writes: names of months, years and decades, feet and inches, ordinals.

Knows nothing that other languages write the same way.
"""

from __future__ import annotations

from functools import cache

from qwen3_tts_live.text.numerals import Numeral, rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.readers.english import EnglishReader
from qwen3_tts_live.text.rules.base import DASH, Match, Rule
from qwen3_tts_live.text.rules.calendar import YEAR, YEAR_END, hour_rules, is_day

__all__ = ["english_last_rules", "english_rules", "english_year_rules", "month_rules"]

_MONTH = (
    r"(?P<month>Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|Jun(?:e|\.)?|"
    r"Jul(?:y|\.)?|Aug(?:ust|\.)?|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|"
    r"Dec(?:ember|\.)?)"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_COUNTED = (
    r"(?! [a-z]+s\b| (?:more |other |new |of )?(?:people|men|women|children|million|billion)\b)"
)
# Words after which a four-digit number of any century is a year.
_YEAR_WORDS = (
    r"(?i:\b(?:in|since|by|from|until|till|before|after|during|of|year|circa|around|through|early|"
    r"late|mid|spring|summer|autumn|fall|winter|january|february|march|april|may|june|july|august|"
    r"september|october|november|december),? )"
)


def _month_day(match: Match, reader: Reader) -> str | None:
    month, day = _MONTHS.index(match["month"][:3].lower()) + 1, int(match["d"])
    groups = match.groupdict()
    if not is_day(month, day):
        return None
    year = int(groups["y"]) if groups.get("y") else None
    if not groups.get("last"):
        return reader.date((year, month, day), "")
    first, last = reader.date((None, month, day), ""), reader.ordinal(groups["last"])
    spoken = reader.between(first, last)
    return f"{spoken}, {reader.year(str(year))}" if year else spoken


@cache
def month_rules() -> tuple[Rule, ...]:
    """Return the rules for dates with an English month, which Chinese text has too."""
    day, year = r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?", r"(?P<y>[12][0-9]{3})(?![0-9])"
    end = r"(?![0-9A-Za-z:%]|[.,][0-9])"
    return (
        Rule(
            rx(rf"(?<![A-Za-z]){_MONTH} {day}(?:[-–](?P<last>[0-9]{{1,2}}))?(?:,? {year})?{end}"),
            _month_day,
        ),
        Rule(rx(rf"ALONE{day}(?: of)? {_MONTH}(?:,? {year})?(?![A-Za-z])"), _month_day),
    )


@cache
def english_rules() -> tuple[Rule, ...]:
    """Return the rules of English, in order."""
    reader = EnglishReader()

    def plural(words: str) -> str:
        return words[:-1] + "ies" if words.endswith("y") else words + "s"

    def extension(match: Match, _: object) -> str:
        return "extension " + reader.digits(match["n"])

    def short_year(match: Match, _: object) -> str | None:
        before = match.string[match.start() - 1 : match.start()]
        return (" " if before.isalnum() else "") + reader.pair(match["n"])

    def height(match: Match, _: object) -> str:
        feet, inches = reader.cardinal(match["ft"]), match["in"]
        return f"{feet} foot" + (f" {reader.cardinal(inches)}" if inches else "")

    def feet_inches(match: Match, _: object) -> str:
        feet = "foot" if match["ft"] == "1" else "feet"
        inches = "inch" if match["in"] == "1" else "inches"
        return f"{reader.cardinal(match['ft'])} {feet} {reader.cardinal(match['in'])} {inches}"

    def year_range(match: Match, _: object) -> str | None:
        if len(match["b"]) == 4 and match["a"] >= match["b"]:
            return None
        return reader.between(reader.year(match["a"]), reader.year(match["b"]))

    return (
        *month_rules(),
        *hour_rules(),
        Rule(rx(r"(?<=[0-9] )x(?P<n>[0-9]{2,5})(?![0-9A-Za-z])"), extension, "x"),
        Rule(rx(r"['’](?P<n>[0-9]{2})(?![0-9A-Za-z'’\"])"), short_year, "'’"),
        Rule(rx(r"24/7"), lambda match, _: "twenty four seven", "/"),
        Rule(rx(r"ALONE9[-/]11(?![0-9])"), lambda match, _: "nine eleven", "-/"),
        Rule(rx(r"ALONE([12][0-9]{2}0)s\b"), lambda match, _: plural(reader.year(match[1]))),
        Rule(
            rx(r"(?:['’]|(?<=[a-z] ))(?P<d>[2-9]0)s\b"),
            lambda match, _: plural(reader.cardinal(match["d"])),
        ),
        Rule(rx(r"(?<=\()(?P<a>1[0-9]{3})[-–](?P<b>1[0-9]{3}|20[0-9]{2})(?=\))"), year_range),
        Rule(
            rx(
                rf"(?<![$€£¥+#])ALONE(?P<a>{YEAR}){DASH}(?P<b>{YEAR}|[0-9]{{2}}){YEAR_END}{_COUNTED}"
            ),
            year_range,
        ),
        Rule(
            rx(
                rf"{_YEAR_WORDS}(?P<say>1[0-9]{{3}}|20[0-9]{{2}}){YEAR_END}(?! (?:people|users|dollars))"
            ),
            lambda match, _: reader.year(match["say"]),
        ),
        Rule(
            rx(r"ALONE(?P<n>[0-9][0-9,]*)(?:st|nd|rd|th)\b"),
            lambda match, _: reader.ordinal(match["n"].replace(",", "")),
        ),
        Rule(
            rx(r"ALONE(?P<ft>[1-9])['’′](?P<in>1[01]|[0-9])?(?:\"|″|”|'')?(?![0-9A-Za-z])"),
            height,
            "'’′",
        ),
        Rule(rx(r"ALONE(?P<ft>[0-9]+) ?ft\.? (?P<in>[0-9]+) ?in\b\.?"), feet_inches),
        Rule(
            rx(
                r"ALONE(?P<say>[0-9]+(?:\.[0-9]+)?)[- ](?=(?:foot|year|day|hour|minute|inch|mile|page|point|person|man|way|part|star|step|digit|month|week|dollar)\b)"
            ),
            lambda match, _: reader.number(Numeral(*match["say"].partition(".")[::2])) + " ",
        ),
        Rule(rx(r"\b(?:N|n)o\. ?(?=[0-9])"), lambda match, _: "number "),
        Rule(rx(r"#(?= ?[0-9])"), lambda match, _: "number ", "#"),
    )


@cache
def english_year_rules() -> tuple[Rule, ...]:
    """Return the rule for bare years, which comes after everything that counts or prices."""
    reader = EnglishReader()
    return (
        Rule(
            rx(rf"(?<![$€£¥+#-])ALONE(?P<say>{YEAR}){YEAR_END}{_COUNTED}"),
            lambda match, _: reader.year(match["say"]),
        ),
    )


@cache
def english_last_rules() -> tuple[Rule, ...]:
    """Return the rules for what nothing else has read: thousands that a grammar misreads."""
    reader = EnglishReader()
    return (
        Rule(
            rx(r"ALONE(?P<n>[1-9][0-9]{3})(?![0-9A-Za-z]|[.,:/-][0-9])"),
            lambda match, _: reader.cardinal(match["n"]),
        ),
        Rule(
            rx(r"ALONE(?P<n>[0-9]+(?:\.[0-9]+)?)(?P<mag>[MB])(?= [a-z])"),
            lambda match, _: reader.magnified(
                Numeral(*match["n"].partition(".")[::2]), 6 if match["mag"] == "M" else 9
            ),
        ),
    )
