"""What a deployment, a session or a request may choose about its text.

Owns the settings and the user's lexicon with their checks. Knows nothing about how either is
applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.text.languages import AUTO, canonical_language

__all__ = ["LexiconEntry", "NormalizerSettings", "read_lexicon"]

GrammarName = Literal["wetext", "wetextprocessing", "none"]
AcronymStyle = Literal["spaces", "dots", "off"]

_SIZES = ("first_clause", "first_sentence", "first_limit", "sentence", "limit", "stall_s")


@dataclass(frozen=True, slots=True)
class LexiconEntry:
    """How to say one written form.

    Attributes:
        written: exact form, case-sensitive; matched where no letter or digit touches it.
        spoken: what to say; it is used as it stands.
        language: canonical name, or Auto for text of any language.

    Raises:
        InvalidRequestError: `written` is empty.
        UnknownLanguageError: `language` is none of the ten, nor Auto.
    """

    written: str
    spoken: str
    language: str = AUTO

    def __post_init__(self) -> None:
        if not self.written.strip():
            raise InvalidRequestError("a lexicon entry needs a written form; this one is empty")
        object.__setattr__(self, "language", canonical_language(self.language))


def read_lexicon(path: Path) -> tuple[LexiconEntry, ...]:
    """Read a lexicon file: a line is `written<TAB>spoken` or `written<TAB>spoken<TAB>language`.

    UTF-8; empty lines and lines that begin with `# ` are comments.

    Raises:
        InvalidRequestError: a line has another shape; the message names it.
        OSError: the file cannot be read.
    """
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("# "):
            continue
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) not in (2, 3):
            raise InvalidRequestError(
                f"{path.name}:{number}: {len(fields)} fields; write the form, a tab and how to "
                "say it (then, if you like, a tab and the language)"
            )
        entries.append(LexiconEntry(*fields))
    return tuple(entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizerSettings:
    """How written text becomes spoken text. Immutable and hashable.

    Lengths are in spoken weight: a Chinese character weighs 1, a digit 1, a Latin letter 0.4.

    Attributes:
        enabled: False says the text as it is written; markup is still removed, see `markup`.
        grammar: who reads what our own rules leave: `wetext` (WeTextProcessing's grammars,
            compiled), `wetextprocessing` (the original), or `none` (a plain reading of ours).
            Where the package is not installed, `none` is used and one log line says so.
        acronyms: how to spell: `spaces` (A I), `dots` (A.I.) or `off` (AI).
        lexicon: the user's words; they beat every rule, and the last entry for a form counts.
        markup: remove Markdown, HTML tags, control tokens and emoji.
        code_phrase: said in place of a fenced code block; empty says nothing.
        inline_code: say it, or skip it.
        tables: say them row by row, or skip them.
        images: say their alternative text, or skip them.
        first_clause: weight from which the first segment may end at a comma. Smaller starts
            the voice sooner and cuts the first sentence in two more often.
        first_sentence: weight from which the first segment may end at a sentence end. Below 3,
            an "OK." is sent alone and the model has no melody to go by.
        first_limit: weight at which the first segment is cut at a word gap.
        sentence: weight from which later segments end at a sentence end; shorter sentences are
            joined with the next.
        limit: weight at which later segments are cut at the last comma. The model's voice
            drifts in much longer ones.
        stall_s: seconds without new text after which a finished sentence is sent although the
            next character could still belong to it.

    Raises:
        InvalidRequestError: a name is unknown, or a size is not positive.
    """

    enabled: bool = True
    grammar: GrammarName = "wetext"
    acronyms: AcronymStyle = "spaces"
    lexicon: tuple[LexiconEntry, ...] = ()
    markup: bool = True
    code_phrase: str = ""
    inline_code: Literal["say", "skip"] = "say"
    tables: Literal["say", "skip"] = "say"
    images: Literal["say", "skip"] = "skip"
    first_clause: float = 7.0
    first_sentence: float = 3.0
    first_limit: float = 40.0
    sentence: float = 12.0
    limit: float = 90.0
    stall_s: float = 0.2

    def __post_init__(self) -> None:
        _check_name("grammar", self.grammar, get_args(GrammarName))
        _check_name("acronyms", self.acronyms, get_args(AcronymStyle))
        for field in ("inline_code", "tables", "images"):
            _check_name(field, getattr(self, field), ("say", "skip"))
        for field in _SIZES:
            if not getattr(self, field) > 0:
                raise InvalidRequestError(f"{field} is {getattr(self, field)}; it must be above 0")
        object.__setattr__(self, "lexicon", tuple(self.lexicon))


def _check_name(field: str, value: str, known: Iterable[str]) -> None:
    known = tuple(known)
    if value not in known:
        raise InvalidRequestError(f"{field} is {value!r}; known: {', '.join(known)}")
