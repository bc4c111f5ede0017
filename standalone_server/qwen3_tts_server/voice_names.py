"""What others' clients call a voice, and which of ours they get.

Knows nothing about where voices come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qwen3_tts_live.errors import UnknownVoiceError

__all__ = ["find_voice"]

# Clients send these whether or not anybody chose them; some accept no other.
_STAND_FOR_THE_DEFAULT = frozenset(
    (
        *("", "default", "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin"),
        *("nova", "onyx", "sage", "shimmer", "verse"),
    )
)


def find_voice(name: str, aliases: Mapping[str, str], voices: Sequence[str]) -> str | None:
    """Return the voice that a client means by `name`; None for the default voice.

    An alias comes before a voice of that name, and both before the names that OpenAI's clients
    send. Case does not matter.

    Args:
        name: what the client sent.
        aliases: what the server's owner chose.
        voices: those that there are.

    Raises:
        UnknownVoiceError: nothing is called that.
    """
    wanted = name.lower()
    wanted = next((v for alias, v in aliases.items() if alias.lower() == wanted), name).lower()
    found = next((voice for voice in voices if voice.lower() == wanted), None)
    if found is None and wanted not in _STAND_FOR_THE_DEFAULT:
        known = ", ".join(voices) or "only the default voice"
        raise UnknownVoiceError(f"unknown voice {name[:40]!r}; known: {known}")
    return found
