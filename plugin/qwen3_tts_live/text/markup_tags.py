"""What stands between `<` and `>` or `&` and `;`: whether it is markup, and of which kind.

Owns the shapes of tags, control tokens and entities. Knows nothing about what is done with them.
"""

from __future__ import annotations

import html
import re
from enum import Enum

__all__ = ["Tag", "entity", "find_address", "may_be_entity", "may_be_tag", "tag_of"]

_NAME = r"[A-Za-z][\w:.-]*"
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=]+)"
_TAG = re.compile(
    rf"<(?:\|[^<>]*\||![A-Za-z][^<>]*|\?[^<>]*\?|/{_NAME}\s*|{_NAME}"
    rf"(?:\s+[\w:@.-]+\s*=\s*{_VALUE})*(?:\s+[\w-]+)?\s*/?)>",
    re.DOTALL,
)
# What may still become one of them, or an address in angle brackets.
_MAYBE_TAG = re.compile(
    rf"<(?:\|[^<>]*|!(?:--?|[A-Za-z][^<>]*)?|\?[^<>]*|/(?:{_NAME}\s*)?|{_NAME}/?"
    rf"|{_NAME}(?:\s+[\w:@.-]+\s*=\s*{_VALUE})*"
    rf"(?:\s*/?|\s+[\w:@.-]+\s*(?:=\s*(?:\"[^\"]*|'[^']*|{_VALUE})?)?)"
    r"|[A-Za-z][^\s<>]*)",
    re.DOTALL,
)
_AUTOLINK = re.compile(r"<([A-Za-z][\w+.-]*:[^\s<>]+|[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+)>")
# Tags in the middle of a sentence (HTML's and SSML's); any other ends it. One that is in neither
# list and stands directly behind a letter is none: "List<String>".
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|cite|code|del|em|emphasis|font|i|img|ins|kbd|lang|mark|phoneme|prosody|q|s"
    r"|say-as|small|span|strong|sub|sup|tt|u|var|voice|w|wbr)\b|<[|!?]",
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(
    r"</|<(?:br|p|div|li|ul|ol|dl|dt|dd|t[rdh]|hr|h[1-6]|table|section|article|break)\b",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,24}\d{0,2});")
_MAYBE_ENTITY = re.compile(r"&(?:#(?:\d{1,7}|[xX][0-9a-fA-F]{0,6})?|[A-Za-z]{0,24}\d{0,2})")


class Tag(Enum):
    """What a tag does to the sentence around it."""

    INLINE = "inline"
    BREAK = "break"


def may_be_tag(text: str) -> bool:
    """Whether more characters can make `text` a tag or an address in angle brackets."""
    return _MAYBE_TAG.fullmatch(text) is not None


def find_address(text: str) -> str | None:
    """Return the address in `<...>`, if it holds one and nothing else."""
    match = _AUTOLINK.fullmatch(text)
    return match[1] if match else None


def tag_of(text: str, *, attached: bool) -> Tag | None:
    """Return what kind of tag `text` is; None if it is none.

    Args:
        text: from `<` to `>`.
        attached: a letter stands directly before it.
    """
    inline = _INLINE_TAG.match(text) is not None
    if (attached and not inline and not _BLOCK_TAG.match(text)) or not _TAG.fullmatch(text):
        return None
    return Tag.INLINE if inline else Tag.BREAK


def may_be_entity(text: str) -> bool:
    """Whether more characters can make `text` an entity."""
    return _MAYBE_ENTITY.fullmatch(text) is not None


def entity(text: str) -> str | None:
    """Return what an entity stands for; None if it is none."""
    if not _ENTITY.fullmatch(text) or (char := html.unescape(text)) == text:
        return None
    return " " if char == "\xa0" else char
