"""What a rule is: a pattern, and how a reader says what it finds. Knows no rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from qwen3_tts_live.text.readers import Reader

__all__ = ["DASH", "RATIO_WORDS", "SCORE_WORDS", "Match", "Rule", "clause_before", "is_minus"]

Match = re.Match[str]

# Between two numbers these mean a range (or a score, or a minus).
DASH = r"(?: ?[-–—~～〜] ?)"

_CLAUSE = re.compile(r"[,，。；;!！?？\n、]")
# Words in whose clause two numbers are the result of a game.
SCORE_WORDS = re.compile(
    r"比分|比赛|得分|险胜|战胜|击败|大胜|完胜|力克|横扫|逆转|不敌|负于|告负|战平|平局|领先|落后|赢|输|"
    r"比例|比率|画幅|配比|勝|敗|負け|試合|이겼|졌|승리|패배|스코어|スコア|点差|対戦|"
    r"\b(?:won|win|wins|beat|beats|lost|lose|score|scored|ratio|format|lead|led|tied|defeated|"
    r"gewann\w*|gewonnen|verlor\w*|besiegt\w*|Ergebnis|gagn\w+|battu\w*|score|perdu|"
    r"gan[aó]\w*|perdi\w+|venc\w+|marcador|placar|ganh\w+|empat\w+|"
    r"vinto|vinc\w+|perso|battuto|risultato)\b|счёт\w*|выигра\w*|проигра\w*|побед\w*",
    re.IGNORECASE,
)
RATIO_WORDS = re.compile(r"比例|比率|画幅|配比|\b(?:ratio|format|aspect)\b", re.IGNORECASE)
# After these a hyphen before a digit is a minus, in Chinese and Japanese text without spaces.
_MINUS_AFTER = re.compile(
    r"(?:[为為是于於到至约約达達降跌温溫比高低得返回回率差值零減は=＝≈<>≤≥(（\[:：]|等于|大于|小于)$"
)


class Rule(NamedTuple):
    """Reads what `pattern` finds.

    `read` returns what to say for the group "say" (the whole match if there is none), or None
    to leave it to a later rule. `hint`: without any of these characters nothing is looked for.
    """

    pattern: re.Pattern[str]
    read: Callable[[Match, Reader], str | None]
    hint: str = ""


def clause_before(match: Match, offset: int | None = None) -> str:
    """Return the text between the last mark and the match."""
    before = match.string[: match.start() if offset is None else offset]
    marks = [mark.end() for mark in _CLAUSE.finditer(before)]
    return before[marks[-1] :] if marks else before


def is_minus(text: str, offset: int, *, quantity: bool = False) -> bool:
    """Return whether the hyphen at `offset`, before a digit, is a minus.

    `quantity`: a unit or a percent sign follows the number, so no name is meant.
    """
    before = text[:offset]
    if not before or before[-1] in " \t\n\"'“‘「,，、。;；…":
        return True
    if before[-1].isalnum() and before[-1] < "\u1100":
        return False
    if before[-1] in ")）]%°":
        return False
    return quantity or bool(_MINUS_AFTER.search(before))
