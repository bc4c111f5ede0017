"""WeTextProcessing's grammars: they read the plain numbers that our own rules leave.

Owns loading them once, safely from any thread, and the repair of what is known to be wrong in
their output. Each answer is checked, and one that does not hold is not used. Knows no rule.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from qwen3_tts_live.text.settings import GrammarName

__all__ = ["Grammar", "GrammarError", "NoGrammar", "load_grammar"]

logger = logging.getLogger(__name__)

_CODES = {"Chinese": "zh", "English": "en", "Japanese": "ja"}
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


class _Graphs:
    """Normalizers of one kind: each is loaded when its language first needs it."""

    languages = frozenset(_CODES)

    def __init__(self, load: Callable[[str], Callable[[str], str]]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._normalize: dict[str, Callable[[str], str]] = {}

    def read(self, text: str, language: str) -> str:
        """Read the numbers in a text, in any thread."""
        if language not in self._normalize:
            with self._lock:
                if language not in self._normalize:
                    self._normalize[language] = self._loaded(language)
        return _checked(text, _call(self._normalize[language], text))

    def _loaded(self, language: str) -> Callable[[str], str]:
        try:
            return self._load(language)
        except (OSError, ImportError, RuntimeError) as error:
            # Not tried again: a build takes ten seconds, and numbers are read without it.
            logger.warning("no grammar for %s: %s", language, error)
            return _refuse


def _refuse(text: str) -> str:
    raise GrammarError(f"not loaded, {len(text)} characters")


def _load_wetext(language: str) -> Callable[[str], str]:
    from wetext import Normalizer

    normalize: Callable[[str], str] = Normalizer(lang=_CODES[language], operator="tn").normalize
    return normalize


def _load_original(language: str, folder: Path) -> Callable[[str], str]:
    """Load WeTextProcessing's graphs with no option that deletes a word.

    The Chinese graphs that the package ships were built with every option on, and its cache does
    not tell options apart: theirs drop 啊 and 儿 whatever is asked for. Ours are built once, in a
    folder of their own. The English ones have no options.
    """
    if language == "English":
        from tn.english.normalizer import Normalizer as English

        return English().normalize  # type: ignore[no-any-return]
    folder.mkdir(parents=True, exist_ok=True)
    options = {"remove_interjections": False, "full_to_half": False, "cache_dir": str(folder)}
    if language == "Chinese":
        from tn.chinese.normalizer import Normalizer as Chinese

        chinese = Chinese(remove_erhua=False, traditional_to_simple=False, **options)
        return chinese.normalize  # type: ignore[no-any-return]
    from tn.japanese.normalizer import Normalizer as Japanese

    return Japanese(transliterate=False, **options).normalize  # type: ignore[no-any-return]


def _call(normalize: Callable[[str], str], text: str) -> str:
    try:
        answer = normalize(text)
    except Exception as error:
        # wetext raises bare AssertionErrors, pynini errors of its own, for text it does not know.
        raise GrammarError(type(error).__name__) from error
    # wetext puts a backslash before straight quotes and backslashes; undone exactly.
    return re.sub(r'\\(["\\])', r"\1", answer)


def _checked(text: str, answer: str) -> str:
    """Return the answer if it keeps every word, reads every digit and adds nothing odd."""
    if any(char.isdigit() for char in answer):
        raise GrammarError("digits left")
    kept = iter(_WORDS.findall(answer))
    if not all(word in kept for word in _WORDS.findall(text)):
        raise GrammarError("a word is missing")
    return answer


@cache
def load_grammar(name: GrammarName, folder: Path | None = None) -> Grammar:
    """Return a grammar, one for the whole process; its graphs are loaded on first use.

    Args:
        name: which one.
        folder: where WeTextProcessing keeps the graphs it builds; in the user's cache if not given.
    """
    package = {"wetext": "wetext", "wetextprocessing": "tn"}.get(name)
    if package is None:
        return NoGrammar()
    if find_spec(package) is None:
        logger.warning("the grammar %s is not installed; numbers are read plainly", name)
        return NoGrammar()
    if name == "wetext":
        return _Graphs(_load_wetext)
    place = folder or Path.home() / ".cache" / "qwen3-tts-live" / "wetextprocessing"
    return _Graphs(partial(_load_original, folder=place))
