"""The ten languages of Qwen3-TTS: their names, their codes, and a guess from the script.

Knows nothing about sentences, numbers or voices.
"""

from __future__ import annotations

from qwen3_tts_live.errors import UnknownLanguageError

AUTO = "Auto"

#: Canonical names, as the checkpoints spell them, and the ISO 639-1 code of each.
LANGUAGES: dict[str, str] = {
    "Chinese": "zh",
    "English": "en",
    "Japanese": "ja",
    "Korean": "ko",
    "German": "de",
    "French": "fr",
    "Russian": "ru",
    "Portuguese": "pt",
    "Spanish": "es",
    "Italian": "it",
}

_BY_ALIAS = {name.lower(): name for name in LANGUAGES}
_BY_ALIAS |= {code: name for name, code in LANGUAGES.items()}
_BY_ALIAS |= {"auto": AUTO, "": AUTO, "cmn": "Chinese", "mandarin": "Chinese"}

# Ordered: kana decides for Japanese before the Han characters it stands among are counted as
# Chinese. Latin letters come last and say nothing better than English.
_SCRIPTS = (
    ("Japanese", (("\u3040", "\u30ff"), ("\uff66", "\uff9d"))),
    ("Korean", (("\uac00", "\ud7a3"), ("\u1100", "\u11ff"), ("\u3130", "\u318f"))),
    ("Chinese", (("\u3400", "\u9fff"), ("\U00020000", "\U0003134f"))),
    ("Russian", (("\u0400", "\u04ff"),)),
)


def canonical_language(name: str) -> str:
    """Return the canonical name for a name, an ISO code or a locale (`zh`, `en-US`, `auto`).

    Raises:
        UnknownLanguageError: it is none of the ten languages, nor Auto.
    """
    key = name.strip().lower().replace("_", "-")
    found = _BY_ALIAS.get(key) or _BY_ALIAS.get(key.split("-")[0])
    if found is None:
        known = ", ".join([AUTO, *LANGUAGES])
        raise UnknownLanguageError(f"unknown language {name[:40]!r}; known: {known}")
    return found


def guess_language(text: str) -> str:
    """Return the language that the script of `text` suggests; English where it says nothing."""
    for language, ranges in _SCRIPTS:
        if any(low <= char <= high for char in text for low, high in ranges):
            return language
    return "English"
