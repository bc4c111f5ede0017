"""Takes the markup inside a line out: emphasis, code, links, tags, entities, emoji.

Owns what begins with one special character. An opening marker is dropped when it is seen, for
nobody wants to hear an asterisk, whether or not it is ever closed; only what decides by its end
(a tag, an entity, the target of a link) is held, and never more than `_MAX_HELD` characters of
it. Knows nothing about lines: a line's end ends every construct.
"""

from __future__ import annotations

from collections.abc import Callable

from qwen3_tts_live.text.glyphs import (
    BREAK,
    Glyph,
    is_emoji,
    is_invisible,
    is_speakable,
    is_wide,
)
from qwen3_tts_live.text.markup_tags import (
    Tag,
    entity,
    find_address,
    may_be_entity,
    may_be_tag,
    tag_of,
)
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["InlineStripper"]

# Longer than any tag, link target or citation that people write. Larger: a lone "<" or "](" mutes
# the stream for longer.
_MAX_HELD = 400
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")

_MAX_CITATION = 48
# A comment that is longer was none, or its end was forgotten: the voice comes back.
_MAX_COMMENT = 1000


class InlineStripper:
    """Turns glyphs into glyphs without the markup inside lines.

    Args:
        settings: what to do with code and images.
        emit: takes each glyph.
    """

    def __init__(self, settings: NormalizerSettings, emit: Callable[[Glyph], None]) -> None:
        self._settings = settings
        self._sink = emit
        self._held: list[Glyph] = []
        self._from: int | None = None  # where the markup began that the next glyph takes in
        self._last = " "  # the last character, and the last that is no space, given out
        self._solid = ""
        self._pictures = False  # emoji were left out since `_solid`
        self._emphasis: set[str] = set()  # kinds of emphasis that are open
        self._labels = 0  # brackets that are open
        self._ticks = 0  # length of the run that closes the code; 0 outside of code
        self._tail, self._skipped = "", 0  # of a comment
        self._in_title = ""  # the quote that closes the title in a link's target
        self._openers = {
            "*": self._run, "_": self._run, "~": self._run, "`": self._backticks,
            "[": self._label_start, "<": self._tag, "&": self._entity, "\\": self._escape,
            "!": self._bang, "【": self._citation,
        }  # fmt: skip
        self._handle: Callable[[Glyph], None] = self._text

    def feed(self, glyph: Glyph) -> None:
        """Take a glyph."""
        if self._handle == self._comment:
            self._comment(glyph)
        elif glyph.text in ("\n", BREAK):
            self.flush()
            self._emphasis.clear()
            self._labels = self._ticks = 0
            self._put(glyph)
        else:
            self._handle(glyph)

    def flush(self) -> None:
        """Give out what is held: nothing that belongs to it will come."""
        while self._held:
            if self._held[0].text in "*_~":
                self._end_run(" ")
            elif self._held[0].text == "`":
                self._end_backticks()
            elif self._held[0].text == "]":
                self._held = []
            else:
                self._release()
        self._handle = self._text

    def stalled(self) -> None:
        """Give out what is held although it reads the same in almost any case."""
        if len(self._held) == 1 and self._held[0].text == "!":
            self.flush()

    # ------------------------------------------------------------ giving out

    def _put(self, glyph: Glyph) -> None:
        if self._from is not None:
            glyph = glyph._replace(start=min(self._from, glyph.start))
            self._from = None
        self._sink(glyph)
        self._last = glyph.text
        if not glyph.text.isspace():
            self._solid = glyph.text

    def _see(self, glyph: Glyph) -> None:
        """Give out a character that is no markup, unless nobody could say it."""
        char = glyph.text
        if is_emoji(char):
            self._pictures = True
        elif not is_invisible(char) or char == "\t":
            if self._pictures and not char.isspace():
                self._pictures = False
                self._replace_pictures(glyph)
            self._put(glyph)

    def _replace_pictures(self, glyph: Glyph) -> None:
        """Pause where emoji stood between words: they often end a sentence."""
        if self._solid and is_speakable(self._solid) and is_speakable(glyph.text):
            at = glyph.start if self._from is None else self._from
            for char in "，" if is_wide(self._solid) else ", ":
                self._sink(Glyph(char, at, at))

    def _drop(self, glyph: Glyph) -> None:
        """Leave an opening marker out; the next glyph takes it in."""
        if self._from is None:
            self._from = glyph.start

    def _release(self) -> None:
        """Give up on the construct that is held: its first character is text."""
        held, self._held = self._held, []
        self._handle = self._text
        self._see(held[0])
        for glyph in held[1:]:
            self._handle(glyph)

    def _hold(self, glyph: Glyph, handle: Callable[[Glyph], None]) -> None:
        self._held.append(glyph)
        self._handle = handle

    @property
    def _held_text(self) -> str:
        return "".join(glyph.text for glyph in self._held)

    # ------------------------------------------------------------ text, emphasis, code

    def _text(self, glyph: Glyph) -> None:
        handle = self._openers.get(glyph.text)
        if glyph.text == "]" and self._labels:
            self._hold(glyph, self._label_end)
        elif handle is None:
            self._see(glyph)
        elif glyph.text != "!" or self._last.isspace():
            self._hold(glyph, handle)
        else:
            self._see(glyph)

    def _run(self, glyph: Glyph) -> None:
        if glyph.text == self._held[0].text:
            self._held.append(glyph)
        else:
            self._end_run(glyph.text)
            self._handle(glyph)

    def _end_run(self, following: str) -> None:
        run, self._held = self._held, []
        self._handle = self._text
        kind, before = run[0].text, self._last
        if kind != "~" and self._closes(kind, before):
            self._emphasis.discard(kind)
        elif self._is_literal(kind, len(run), before, following):
            for glyph in run:
                self._see(glyph)
        elif not following.isspace():
            self._emphasis.add(kind)
            self._drop(run[0])

    def _closes(self, kind: str, before: str) -> bool:
        return kind in self._emphasis and not before.isspace()

    @staticmethod
    def _is_literal(kind: str, length: int, before: str, following: str) -> bool:
        """Whether a run is what it looks like: a product, a name, an approximation."""
        if kind == "~" and length == 1:
            return True
        if before.isspace() and following.isspace():
            return length < 3
        inside = _is_narrow_word(before) and _is_narrow_word(following)
        if kind == "_":
            return inside or (before == "_" and _is_narrow_word(following))
        return inside and kind == "*" and length <= 2

    def _backticks(self, glyph: Glyph) -> None:
        if glyph.text == "`":
            self._held.append(glyph)
        else:
            self._end_backticks()
            self._handle(glyph)

    def _end_backticks(self) -> None:
        run, self._held = self._held, []
        if self._ticks == 0:
            self._ticks = len(run)
            self._drop(run[0])
            self._handle = self._code
        elif len(run) == self._ticks:
            self._ticks = 0
            self._handle = self._text
        else:
            self._handle = self._code

    def _code(self, glyph: Glyph) -> None:
        if glyph.text == "`":
            self._hold(glyph, self._backticks)
        elif self._settings.inline_code == "say":
            self._see(glyph)

    def _escape(self, glyph: Glyph) -> None:
        if glyph.text in _PUNCTUATION:
            self._drop(self._held[0])
            self._held = []
            self._handle = self._text
            self._see(glyph)
        else:
            self._release()
            self._handle(glyph)

    # ------------------------------------------------------------ links, images, citations

    def _bang(self, glyph: Glyph) -> None:
        if glyph.text == "[":
            self._drop(self._held[0])
            self._held = []
            self._labels += 1
            if self._settings.images == "say":
                self._handle = self._text
            else:
                self._hold(glyph, self._skip_label)
        else:
            self._release()
            self._handle(glyph)

    def _skip_label(self, glyph: Glyph) -> None:
        self._held.append(glyph)
        if glyph.text == "]":
            self._handle = self._label_end
        elif len(self._held) > _MAX_HELD:
            self._labels -= 1
            self._release()

    def _label_start(self, glyph: Glyph) -> None:
        """Leave the bracket out: without it a label reads the same, and so does a remark."""
        opener = self._held.pop()
        if glyph.text == "^":
            self._held = [opener]
            self._hold(glyph, self._footnote)
            return
        if _is_narrow_word(self._last):
            self._put(Glyph(" ", opener.start, opener.start))
        self._drop(opener)
        self._labels += 1
        self._handle = self._text
        self._handle(glyph)

    def _label_end(self, glyph: Glyph) -> None:
        self._held = []
        self._labels -= 1
        self._handle = self._text
        if glyph.text == "(":
            self._in_title = ""
            self._hold(glyph, self._target)
        else:
            self._handle(glyph)

    def _target(self, glyph: Glyph) -> None:
        """`(https://example.com "title")` behind a label."""
        self._held.append(glyph)
        char, before = glyph.text, self._held[-2].text
        if self._in_title:
            self._in_title = "" if char == self._in_title else self._in_title
        elif char in "\"'" and before == " ":
            self._in_title = char
        elif char == ")" and self._depth() == 0:
            self._held = []
            self._handle = self._text
        elif before == " " and char not in " )":
            self._release()  # "[sic] (and so on)" without its space
        if len(self._held) > _MAX_HELD:
            self._release()

    def _depth(self) -> int:
        text = self._held_text
        return text.count("(") - text.count(")")

    def _footnote(self, glyph: Glyph) -> None:
        self._held.append(glyph)
        if glyph.text == "]":
            self._held = []
            self._handle = self._text
        elif glyph.text == " " or len(self._held) > _MAX_CITATION:
            self._release()

    def _citation(self, glyph: Glyph) -> None:
        """`【4†source】`, which some models write; other brackets of this kind are text."""
        self._held.append(glyph)
        if glyph.text == "】" and any(held.text == "†" for held in self._held):
            self._held = []
            self._handle = self._text
        elif glyph.text in "【】" or len(self._held) > _MAX_CITATION:
            last = self._held.pop()
            self._release()
            self._handle(last)

    # ------------------------------------------------------------ tags and entities

    def _tag(self, glyph: Glyph) -> None:
        self._held.append(glyph)
        text = self._held_text
        if glyph.text == ">" and self._end_tag(text):
            return
        if text == "<!--":
            self._drop(self._held[0])
            self._held, self._handle = [], self._comment
        elif not may_be_tag(text) or len(text) > _MAX_HELD:
            last = self._held.pop()
            self._release()
            self._handle(last)

    def _comment(self, glyph: Glyph) -> None:
        self._tail = (self._tail + glyph.text)[-3:]
        self._skipped += 1
        if self._tail == "-->" or self._skipped > _MAX_COMMENT:
            self._tail, self._skipped, self._handle = "", 0, self._text

    def _end_tag(self, text: str) -> bool:
        held = self._held
        address = find_address(text)
        tag = None if address else tag_of(text, attached=_is_narrow_word(self._last))
        if address is None and tag is None:
            return False
        self._held, self._handle = [], self._text
        if not text.startswith("</"):
            self._drop(held[0])
        if tag is Tag.BREAK:
            self._sink(Glyph(BREAK, held[0].start, held[-1].end))
            self._from, self._last = None, " "
        for glyph in held[1:-1] if address else ():
            self._see(glyph)
        return True

    def _entity(self, glyph: Glyph) -> None:
        self._held.append(glyph)
        text = self._held_text
        if chars := entity(text):
            start = self._held[0].start
            self._held, self._handle = [], self._text
            for char in chars:
                self._see(Glyph(char, start, glyph.end))
        elif not may_be_entity(text):
            last = self._held.pop()
            self._release()
            self._handle(last)


def _is_narrow_word(char: str) -> bool:
    """Whether it is a letter or digit of a script that is written with spaces."""
    return is_speakable(char) and not is_wide(char)
