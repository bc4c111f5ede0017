"""A text and the readings that rules have claimed for slices of it.

Rules always look at the whole original text, so the context of a match never depends on which
rule came first; a slice that has a reading cannot be claimed again. Knows no language.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Board", "Claim", "OffsetMap"]

# Letters of scripts that put spaces between words: two of them never touch across a border.
_SPACED = re.compile(r"[A-Za-z\u00aa-\u02af\u0370-\u052f\u1e00-\u1fff]")
_GAP = " \t\n\u3000"


class Claim(NamedTuple):
    """The reading of `text[start:end]`."""

    start: int
    end: int
    reading: str


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """A monotone map between two texts, as corners of a broken line."""

    inner: tuple[int, ...]
    outer: tuple[int, ...]

    def __call__(self, offset: int) -> int:
        """Return the outer offset that belongs to an inner one; both ends are included."""
        at = bisect_right(self.inner, offset) - 1
        if at < 0:
            return self.outer[0]
        if at + 1 == len(self.inner):
            return self.outer[at]
        run = self.inner[at + 1] - self.inner[at]
        rise = self.outer[at + 1] - self.outer[at]
        return self.outer[at] + (offset - self.inner[at]) * rise // run

    def then(self, other: OffsetMap) -> OffsetMap:
        """Return the map that goes on through `other`."""
        corners = {offset: other(self(offset)) for offset in self.inner}
        return OffsetMap(tuple(corners), tuple(corners.values()))


class Board:
    """Collects claims on `text` and renders it with them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._taken = bytearray(len(text))
        self._claims: list[Claim] = []

    def is_free(self, start: int, end: int) -> bool:
        """Return whether nothing in the slice has a reading yet."""
        return self._taken.find(1, start, end) < 0

    def claim(self, start: int, end: int, reading: str) -> None:
        """Give a free, non-empty slice its reading."""
        self._taken[start:end] = b"\x01" * (end - start)
        self._claims.append(Claim(start, end, reading))

    def apply(self, pattern: re.Pattern[str], read: Callable[[re.Match[str]], str | None]) -> None:
        """Claim what `read` has a reading for: the group "say" of a match, else all of it."""
        group: str | int = "say" if "say" in pattern.groupindex else 0
        at = 0
        while match := pattern.search(self.text, at):
            start, end = match.span(group)
            reading = read(match) if start < end and self.is_free(start, end) else None
            if reading is None:
                at = match.start() + 1
            else:
                self.claim(start, end, reading)
                at = end

    def open_spans(self) -> Iterator[tuple[int, int]]:
        """Yield the slices without a reading, in order."""
        at = 0
        for claim in sorted(self._claims):
            if claim.start > at:
                yield at, claim.start
            at = claim.end
        if at < len(self.text):
            yield at, len(self.text)

    def render(self) -> tuple[str, OffsetMap]:
        """Return the text with all readings in it, and the map back to `text`."""
        parts: list[str] = []
        inner, outer = [0], [0]
        length, last, joint = 0, "", False
        pieces = [Claim(start, end, self.text[start:end]) for start, end in self.open_spans()]
        for start, end, reading in sorted(pieces + self._claims):
            if joint or reading != self.text[start:end]:
                reading = _joined(last, reading)
            joint = True
            if not reading:
                continue
            parts.append(reading)
            if inner[-1] < length or outer[-1] < start:
                _corner(inner, outer, length, start)
            length += len(reading)
            _corner(inner, outer, length, end)
            last = reading[-1]
        _corner(inner, outer, length, len(self.text))
        return "".join(parts), OffsetMap(tuple(inner), tuple(outer))


def _corner(inner: list[int], outer: list[int], at: int, source: int) -> None:
    if inner[-1] == at:
        outer[-1] = source if len(inner) > 1 else outer[-1]
        return
    inner.append(at)
    outer.append(source)


def _joined(last: str, reading: str) -> str:
    """Return `reading` with the gap that belongs between `last` and it."""
    if not reading:
        return reading
    if last and last in _GAP and reading[0] in _GAP:
        return reading.lstrip(_GAP)
    if last and _SPACED.match(last) and _SPACED.match(reading):
        return " " + reading
    return reading
