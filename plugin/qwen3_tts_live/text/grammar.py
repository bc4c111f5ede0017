"""WeTextProcessing's grammars: they read the plain numbers that our own rules leave.

Owns loading them once, safely from any thread, and the repair of what is known to be wrong in
their output. Each answer is checked, and one that does not hold is not used. Knows no rule.
"""

from __future__ import annotations

import logging
import re
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import Protocol

from qwen3_tts_live.text.settings import GrammarName

__all__ = ["Grammar", "GrammarError", "NoGrammar", "load_grammar"]

logger = logging.getLogger(__name__)

_CODES = {"Chinese": "zh", "English": "en", "Japanese": "ja"}
_LOCK = threading.Lock()
_WORDS = re.compile(r"[A-Za-z]+")


class GrammarError(Exception):
    """A grammar could not read a text, or its answer does not hold."""


class Grammar(Protocol):
    """Reads the numbers in a short text of one language."""

    @property
    def languages(self) -> frozenset[str]:
        """The languages it has."""

    def read(self, text: str, language: str) -> str:
        """Return `text` with its numbers as words.

        Raises:
            GrammarError: it cannot; the caller reads the text plainly.
        """


class NoGrammar:
    """Reads nothing: everything is left to the plain reading."""

    languages: frozenset[str] = frozenset()

    def read(self, text: str, language: str) -> str:
        """Refuse."""
        raise GrammarError(f"no grammar for {language}")


class _Wetext:
    """WeTextProcessing's grammars, compiled, run by `wetext`."""

    languages = frozenset(_CODES)

    def __init__(self) -> None:
        from wetext import Normalizer

        self._normalizers = {
            language: Normalizer(lang=code, operator="tn") for language, code in _CODES.items()
        }

    def read(self, text: str, language: str) -> str:
        return _checked(text, _call(self._normalizers[language].normalize, text))


class _WeTextProcessing:
    """The original, with graphs of its own in which no option deletes a word."""

    languages = frozenset(_CODES)

    def __init__(self, folder: Path) -> None:
        from tn.chinese.normalizer import Normalizer as Chinese
        from tn.english.normalizer import Normalizer as English
        from tn.japanese.normalizer import Normalizer as Japanese

        # The graphs that the package ships were built with every option on, and its cache does
        # not tell options apart: theirs drop 啊 and 儿 whatever is asked for.
        folder.mkdir(parents=True, exist_ok=True)
        options = {"cache_dir": str(folder), "remove_interjections": False, "full_to_half": False}
        self._normalizers = {
            "Chinese": Chinese(remove_erhua=False, traditional_to_simple=False, **options),
            "English": English(cache_dir=str(folder)),
            "Japanese": Japanese(transliterate=False, **options),
        }

    def read(self, text: str, language: str) -> str:
        return _checked(text, _call(self._normalizers[language].normalize, text))


def _call(normalize: object, text: str) -> str:
    # A backslash is put before straight quotes and backslashes; undone exactly.
    try:
        answer = normalize(text)  # type: ignore[operator]
    except Exception as error:
        # wetext raises bare AssertionErrors, pynini errors of its own, for text it does not know.
        raise GrammarError(type(error).__name__) from error
    return re.sub(r'\\(["\\])', r"\1", str(answer))


def _checked(text: str, answer: str) -> str:
    """Return the answer if it keeps every word, reads every digit and adds nothing odd."""
    if any(char.isdigit() for char in answer):
        raise GrammarError("digits left")
    kept = iter(_WORDS.findall(answer))
    if not all(word in kept for word in _WORDS.findall(text)):
        raise GrammarError("a word is missing")
    return answer


@cache
def _load(name: GrammarName, folder: Path) -> Grammar:
    package = {"wetext": "wetext", "wetextprocessing": "tn"}.get(name)
    if package is None:
        return NoGrammar()
    if find_spec(package) is None:
        logger.warning("the grammar %s is not installed; numbers are read plainly", name)
        return NoGrammar()
    return _Wetext() if name == "wetext" else _WeTextProcessing(folder)


def load_grammar(name: GrammarName, folder: Path | None = None) -> Grammar:
    """Return a grammar, loaded once for the whole process.

    Args:
        name: which one.
        folder: where WeTextProcessing keeps the graphs it builds; a folder of ours if not given.
    """
    with _LOCK:
        return _load(name, folder or Path(gettempdir()) / "qwen3-tts-live-grammars")
