"""Web addresses, e-mail addresses, file names and identifiers in a form that can be said.

Knows nothing about sentences.
"""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.numerals import rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.rules.base import Match, Rule

__all__ = ["address_rules"]

_TOP_DOMAINS = (
    r"com|org|net|edu|gov|info|biz|app|dev|cloud|tech|online|shop|site|xyz|io|ai|co|me|tv|cn|jp|kr|"
    r"de|fr|ru|br|pt|es|it|uk|us|eu|tw|hk|sg|in|au|ca|ch|at|nl|be|se|no|fi|pl|mx|ar|cl"
)
_EXTENSIONS = (
    r"py|js|ts|tsx|jsx|json|yaml|yml|txt|md|csv|tsv|pdf|docx?|xlsx?|pptx?|png|jpe?g|gif|svg|webp|"
    r"mp3|mp4|wav|flac|zip|tar|gz|exe|html?|css|cpp|hpp|java|go|rs|rb|php|toml|ini|cfg|conf|sh|log|"
    r"xml|sql|ipynb|onnx|bin|safetensors|gguf|pt|lock|env"
)
_HOST = rf"(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+(?:{_TOP_DOMAINS})(?![A-Za-z-])"
_PATH = r"(?::[0-9]{2,5})?(?:[/?#][A-Za-z0-9_~%./?#&=+@:!$,;-]*)?"
_END = r"(?<![.,;:!?])"
_URL = re.compile(
    rf"(?:(?:https?|ftp|wss?)://[A-Za-z0-9_~%./?#&=+@:!$,;\[\]-]+|(?<![A-Za-z0-9@.])(?:www\.{_HOST}|{_HOST}){_PATH}){_END}",
    re.IGNORECASE,
)
_EMAIL = re.compile(rf"(?<![A-Za-z0-9._+-])[A-Za-z0-9][A-Za-z0-9._+-]*@{_HOST}", re.IGNORECASE)
_FILE = re.compile(
    rf"(?<![A-Za-z0-9.])(?:[./~]*[A-Za-z0-9_-]+/)*(?=[0-9]*[A-Za-z_])[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.(?:{_EXTENSIONS})(?![A-Za-z0-9_])"
)
_UNIX_PATH = re.compile(r"(?<![A-Za-z0-9.:<])~?(?:/[A-Za-z][A-Za-z0-9_.-]*){2,}/?(?![A-Za-z0-9])")
_CALL = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z][A-Za-z0-9]*(?:[._][A-Za-z0-9]+)*\(\)")
_PART = re.compile(r"[A-Za-z]+|[0-9]+|.", re.DOTALL)
_NAMES = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    ":": "colon",
    "?": "question",
    "@": "at",
}
# Read as words although they have few vowels or few letters.
_WORDS = re.compile(
    r"com|org|net|info|app|dev|cloud|tech|online|shop|site|log|go|env|tar|zip", re.IGNORECASE
)


def _address(match: Match, reader: Reader) -> str:
    text = re.sub(r"^[a-z]+://", "", match[0], flags=re.IGNORECASE).rstrip("/")
    return _say(text, reader)


def _say(text: str, reader: Reader) -> str:
    parts = [_part(match, reader) for match in _PART.finditer(text)]
    gap = "" if reader.language in ("Chinese", "Japanese") else " "
    return gap.join(part for part in parts if part)


def _part(match: Match, reader: Reader) -> str:
    part = match[0]
    if part.isdigit():
        return reader.digits(part)
    if part.lower() == "www":
        return "w w w"
    if part.isalpha():
        return _letters(match)
    if part in _NAMES:
        return reader.word(_NAMES[part])
    if part in reader.words:
        return reader.word(part)
    return ""


def _letters(match: Match) -> str:
    """Spell what cannot be read as a word: "pdf", and country domains."""
    part, before, after = match[0], match.string[: match.start()], match.string[match.end() :]
    country = len(part) == 2 and before[-1:] == "." and (not after or after[0] in "./:?#")
    if _WORDS.fullmatch(part) or (re.search("[aeiouy]", part, re.IGNORECASE) and not country):
        return part
    return " ".join(part.upper()) if 1 < len(part) < 5 else part


def _call(match: Match, reader: Reader) -> str:
    names = re.split(r"[_.]", match[0].removesuffix("()"))
    return " ".join(_say(name, reader) if name.isdigit() else name for name in names if name)


@cache
def address_rules() -> tuple[Rule, ...]:
    """Return the rules for addresses, files and calls, in any language."""
    return (
        Rule(_EMAIL, _address, "@"),
        Rule(_URL, _address, "."),
        Rule(_FILE, _address, "."),
        Rule(_UNIX_PATH, _address, "/"),
        Rule(_CALL, _call, "("),
        Rule(rx(r"(?<=[A-Za-z0-9_])\(\)"), lambda match, reader: "", "("),
    )
