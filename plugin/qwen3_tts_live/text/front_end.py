"""From raw tokens to segments: the one door between the session queue and the text package.

A segment is cut after a sentence end that has been followed by something else, so text once
committed never changes, and any chunking of the same input gives the same segments. The raw
slices of all segments join to exactly the input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen3_tts_live.text.languages import AUTO, guess_language

# Long enough for any sentence that people say in one breath; a text without any punctuation
# is cut here at a space, so that no segment is unbounded.
_MAX_CHARS = 300

# A western full stop ends a sentence only before white space ("3.5", "example.com"); the
# full-width ones always do. Closing quotes and brackets stay with their sentence.
_END = re.compile(
    r"(?:[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？；]+[”’」』）】]*(?=[^。！？；”’」』）】])|\n)\s*(?=\S)"
)
_SPEAKABLE = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """One cut of the input.

    `raw` is a slice of exactly what was pushed, from offset `start`. `spoken` is what to say,
    empty where there is nothing to say. `language` is never Auto.
    """

    raw: str
    start: int
    spoken: str
    language: str

    def raw_offset(self, spoken_offset: int) -> int:
        """Return the offset in `raw` that belongs to an offset in `spoken`."""
        return min(len(self.raw), spoken_offset + len(self.raw) - len(self.raw.lstrip()))


class TextFrontEnd:
    """Cuts text that arrives in pieces into segments.

    Args:
        language: canonical name, or Auto to go by the script of each segment.
    """

    def __init__(self, language: str = AUTO) -> None:
        self._language = language
        self._pending = ""
        self._offset = 0

    def push(self, text: str) -> list[TextSegment]:
        """Take more text; return the segments that later text can no longer change."""
        self._pending += text
        segments = []
        while (cut := self._find_cut()) is not None:
            segments.append(self._commit(cut))
        return segments

    def end(self) -> list[TextSegment]:
        """Return what is left. Nothing may be pushed afterwards."""
        return [self._commit(len(self._pending))] if self._pending else []

    def _find_cut(self) -> int | None:
        match = _END.search(self._pending, 0, _MAX_CHARS)
        if match and match.end() < len(self._pending):
            return match.end()
        if len(self._pending) <= _MAX_CHARS:
            return None
        space = self._pending.rfind(" ", 1, _MAX_CHARS)
        return space + 1 if space > 0 else _MAX_CHARS

    def _commit(self, cut: int) -> TextSegment:
        raw, self._pending = self._pending[:cut], self._pending[cut:]
        start, self._offset = self._offset, self._offset + cut
        spoken = raw.strip() if _SPEAKABLE.search(raw) else ""
        language = guess_language(raw) if self._language == AUTO else self._language
        return TextSegment(raw=raw, start=start, spoken=spoken, language=language)
