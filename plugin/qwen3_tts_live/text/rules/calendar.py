"""Dates and times of day written in digits, in the ways that all languages share.

Finds them; how they are said is the readers'. Months with names and years are each language's.
"""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.numerals import rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.readers.base import Clock
from qwen3_tts_live.text.rules.base import DASH, SCORE_WORDS, Match, Rule, clause_before

__all__ = ["HALF", "YEAR", "YEAR_END", "calendar_rules", "hour_rules", "is_day", "letter_time"]

#: A year that needs no word to show that it is one, and what may not follow any year.
YEAR = r"(?:19|20)[0-9]{2}"
YEAR_END = r"(?![0-9A-Za-z%‰°℃]|[.,:/][0-9]|[-–~—～〜][0-9]| ?[%°])"
#: "a.m." and "p.m."
HALF = r"(?: ?(?P<half>[apAP])(?:\.[mM]\.|[mM](?![A-Za-z])))"

_HOUR = r"(?:[01]?[0-9]|2[0-4])"
_TIME = rf"(?P<h>{_HOUR}):(?P<m>[0-5][0-9])(?::(?P<s>[0-5][0-9]))?"
_DURATION = re.compile(
    r"(?:用时|耗时|时长|历时|成绩|所要時間|タイム|소요 시간|duration|lasted)\D{0,3}$", re.IGNORECASE
)


def is_day(month: int, day: int) -> bool:
    """Return whether the numbers can be a month and a day."""
    return 1 <= month <= 12 and 1 <= day <= 31


def _second(pattern: str) -> str:
    """Return the pattern with its groups renamed, for the second half of a range."""
    return re.sub(r"\(\?P<(\w+)>", r"(?P<\g<1>2>", pattern)


# ------------------------------------------------------------ dates


def _iso_date(match: Match, reader: Reader) -> str | None:
    year, month, day = int(match["y"]), int(match["m"]), int(match["d"])
    if not is_day(month, day):
        return None
    return reader.date((year, month, day), match.string[: match.start()])


def _local_date(match: Match, reader: Reader) -> str | None:
    first, second, year = int(match["a"]), int(match["b"]), int(match["y"])
    if year < 100:
        year += 2000 if year < 69 else 1900
    month, day = (second, first) if reader.day_order == "dmy" else (first, second)
    if not is_day(month, day):
        month, day = day, month
    if not is_day(month, day):
        return None
    return reader.date((year, month, day), match.string[: match.start()])


# ------------------------------------------------------------ times


def clock_of(match: Match, tag: str = "") -> tuple[Clock, str]:
    """Return the time of day and "am", "pm" or nothing."""
    groups = match.groupdict()
    minute, second, half = (groups.get(name + tag) for name in ("m", "s", "half"))
    clock = (
        int(match[f"h{tag}"]),
        int(minute) if minute else None,
        int(second) if second else None,
    )
    return clock, half.lower() + "m" if half else ""


def letter_time(match: Match, reader: Reader) -> str:
    """Say a time that a letter or a word shows to be one: "15h30", "9 am"."""
    return reader.clock(*clock_of(match))


def _time(match: Match, reader: Reader) -> str | None:
    clock, half = clock_of(match)
    if not half and _is_ratio(match):
        return None
    if not half and _DURATION.search(match.string[: match.start()]):
        return reader.duration(clock if match["s"] else (0, clock[0], clock[1]))
    return reader.clock(clock, half)


def _time_range(match: Match, reader: Reader) -> str | None:
    first, second = clock_of(match), clock_of(match, "2")
    if _is_ratio(match):
        return None
    return reader.between(reader.clock(*first), reader.clock(*second))


def _is_ratio(match: Match) -> bool:
    return not match["s"] and bool(SCORE_WORDS.search(clause_before(match)))


def _hour_range(match: Match, reader: Reader) -> str:
    first, second = clock_of(match), clock_of(match, "2")
    return reader.between(reader.clock(*first), reader.clock(*second))


def hour_rules() -> tuple[Rule, ...]:
    """Return the rules for "9am" and "9am-5pm"."""
    hour = r"(?P<h>1[0-2]|[1-9])"
    return (
        Rule(rx(rf"ALONE{hour}{HALF}?{DASH}{_second(hour + HALF)}"), _hour_range),
        Rule(rx(rf"ALONE{hour}{HALF}"), letter_time),
    )


@cache
def calendar_rules() -> tuple[Rule, ...]:
    """Return the rules for dates and times that every language writes alike."""
    return (
        Rule(
            rx(
                r"ALONE(?P<y>[12][0-9]{3})(?P<sep>[-/.])(?P<m>[0-9]{1,2})(?P=sep)(?P<d>[0-9]{1,2})"
                r"(?:T(?=[0-9])|(?![0-9]|\.[0-9]))"
            ),
            _iso_date,
            "-/.",
        ),
        Rule(
            rx(
                r"ALONE(?P<a>[0-9]{1,2})(?P<sep>[-/.])(?P<b>[0-9]{1,2})(?P=sep)"
                r"(?P<y>[12][0-9]{3}|[0-9]{2})(?![0-9/]|[.-][0-9])"
            ),
            _local_date,
            "-/.",
        ),
        Rule(rx(rf"ALONE{_TIME}{HALF}?{DASH}{_second(_TIME + HALF)}?(?![0-9:])"), _time_range, ":"),
        Rule(
            rx(rf"(?:ALONE|(?<=[0-9]T)){_TIME}(?:{HALF}| ?h(?:rs|oras)?(?![A-Za-z]))?(?![0-9:])"),
            _time,
            ":",
        ),
    )
