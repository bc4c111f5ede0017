"""Written numbers as values, and each language's way to write them.

Knows how a number is punctuated, not how it is said.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

__all__ = ["Numeral", "number_fragment", "parse_numeral", "rx"]

# The first group of three decides: "1.234" is 1234 where dots group, 1.234 where they do not.
_DOT_GROUPS = frozenset({"German", "Spanish", "Portuguese", "Italian"})
_SPACE_GROUPS = frozenset({"French", "Russian"})


class Numeral(NamedTuple):
    """A number: digits before and after the decimal mark, and that mark as written."""

    whole: str
    fraction: str = ""
    mark: str = "."
    negative: bool = False

    @property
    def is_one(self) -> bool:
        """Return whether it is exactly 1."""
        return self.whole.lstrip("0") == "1" and not self.fraction

    def scaled(self, power: int) -> Numeral:
        """Return it times ten to the `power`."""
        fraction = self.fraction.ljust(power, "0")
        whole = (self.whole + fraction[:power]).lstrip("0") or "0"
        return self._replace(whole=whole, fraction=fraction[power:].rstrip("0"))


@cache
def number_fragment(language: str) -> str:
    """Return the pattern of an unsigned number as `language` writes it."""
    if language in _DOT_GROUPS:
        return (
            r"(?:[0-9]{1,3}(?:\.[0-9]{3})+(?![0-9])|[0-9]{1,3}(?:[ '][0-9]{3})+(?![0-9])|[0-9]+)"
            r"(?:,[0-9]+|\.[0-9]{1,2}(?![0-9])|\.[0-9]{4,})?"
        )
    if language in _SPACE_GROUPS:
        return r"(?:[0-9]{1,3}(?: [0-9]{3})+(?![0-9])|[0-9]+)(?:[.,][0-9]+)?"
    return r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"


def parse_numeral(text: str, language: str) -> Numeral:
    """Read what `number_fragment` matches; a sign may stand before it."""
    negative = text.startswith("-")
    text = text.lstrip("+-")
    if language in _DOT_GROUPS:
        grouped = re.match(r"[0-9]{1,3}(?:\.[0-9]{3})+(?![0-9])", text)
        if grouped:
            text = grouped[0].replace(".", "") + text[grouped.end() :]
    elif language not in _SPACE_GROUPS:
        text = text.replace(",", "")
    text = text.replace(" ", "").replace("'", "")
    whole, mark, fraction = re.fullmatch(r"([0-9]+)([.,]?)([0-9]*)", text).groups()  # type: ignore[union-attr]
    return Numeral(whole, fraction, mark or ".", negative)


@cache
def rx(pattern: str, language: str = "", flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern in which NUM stands for a number and ALONE for "no digit before"."""
    pattern = pattern.replace("NUM", number_fragment(language))
    return re.compile(
        pattern.replace("ALONE", r"(?<![0-9A-Za-z_])(?<![0-9][.:/])(?<![0-9],(?![0-9]{4}))"), flags
    )
