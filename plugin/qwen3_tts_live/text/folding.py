"""Turns rare characters that mean a plain one into that plain one, before any rule looks.

Full-width letters and digits, digits of other scripts, fractions, subscripts, circled numbers,
Roman numeral signs, squared units. Superscripts stay: they are read, not copied. Knows no
language and no rule.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from qwen3_tts_live.text.board import OffsetMap

__all__ = ["fold"]

# Neither seen nor heard; a lone surrogate cannot even be encoded.
_SILENT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SILENT_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))
# What can never fold: ASCII, Latin, Greek and Cyrillic letters, kana, Han and Hangul.
_CANDIDATE = re.compile(
    r"[^\x00-\x7f\u00c0-\u024f\u0370-\u058f\u2013-\u201f\u2026\u3000-\u303f"
    r"\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3、。]"
)
_KEPT = frozenset("²³¹⁰⁴⁵⁶⁷⁸⁹¥£€©®™°×÷±·№℗℠…ªº，。！？：；（）、【】《》「」～〜")
_FIXED = {
    "µ": "μ",
    "℃": "°C",
    "℉": "°F",
    "Ω": "Ω",
    "−": "-",
    "‐": "-",
    "‑": "-",
    "－": "-",
    "﹣": "-",
    "＋": "+",
    "∶": ":",
    "\xa0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "\u2007": " ",
    "￥": "¥",
    "￡": "£",
    "￦": "₩",
    "∕": "/",
    "⁄": "/",
    "✕": "×",
    "✖": "×",
    "∗": "*",
    "⋅": "·",
    "∙": "·",
    "≦": "≤",
    "≧": "≥",
    "⩽": "≤",
    "⩾": "≥",
}
_UNIT_POWER = re.compile(r"(?<=[a-z])([23])$")
_POWER = str.maketrans("23", "²³")
# Full-width marks mean the half-width ones only inside numbers ("１．５", "１２：３０").
_IN_NUMBER = {"．": ".", "：": ":", "，": ","}
_IN_NUMBER_AT = re.compile(r"(?<=[0-9０-９])[．：](?=[0-9０-９])|(?<=[０-９])，(?=[０-９]{3})")


def fold(text: str) -> tuple[str, OffsetMap]:
    """Return the plain text, and the map of its offsets to those of `text`."""
    odd = _SILENT.search(text) or (
        not text.isascii() and (_CANDIDATE.search(text) or _IN_NUMBER_AT.search(text))
    )
    if not odd:
        return text, OffsetMap((0, len(text)), (0, len(text)))
    inside = {match.start() for match in _IN_NUMBER_AT.finditer(text)}
    parts: list[str] = []
    inner, outer, length = [0], [0], 0
    for at, char in enumerate(text):
        plain = _IN_NUMBER[char] if at in inside else _plain(char)
        if plain[:1].isdigit() and len(plain) > 1 and text[at - 1 : at].isdigit():
            plain = " " + plain  # "1½" is one and a half, not eleven halves
        parts.append(plain)
        length += len(plain)
        if len(plain) != 1:
            inner.append(length)
            outer.append(at + 1)
    if inner[-1] < length:
        inner.append(length)
        outer.append(len(text))
    return "".join(parts), _strict(inner, outer)


def _strict(inner: list[int], outer: list[int]) -> OffsetMap:
    corners = dict(zip(inner, outer, strict=True))  # the last corner at an offset wins
    corners[0] = 0
    return OffsetMap(tuple(corners), tuple(corners.values()))


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    if char in _FIXED:
        return _FIXED[char]
    if _SILENT.match(char):
        return ""
    if char in _KEPT or not _CANDIDATE.match(char):
        return char
    if unicodedata.category(char) in _SILENT_CATEGORIES:
        return ""
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    compatible = unicodedata.normalize("NFKC", char).replace("\u2044", "/")
    if re.fullmatch(r"[0-9]+/[0-9]+", compatible):
        return compatible
    if re.fullmatch(r"\(?[0-9]+\)?\.?", compatible):  # ①, ⑴, ⒈: a list number
        return compatible.strip("().") if "\u2080" <= char <= "\u2089" else f"{compatible}, "
    if compatible.isascii() and compatible.isprintable() and not compatible.isspace():
        return _UNIT_POWER.sub(lambda match: match[0].translate(_POWER), compatible)
    if (digit := unicodedata.digit(char, None)) is not None:
        return f"{digit}, "
    return char
