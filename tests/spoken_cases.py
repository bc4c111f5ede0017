"""Reads the written cases and compares readings as a listener would."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "unit" / "text" / "cases"
_CJK = "\u3400-\u9fff\u3041-\u30ff\uac00-\ud7a3"


class Case(NamedTuple):
    place: str
    kind: str
    session: str
    written: str
    readings: frozenset[str]


def heard(text: str) -> str:
    """Return what a listener can tell apart: no case, no punctuation, no gaps between CJK."""
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "").replace("'", "")
    text = "".join(" " if unicodedata.category(char)[0] in "PSZC" else char for char in text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(rf" (?=[{_CJK}])|(?<=[{_CJK}]) ", "", text)


def readings(cell: str) -> frozenset[str]:
    """Return every reading of a cell such as "(a|b) c | d"."""
    found: set[str] = set()
    for whole in cell.split(" | "):
        parts = re.split(r"\(([^()]*)\)", whole)
        choices = [part.split("|") if at % 2 else [part] for at, part in enumerate(parts)]
        found |= {heard("".join(choice)) for choice in itertools.product(*choices)}
    return frozenset(found)


def cases() -> Iterator[Case]:
    """Yield every case of every file."""
    for path in sorted(FOLDER.glob("*.tsv")):
        session = ""
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if line.startswith("# session: "):
                session = line.removeprefix("# session: ")
            elif line and not line.startswith("# "):
                kind, written, spoken = line.split("\t")
                yield Case(f"{path.name}:{number}", kind, session, written, readings(spoken))
