"""How each language says numbers, dates, money and measures."""

from __future__ import annotations

from functools import cache

from qwen3_tts_live.text.readers.base import Reader
from qwen3_tts_live.text.readers.chinese import ChineseReader
from qwen3_tts_live.text.readers.english import EnglishReader
from qwen3_tts_live.text.readers.french import FrenchReader
from qwen3_tts_live.text.readers.german import GermanReader
from qwen3_tts_live.text.readers.iberian import PortugueseReader, SpanishReader
from qwen3_tts_live.text.readers.italian import ItalianReader
from qwen3_tts_live.text.readers.japanese import JapaneseReader
from qwen3_tts_live.text.readers.korean import KoreanReader
from qwen3_tts_live.text.readers.russian import RussianReader

__all__ = ["Reader", "reader_for"]

_READERS: tuple[type[Reader], ...] = (
    ChineseReader,
    EnglishReader,
    JapaneseReader,
    KoreanReader,
    GermanReader,
    FrenchReader,
    RussianReader,
    PortugueseReader,
    SpanishReader,
    ItalianReader,
)


@cache
def reader_for(language: str) -> Reader:
    """Return the reader of a canonical language; readers hold no state."""
    return next(reader() for reader in _READERS if reader.language == language)
