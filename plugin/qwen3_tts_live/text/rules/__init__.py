"""Our own rules, in the order in which they look at a text. The first to claim a slice wins."""

from __future__ import annotations

from functools import cache

from qwen3_tts_live.text.rules.amounts import amount_rules
from qwen3_tts_live.text.rules.base import Rule
from qwen3_tts_live.text.rules.calendar import calendar_rules
from qwen3_tts_live.text.rules.chinese import chinese_last_rules, chinese_rules, chinese_year_rules
from qwen3_tts_live.text.rules.codes import code_rules, name_rules
from qwen3_tts_live.text.rules.english import english_last_rules, english_rules, english_year_rules
from qwen3_tts_live.text.rules.european import european_rules
from qwen3_tts_live.text.rules.japanese import japanese_rules, korean_rules
from qwen3_tts_live.text.rules.math import math_rules, symbol_rules
from qwen3_tts_live.text.rules.russian import russian_rules
from qwen3_tts_live.text.rules.words import abbreviation_rules, roman_rules

__all__ = ["Rule", "math_rules", "number_rules", "symbol_rules", "word_rules"]

_LOCAL = {
    "Chinese": chinese_rules,
    "English": english_rules,
    "Japanese": japanese_rules,
    "Korean": korean_rules,
    "Russian": russian_rules,
}
_YEARS = {"Chinese": chinese_year_rules, "English": english_year_rules}
_LAST = {"Chinese": chinese_last_rules, "English": english_last_rules}


@cache
def number_rules(language: str) -> tuple[Rule, ...]:
    """Return every rule that reads numbers in one language, in order."""
    local = _LOCAL[language]() if language in _LOCAL else european_rules(language)
    years = _YEARS[language]() if language in _YEARS else ()
    last = _LAST[language]() if language in _LAST else ()
    return (
        *local,
        *calendar_rules(),
        *code_rules(language),
        *amount_rules(language),
        *years,
        *name_rules(language),
        *math_rules(language),
        *last,
    )


@cache
def word_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for abbreviations and Roman numerals of one language."""
    return (*abbreviation_rules(language), *roman_rules(language))
