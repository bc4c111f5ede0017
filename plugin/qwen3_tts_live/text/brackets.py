"""Which quotes and brackets are open: nothing is cut inside them if it can be helped.

Owns the pairs of ten languages, where one sign may open in one and close in another. Knows
nothing about sentences.
"""

from __future__ import annotations

__all__ = ["Brackets"]

_CLOSER_OF = {
    "(": ")", "{": "}", "（": "）", "【": "】", "《": "》", "〈": "〉", "［": "］", "｛": "｝",
    "「": "」", "『": "』", "｢": "｣", "〔": "〕", "〖": "〗", "“": "”", "‘": "’", "„": "“",
    "‚": "‘", "«": "»", "»": "«", "‹": "›", "›": "‹", '"': '"', "＂": "＂",
}  # fmt: skip
# Behind a mark they close something even if nobody saw it open.
_ALWAYS_CLOSE = frozenset(")]}）】》〉］｝」』｣〕〗”’\"'＂»›")
_ALSO_CLOSE = frozenset("“«‹‘")
# Anything deeper is a picture made of brackets.
_MAX_DEPTH = 8


class Brackets:
    """The quotes and brackets that are open."""

    def __init__(self) -> None:
        # What will close each, and the solid character before it.
        self._open: list[tuple[str, str]] = []
        self.opened_behind = ""  # the character before the one that was closed last

    def __bool__(self) -> bool:
        return bool(self._open)

    def clear(self) -> None:
        """Forget what is open."""
        self._open.clear()

    def closes(self, char: str, *, attached: bool) -> bool:
        """Take `char` if it closes something; `attached`: it stands directly behind a mark."""
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth][0] == char:
                self.opened_behind = self._open[depth][1]
                del self._open[depth:]
                return True
            if char in _ALSO_CLOSE:
                break  # it may as well open something: only the innermost counts
        self.opened_behind = ""
        return attached and char in _ALWAYS_CLOSE

    def see(self, char: str, before: str, solid: str) -> None:
        """Take a character that no mark stands before.

        Args:
            char: the character.
            before: the one before it.
            solid: the last one before it that is no white space.
        """
        closer = _CLOSER_OF.get(char)
        if closer is None:
            if self._open and char in _ALWAYS_CLOSE:
                self.closes(char, attached=False)
        elif (
            not self.closes(char, attached=False)
            and not _is_no_bracket(char, before)
            and len(self._open) < _MAX_DEPTH
        ):
            self._open.append((closer, solid))


def _is_no_bracket(char: str, before: str) -> bool:
    """Whether it is inches (5"), a smiley :( or a closing quote whose opener nobody saw."""
    if char == '"':
        return before.isdigit()
    if char == "(":
        return before in (":", ";", "=")
    return char in "»›" and before.isalnum()
