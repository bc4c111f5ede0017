"""Takes markup out of text that arrives in pieces.

Owns the order of the stages: lines first (`markup_blocks`), then what is inside them
(`markup_inline`). What is left comes out as glyphs, which know the raw text they stand for.
"""

from __future__ import annotations

from qwen3_tts_live.text.glyphs import Glyph, is_invisible
from qwen3_tts_live.text.markup_blocks import BlockStripper
from qwen3_tts_live.text.markup_inline import InlineStripper
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["MarkupStripper"]


class MarkupStripper:
    """Turns raw text into glyphs, the same ones however it is cut into pieces.

    Args:
        settings: whether to, and what to do with code, tables and images.
    """

    def __init__(self, settings: NormalizerSettings) -> None:
        self._settings = settings
        self._out: list[Glyph] = []
        self._inline = InlineStripper(settings, self._out.append)
        self._blocks = BlockStripper(settings, self._inline.feed)
        self._position = 0

    def push(self, text: str) -> list[Glyph]:
        """Take more raw text; return what has become visible."""
        start, self._position = self._position, self._position + len(text)
        if not self._settings.markup:
            glyphs = (Glyph(char, start + i, start + i + 1) for i, char in enumerate(text))
            return [
                glyph for glyph in glyphs if not is_invisible(glyph.text) or glyph.text in "\n\t"
            ]
        for index, char in enumerate(text, start):
            self._blocks.feed(char, index)
        return self._taken()

    def stalled(self) -> list[Glyph]:
        """Return what is held only for a case that is all but impossible."""
        self._inline.stalled()
        return self._taken()

    def end(self) -> list[Glyph]:
        """Return what was held back: what never closed is text."""
        self._blocks.end(self._position)
        self._inline.flush()
        return self._taken()

    def _taken(self) -> list[Glyph]:
        out = list(self._out)
        self._out.clear()
        return out
