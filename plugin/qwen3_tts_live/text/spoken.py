"""From the visible text of one segment to the words that are said.

Knows nothing about markup, streaming or voices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen3_tts_live.text.board import Board, OffsetMap
from qwen3_tts_live.text.folding import fold
from qwen3_tts_live.text.grammar import load_grammar
from qwen3_tts_live.text.languages import AUTO
from qwen3_tts_live.text.lexicon import Lexicon
from qwen3_tts_live.text.plain import read_numbers
from qwen3_tts_live.text.readers import reader_for
from qwen3_tts_live.text.rules import Rule, math_rules, number_rules, symbol_rules, word_rules
from qwen3_tts_live.text.runs import Runs, find_runs
from qwen3_tts_live.text.settings import NormalizerSettings
from qwen3_tts_live.text.urls import address_rules
from qwen3_tts_live.text.words import read_acronyms, read_fixed_forms

__all__ = ["Spoken", "SpokenForms"]

# What can need a reading at all: digits, capitals, symbols, a point inside or after a word.
_WRITTEN = re.compile(r"[0-9⁰¹²³⁴⁵⁶⁷⁸⁹A-Z\u00c0-\u00deА-ЯЁ.#$%&*+/<=>@\\^_`|~¢-±´-¿×÷√∞→≈≠≤≥€₩₽№-]")
_MARKS = ".!?。！？…"
_DIGIT = re.compile(r"[0-9⁰¹²³⁴⁵⁶⁷⁸⁹]")


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
        self._lexicon = Lexicon(settings.lexicon)

    def speak(self, text: str) -> Spoken:
        """Return the spoken form of one segment's visible text."""
        plain, folded = fold(text)
        runs = find_runs(plain, self._language)
        board = Board(plain)
        if _WRITTEN.search(plain):
            self._read(board, runs)
        spoken, offsets = board.render()
        # A point that belonged to an abbreviation ended the sentence as well.
        if plain and plain[-1] in _MARKS and spoken[-1:] not in _MARKS:
            spoken += plain[-1]
        return Spoken(spoken, runs.main, offsets.then(folded))

    def _read(self, board: Board, runs: Runs) -> None:
        languages = sorted(runs.languages, key=lambda name: name != runs.main)
        style = self._settings.acronyms
        self._lexicon.read(board, runs)
        for language in languages:
            _apply(board, runs, language, address_rules())
        read_fixed_forms(board, runs, style)
        for language in languages:
            _apply(board, runs, language, word_rules(language))
        has_digits = bool(_DIGIT.search(board.text))
        for language in languages:
            rules = number_rules(language) if has_digits else math_rules(language)
            _apply(board, runs, language, rules)
        if has_digits:
            read_numbers(board, runs, load_grammar(self._settings.grammar))
        for language in languages:
            _apply(board, runs, language, symbol_rules(language))
        read_acronyms(board, runs, style)


def _apply(board: Board, runs: Runs, language: str, rules: tuple[Rule, ...]) -> None:
    reader = reader_for(language)
    text = board.text
    several = len(runs.languages) > 1
    for rule in rules:
        if rule.hint and not any(char in text for char in rule.hint):
            continue

        def read(match: re.Match[str], rule: Rule = rule) -> str | None:
            if several and runs.language_at(match.start()) != language:
                return None
            return rule.read(match, reader)

        board.apply(rule.pattern, read)
