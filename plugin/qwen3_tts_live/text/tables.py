"""Reads the package's tables: what units, currencies and symbols are called in ten languages.

Owns the format of `data/*.tsv` and nothing of their meaning.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple

from qwen3_tts_live.text.languages import LANGUAGES

__all__ = ["Noun", "lines", "parse_noun", "table"]

_NAMES = {code: name for name, code in LANGUAGES.items()}


class Noun(NamedTuple):
    """A counted word: singular and plural (Russian: one, few, many; elsewhere often one form)."""

    forms: tuple[str, ...]
    gender: str


def lines(name: str) -> list[list[str]]:
    """Return the fields of every line of a table that is neither empty nor a comment."""
    text = resources.files("qwen3_tts_live.text").joinpath("data", name).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("# ")]


@cache
def table(name: str, language: str) -> dict[str, str]:
    """Return one language's column of a table with a column for each language."""
    header, *rows = lines(f"{name}.tsv")
    column = [_NAMES.get(code) for code in header].index(language)
    return {row[0]: row[column] for row in rows}


def parse_noun(cell: str) -> Noun:
    """Read `form/form@f`."""
    forms, _, gender = cell.partition("@")
    return Noun(tuple(forms.split("/")), gender or "m")
