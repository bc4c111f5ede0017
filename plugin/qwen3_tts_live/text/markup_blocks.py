"""Takes the markup of lines out: headings, lists, quotes, rules, fences, tables.

Owns what stands at the start of a line and what a whole line can be. Holds a line's beginning
back only while it may still become a marker. Knows nothing about emphasis, links or tags: what
it leaves goes on to the next stage with its place in the raw text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from qwen3_tts_live.text.glyphs import BREAK, Glyph, is_wide
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["BlockStripper"]

_INDENT = r"[ \t\u3000]*"
_BULLET_SIGNS = "-*+•◦▪‣●○–—"
# Complete markers. What may still become one is held, see _MAYBE.
_HEADING = re.compile(_INDENT + r"#{1,6}[ \t]")
_BULLET = re.compile(_INDENT + rf"(?:[{_BULLET_SIGNS}][ \t]|[•◦▪‣●○](?=[^ \t]))")
_TASK = re.compile(r"\[[ xX]\][ \t]")
_QUOTE = re.compile(_INDENT + r">+(?:[ \t]|(?=[^\d=>\s]))")
_NUMBERED = re.compile(_INDENT + r"\d{1,3}[.)][ \t]")
_FENCE = re.compile(_INDENT + r"(`{3}|~{3})")
_ROW = re.compile(_INDENT + r"\|")
# Dashes, stars and the like alone in a line: a rule, the underline of a heading, an empty item.
_RULE = re.compile(r"[-*_=~+#>|: \t]*[-*_=~+#>|][-*_=~+#>|: \t]*")
# The bounds keep a line of dashes without end from being held without end.
_MAYBE = re.compile(
    r"[ \t\u3000]{0,40}(?:"
    rf"#{{0,6}}|[{_BULLET_SIGNS}]|>{{0,8}}|`{{1,2}}|~{{1,2}}|\d{{1,3}}[.)]?|\[[ xX]?\]?"
    r"|(?:-[ \t]{0,8}){2,80}|(?:\*[ \t]{0,8}){2,80}|(?:_[ \t]{0,8}){1,80}|(?:=[ \t]{0,8}){1,80})"
)
# What is kept of a line inside a fence: enough to see that it closes it. A longer line behind an
# opening fence is no language name.
_FENCE_LINE = 80
_LINE_ENDS = "\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"


class BlockStripper:
    """Turns raw characters into glyphs without the markup of lines.

    Args:
        settings: what to do with code and tables.
        emit: takes each glyph.
    """

    def __init__(self, settings: NormalizerSettings, emit: Callable[[Glyph], None]) -> None:
        self._settings = settings
        self._emit = emit
        self._held = ""
        self._held_at = 0
        self._from: int | None = None  # where the markup began that the next glyph takes in
        self._marked = False  # this line is an item or a heading: its end is a sentence's end
        self._fence = ""
        self._row: _Row | None = None
        self._handle: Callable[[str, int], None] = self._line_start

    def feed(self, char: str, at: int) -> None:
        """Take the character at raw offset `at`."""
        if char != "\r":
            self._handle("\n" if char in _LINE_ENDS else char, at)

    def end(self, at: int) -> None:
        """Give out what was held back; `at` is the length of the raw text."""
        if self._handle == self._fence_info:
            self._held = ""
        if self._handle == self._line_start and self._held and not _RULE.fullmatch(self._held):
            self._release()
        if self._row is not None:
            self._row = None
            self._break(at)

    # ------------------------------------------------------------ giving out

    def _pass(self, char: str, at: int) -> None:
        start = at if self._from is None else self._from
        self._from = None
        self._emit(Glyph(char, start, at + 1))

    def _insert(self, text: str, at: int) -> None:
        for char in text:
            self._emit(Glyph(char, at, at))

    def _begin_item(self) -> None:
        if self._from is None:  # else a marker before it in the line has done so
            self._break(self._held_at)

    def _break(self, at: int) -> None:
        self._emit(Glyph(BREAK, at, at))

    def _end_line(self, at: int) -> None:
        self._from = None
        self._emit(Glyph(BREAK if self._marked else "\n", at, at + 1))
        self._marked = False
        self._handle = self._line_start

    def _release(self) -> None:
        held, self._held = self._held, ""
        self._handle = self._line
        for offset, char in enumerate(held):
            self._pass(char, self._held_at + offset)

    # ------------------------------------------------------------ the states

    def _line(self, char: str, at: int) -> None:
        if char == "\n":
            self._end_line(at)
        else:
            self._pass(char, at)

    def _line_start(self, char: str, at: int) -> None:
        if not self._held:
            self._held_at = at
        if char == "\n":
            if _RULE.fullmatch(self._held):
                self._held, self._marked = "", True
            self._release()
            self._end_line(at)
            return
        self._held += char
        if self._marker():
            return
        if not _MAYBE.fullmatch(self._held):
            self._release()

    def _marker(self) -> bool:
        """Deal with the marker that `_held` has become, if it has."""
        held = self._held
        if _HEADING.fullmatch(held):
            self._drop_marker(len(held))
            self._handle = self._line
        elif match := _BULLET.match(held) or _QUOTE.match(held):
            self._drop_marker(match.end())
        elif self._marked and (match := _TASK.fullmatch(held)):
            self._held = ""
        elif _NUMBERED.fullmatch(held):
            self._begin_item()
            self._marked = True
            self._release()
        elif match := _FENCE.fullmatch(held):
            self._fence = match[1]
            self._handle = self._fence_info
        elif _ROW.fullmatch(held):
            self._begin_item()
            self._held = ""
            self._row = _Row()
            self._handle = self._table
        else:
            return False
        return True

    def _drop_marker(self, length: int) -> None:
        """Forget the marker; markers may follow each other, as in `> - item`."""
        self._begin_item()
        if self._from is None:
            self._from = self._held_at
        self._marked = True
        rest, rest_at = self._held[length:], self._held_at + length
        self._held = ""
        for offset, char in enumerate(rest):
            self._handle(char, rest_at + offset)

    def _fence_info(self, char: str, at: int) -> None:
        """The rest of the line that opens a fence: the language, or a longer fence."""
        if char == "\n":
            phrase, self._held = self._settings.code_phrase, ""
            self._break(self._held_at)
            self._insert(phrase, self._held_at)
            self._break(self._held_at)
            self._from = None
            self._handle = self._fenced
            return
        self._held += char
        if char == self._fence[0] and self._held.endswith(self._fence + char):
            self._fence += char
        elif char == "`" == self._fence[0] or len(self._held) > _FENCE_LINE:
            self._release()  # ```like this``` is inline code

    def _fenced(self, char: str, at: int) -> None:
        if char != "\n":
            self._held = (self._held + char)[:_FENCE_LINE]
            return
        line, self._held = self._held.strip(), ""
        if line.startswith(self._fence) and not line.strip(self._fence[0]):
            self._marked = False
            self._handle = self._line_start

    def _table(self, char: str, at: int) -> None:
        row = self._row
        if row is None or char == "\n":
            self._row = None
            self._marked = True
            self._end_line(at)
        elif self._settings.tables == "say":
            for text, width in row.step(char):
                if width:
                    self._pass(text, at)
                else:
                    self._insert(text, at)


class _Row:
    """One row of a table: what of it is said, with commas between the cells."""

    def __init__(self) -> None:
        self._last = ""  # what was said last; empty at the start
        self._dashes = ""  # of a row that separates head and body, or of a negative number
        self._next_cell = self._space = False

    def step(self, char: str) -> list[tuple[str, int]]:
        """Take a character; return what to say now, and how wide it is in the raw text."""
        if char == "|":
            self._next_cell, self._dashes = True, ""
        elif char in " \t":
            self._space = True
            self._dashes = ""
        elif char in "-:" and (not self._last or self._next_cell):
            self._dashes += char
        else:
            return self._say(char)
        return []

    def _say(self, char: str) -> list[tuple[str, int]]:
        gap = " " if self._space else ""
        if self._next_cell and self._last:
            gap = "，" if is_wide(self._last) else ", "
        if not self._last:
            gap = ""
        said = [(gap + self._dashes[-1:], 0), (char, 1)]
        self._last, self._dashes = char, ""
        self._next_cell = self._space = False
        return said
