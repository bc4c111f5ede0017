"""The numbers that no rule has claimed: by a grammar where there is one, else plainly.

After it, no digit is without a reading.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import pairwise

from qwen3_tts_live.text.board import Board
from qwen3_tts_live.text.grammar import Grammar, GrammarError
from qwen3_tts_live.text.numerals import Numeral, parse_numeral, rx
from qwen3_tts_live.text.readers import Reader, reader_for
from qwen3_tts_live.text.readers.european import EuropeanReader
from qwen3_tts_live.text.runs import Runs

__all__ = ["read_numbers"]

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]+")
_DIGIT = re.compile(r"[0-9]")
_CLAUSE = re.compile(r"[^,，。；;:：!！?？\n、()（）“”\"]+")
# wetext's English graph fails on a digit beside any other character.
_LATIN = re.compile(r"[A-Za-z0-9 .'%&-]+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_ODD_DIGIT = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+")


def read_numbers(board: Board, runs: Runs, grammar: Grammar) -> None:
    """Give every digit on the board that has none a reading."""
    for start, end in list(board.open_spans()):
        if not _DIGIT.search(board.text, start, end):
            continue
        for clause in _CLAUSE.finditer(board.text, start, end):
            for first, last, language in _stretches(board.text, *clause.span(), runs):
                _read_by_grammar(board, first, last, language, grammar)
    for language in sorted(runs.languages):
        _read_plainly(board, runs, language)
    board.apply(_ODD_DIGIT, lambda match: reader_for(runs.language_at(match.start())).whole(match[0].translate(_SUPERSCRIPTS)))


# ------------------------------------------------------------ by a grammar


def _read_by_grammar(board: Board, start: int, end: int, language: str, grammar: Grammar) -> None:
    if language not in grammar.languages:
        return
    for first, last in _pieces(board.text, start, end, language):
        text = board.text[first:last].strip()  # a grammar drops the gaps around a text
        first += board.text[first:last].index(text)
        try:
            answer = grammar.read(text, language)
        except GrammarError as error:
            logger.debug("a grammar left a clause to the plain reading: %s", error)
            continue
        _claim_difference(board, first, text, answer)


def _stretches(text: str, start: int, end: int, runs: Runs) -> Iterator[tuple[int, int, str]]:
    """Cut a clause so that all numbers of a piece are in one language."""
    numbers = [match.start() for match in _NUMBER.finditer(text, start, end)]
    if not numbers:
        return
    language = runs.language_at(numbers[0])
    for before, number in pairwise(numbers):
        following = runs.language_at(number)
        if following != language:
            cut = runs.cut_between(before, number)
            yield start, cut, language
            start, language = cut, following
    yield start, end, language


def _pieces(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    if language != "English":
        yield start, end
        return
    for match in _LATIN.finditer(text, start, end):
        if _DIGIT.search(match[0]):
            yield match.span()


def _claim_difference(board: Board, start: int, text: str, answer: str) -> None:
    """Claim the slice in which the answer differs, so that marks stay close to the words."""
    head = 0
    while head < min(len(text), len(answer)) and text[head] == answer[head]:
        head += 1
    tail = 0
    room = min(len(text), len(answer)) - head
    while tail < room and text[-1 - tail] == answer[-1 - tail]:
        tail += 1
    if head + tail < len(text):
        board.claim(start + head, start + len(text) - tail, answer[head : len(answer) - tail])


# ------------------------------------------------------------ plainly


def _read_plainly(board: Board, runs: Runs, language: str) -> None:
    reader = reader_for(language)

    def read(match: re.Match[str]) -> str | None:
        if runs.language_at(match.start()) != language:
            return None
        return _plain(parse_numeral(match[0], language), match, reader)

    board.apply(rx("NUM", language), read)
    if language == runs.main:
        board.apply(rx("[0-9]+"), lambda match: reader_for(runs.language_at(match.start())).whole(match[0]))


def _plain(number: Numeral, match: re.Match[str], reader: Reader) -> str:
    if isinstance(reader, EuropeanReader):
        after = match.string[match.end() :]
        return reader.number(number, reader.gender_after(number, after))
    return reader.number(number)
