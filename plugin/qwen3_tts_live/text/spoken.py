"""From the visible text of one segment to the words that are said.

Knows nothing about markup, streaming or voices.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_tts_live.text.board import Board, OffsetMap
from qwen3_tts_live.text.languages import AUTO, guess_language
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = ["Spoken", "SpokenForms"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What to say for one text. `language` is the text's main language, never Auto."""

    text: str
    language: str
    offsets: OffsetMap

    def source_offset(self, spoken_offset: int) -> int:
        """Return the offset in the given text that belongs to one in `text`; monotone."""
        return self.offsets(spoken_offset)


class SpokenForms:
    """Reads segments of one session.

    Args:
        settings: what to read how.
        language: the session's canonical language, or Auto.
    """

    def __init__(self, settings: NormalizerSettings, language: str = AUTO) -> None:
        self._settings = settings
        self._language = language

    def speak(self, text: str) -> Spoken:
        """Return the spoken form of one segment's visible text."""
        board = Board(text)
        language = guess_language(text) if self._language == AUTO else self._language
        spoken, offsets = board.render()
        return Spoken(spoken, language, offsets)
