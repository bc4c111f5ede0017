"""The numbers that no rule has claimed: by a grammar where there is one, else plainly.

After it, no digit is without a reading.
"""

from __future__ import annotations

import logging
import re

from qwen3_tts_live.text.board import Board
from qwen3_tts_live.text.grammar import Grammar, GrammarError
from qwen3_tts_live.text.numerals import parse_numeral, rx
from qwen3_tts_live.text.readers import reader_for
from qwen3_tts_live.text.readers.european import EuropeanReader
from qwen3_tts_live.text.runs import Runs

__all__ = ["read_numbers"]

logger = logging.getLogger(__name__)

# A call costs half a millisecond to a whole one. A segment with more plain numbers than this is
# a list or a table, whose other numbers the plain reading says as well.
_MAX_CALLS = 2

_NUMBER = re.compile(r"[0-9]+")
_ANY_DIGIT = re.compile(r"[0-9]+|[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
# What a grammar looks at beside a number: the measure word or the noun after it, little before.
# It is slow on long texts, and only knows characters of its own script.
_BEFORE = {
    "English": re.compile(r"[A-Za-z']+ $"),
    "Chinese": re.compile(r"[\u4e00-\u9fff]{1,2}$"),
    "Japanese": re.compile(r"[\u3041-\u30ff\u4e00-\u9fff]{1,2}$"),
}
_AFTER = {
    "English": re.compile(r" [A-Za-z']+"),
    "Chinese": re.compile(r"[\u4e00-\u9fff]{1,3}"),
    "Japanese": re.compile(r"[\u3041-\u30ff\u4e00-\u9fff]{1,3}"),
}
_WORDS = re.compile(r"[\w\s'-]+")


def read_numbers(board: Board, runs: Runs, grammar: Grammar) -> None:
    """Give every digit on the board that has none a reading."""
    calls = 0
    for start, end in list(board.open_spans()):
        for match in _NUMBER.finditer(board.text, start, end):
            language = runs.language_at(match.start())
            if language in grammar.languages and calls < _MAX_CALLS:
                calls += 1
                _read_by_grammar(board, match, (start, end), language, grammar)
    for language in sorted(runs.languages):
        _read_plainly(board, runs, language)
    # A rule may have taken a part of a number; no digit is left whatever happened.
    for start, end in list(board.open_spans()):
        for match in _ANY_DIGIT.finditer(board.text, start, end):
            reader = reader_for(runs.language_at(match.start()))
            board.claim(*match.span(), reader.whole(match[0].translate(_SUPERSCRIPTS)))


def _read_by_grammar(
    board: Board, number: re.Match[str], span: tuple[int, int], language: str, grammar: Grammar
) -> None:
    text, start, end = board.text, *number.span()
    left = _BEFORE[language].search(text[max(span[0], start - 16) : start])
    right = _AFTER[language].match(text, end, span[1])
    before, after = left[0] if left else "", right[0] if right else ""
    try:
        answer = grammar.read(before + number[0] + after, language)
        if not answer.startswith(before):
            raise GrammarError("the word before was changed")
        if answer.endswith(after):
            answer, after = answer[len(before) : len(answer) - len(after)], ""
        else:
            answer = answer[len(before) :]  # the grammar has read the unit as well
        if not answer.strip() or not _WORDS.fullmatch(answer):
            raise GrammarError("a number is missing, or a symbol is left")
    except GrammarError as error:
        logger.debug("a grammar left a number to the plain reading: %s", error)
        return
    board.claim(start, end + len(after), answer)


def _read_plainly(board: Board, runs: Runs, language: str) -> None:
    reader = reader_for(language)

    def read(match: re.Match[str]) -> str | None:
        if runs.language_at(match.start()) != language:
            return None
        number = parse_numeral(match[0], language)
        if isinstance(reader, EuropeanReader):
            gender = reader.gender_after(number, match.string[match.end() :])
            return reader.number(number, gender)
        return reader.number(number)

    board.apply(rx("NUM", language), read)
