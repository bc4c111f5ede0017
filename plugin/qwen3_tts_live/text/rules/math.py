"""Mathematics, signs, and the symbols that are left when every other rule has looked."""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.numerals import rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.rules.base import Match, Rule, is_minus

__all__ = ["math_rules", "symbol_rules"]

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_WORD_BEFORE = re.compile(r"[A-Za-z\u00c0-\u024f]{3,} ?$")
_WORD_AFTER = re.compile(r" ?[A-Za-z\u00c0-\u024f]{3,}")
_OPERAND = r"[0-9A-Za-z)\]²³πθαβ√]"


def _operator(match: Match, reader: Reader) -> str:
    sign = {
        "*": "×",
        "x": "×",
        "/": "÷",
        "<=": "≤",
        ">=": "≥",
        "!=": "≠",
        "==": "=",
        "->": "→",
        "=>": "→",
    }
    written = match["op"]
    gap = reader.joiner
    return gap + reader.word(sign.get(written, written)) + gap


def _compare(match: Match, reader: Reader) -> str:
    before, after = match.string[: match.start()], match.string[match.end() :]
    if match["op"] == ">" and _WORD_BEFORE.search(before) and _WORD_AFTER.match(after):
        return ","  # a path through menus: Settings > Privacy
    return _operator(match, reader)


def _per(match: Match, reader: Reader) -> str:
    del match
    return reader.joiner + reader.word("per") + reader.joiner


def _pause(match: Match, reader: Reader) -> str:
    del match, reader
    return ","


def _minus(match: Match, reader: Reader) -> str:
    return reader.joiner + reader.word("-") + reader.joiner


def _power(match: Match, reader: Reader) -> str:
    digits = match["n"].translate(_SUPERSCRIPTS)
    gap = reader.joiner
    if digits == "2" or digits == "3":
        word = reader.word("squared" if digits == "2" else "cubed")
        return (
            ("的" if match.string[match.start() - 1].isdigit() and not gap else "")
            * (reader.language == "Chinese")
            + gap
            + word
        )
    if reader.language == "Chinese":
        return f"的{reader.whole(digits)}次方"
    if not gap or reader.language == "Korean":
        return "の" * (not gap) + reader.whole(digits) + reader.word("power")
    return f"{gap}{reader.word('power')} {reader.whole(digits)}"


def _negative(match: Match, reader: Reader) -> str | None:
    if not is_minus(match.string, match.start()):
        return None
    return reader.word("minus") + reader.joiner


def _after(operand: str) -> str:
    """Return the pattern of a place right after an operand, with or without a space."""
    return rf"(?:(?<={operand})|(?<={operand} ))"


@cache
def math_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for operators between numbers and names, in any language."""
    del language  # the patterns are the same; the argument keeps the signature of the others
    digit = r"[0-9)²³]"
    return (
        Rule(rx(r"(?<=[0-9A-Za-z)\]])(?:\^\(?(?P<n>[0-9]+)\)?)"), _power, "^"),
        Rule(rx(r"(?<=[0-9A-Za-z)\]])(?P<n>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"), _power, "⁰¹²³⁴⁵⁶⁷⁸⁹"),
        Rule(rx(r"(?P<op>[-=]>)"), _operator, ">"),
        Rule(rx(r"(?P<op>[=<>!]=|[=≠≈≤≥×÷√])(?!=)"), _operator, "=≠≈≤≥×÷√"),
        Rule(rx(rf"{_after(_OPERAND)}(?P<op>[<>])(?= ?[-0-9A-Za-z$¥€])"), _compare, "<>"),
        Rule(rx(r"(?<=[\u3400-\u9fff])(?P<op>[<>])(?= ?[-0-9A-Za-z$¥€])"), _compare, "<>"),
        Rule(rx(rf"{_after(_OPERAND)}(?P<op>\+)(?= ?[0-9A-Za-z(√])"), _operator, "+"),
        Rule(rx(rf"{_after(digit)}(?P<op>\*)(?= ?[0-9(A-Za-z])"), _operator, "*"),
        Rule(
            rx(rf"(?<={digit} )(?P<op>/)(?= [0-9(])|(?<=[0-9])(?P<op2>/)(?=[0-9]+ ?=)"),
            _divided,
            "/",
        ),
        Rule(rx(rf"{_after('[0-9]')}[xX](?= ?[0-9])"), _by, "xX"),
        Rule(rx(rf"(?<={digit} )-(?= [0-9(])|(?<={digit})-(?=[0-9.]+ ?=)"), _minus, "-"),
        Rule(rx(r"-(?=\.?[0-9])"), _negative, "-"),
        Rule(rx(r"(?P<op>[±+])(?=[0-9])"), _operator, "±+"),
        Rule(rx(r"(?<=[A-Za-zл])/(?=100 ?(?:km|км))"), _per, "/"),
        # Joints inside names, which a grammar would take for a minus: DDR5-6000.
        Rule(rx(r"(?<=[0-9A-Za-z])[-_/](?=[0-9])"), _space, "-_/"),
    )


def _divided(match: Match, reader: Reader) -> str:
    del match
    return reader.joiner + reader.word("÷") + reader.joiner


def _by(match: Match, reader: Reader) -> str:
    word = "by" if reader.language == "English" else reader.word("×")
    return reader.joiner + word + reader.joiner


# ------------------------------------------------------------ what is left


def _word(match: Match, reader: Reader) -> str:
    return reader.joiner + reader.word(match[0].strip()) + reader.joiner


def _space(match: Match, reader: Reader) -> str:
    del match, reader
    return " "


@cache
def symbol_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for symbols that no other rule has read."""
    del language
    return (
        Rule(rx(r"[&%°∞→€£₽₩©§№±×÷=≠≈≤≥√@#$¥+]"), _word, "&%°∞→€£₽₩©§№±×÷=≠≈≤≥√@#$¥+"),
        # Joints inside names: GPT-4, USB-C.
        Rule(rx(r"(?<=[A-Z])-(?=[A-Z](?![a-z]))|(?<=[A-Za-z])-(?=[A-Z](?![A-Za-z]))"), _space, "-"),
        Rule(rx(r"(?<=[A-Za-z])-(?=[0-9])|(?<=[0-9])-(?=[A-Za-z0-9])"), _space, "-"),
        Rule(rx(r"/+"), _slash, "/"),
        Rule(rx(r"[<>]"), _pause, "<>"),
        Rule(rx(r"[_*|\\^~`]"), _space, "_*|\\^~`"),
    )


def _slash(match: Match, reader: Reader) -> str:
    before = match.string[match.start() - 1 : match.start()]
    if before < "\u1100":
        return " "
    return "" if before in "和或及与と" else "、"
