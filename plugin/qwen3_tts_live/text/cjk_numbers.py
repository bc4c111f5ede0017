"""Whole numbers in Chinese, Japanese and Korean (Sino-Korean), which share their system.

Knows no context: where a Chinese 2 is 两, and which Korean numbers are native, is the readers'.
"""

from __future__ import annotations

__all__ = ["KOREAN_DIGITS", "chinese_cardinal", "japanese_cardinal", "korean_cardinal"]

_HAN = "零一二三四五六七八九"
KOREAN_DIGITS = "영일이삼사오육칠팔구"
_SMALL = ("", "十", "百", "千")
_KOREAN_SMALL = ("", "십", "백", "천")


def _groups(digits: str) -> list[tuple[str, int]]:
    """Split into groups of four digits with their rank, highest first, empty ones left out."""
    digits = digits.lstrip("0")
    padded = digits.zfill(-(-len(digits) // 4) * 4)
    groups = [padded[at : at + 4] for at in range(0, len(padded), 4)]
    return [(group, len(groups) - 1 - rank) for rank, group in enumerate(groups)]


def chinese_cardinal(digits: str) -> str:
    """Say up to sixteen digits, 两 where a leading 2 counts thousands or more."""
    if not digits.strip("0"):
        return _HAN[0]
    spoken, gap = "", False
    for group, rank in _groups(digits):
        if group == "0000":
            gap = bool(spoken)
            continue
        if spoken and (gap or group[0] == "0"):
            spoken += "零"
        spoken += _chinese_group(group) + ("", "万", "亿", "万亿")[rank]
        gap = False
    if spoken.startswith("一十"):
        spoken = spoken[1:]
    if spoken[0] == "二" and spoken[1:2] in ("千", "万", "亿"):
        spoken = "两" + spoken[1:]
    return spoken


def _chinese_group(group: str) -> str:
    spoken, zero = "", False
    for char, rank in zip(group, (3, 2, 1, 0), strict=True):
        if char == "0":
            zero = bool(spoken)
            continue
        spoken += ("零" if zero else "") + _HAN[int(char)] + _SMALL[rank]
        zero = False
    return spoken


def japanese_cardinal(digits: str) -> str:
    """Say up to sixteen digits; 一 is not said before 十, 百, 千."""
    if not digits.strip("0"):
        return "零"
    return "".join(
        _plain_group(group, _HAN, _SMALL) + ("", "万", "億", "兆")[rank]
        for group, rank in _groups(digits)
        if group != "0000"
    )


def korean_cardinal(digits: str) -> str:
    """Say up to sixteen digits; 일 is not said before 십, 백, 천 and a leading 만."""
    if not digits.strip("0"):
        return KOREAN_DIGITS[0]
    spoken = "".join(
        _plain_group(group, KOREAN_DIGITS, _KOREAN_SMALL) + ("", "만", "억", "조")[rank]
        for group, rank in _groups(digits)
        if group != "0000"
    )
    return spoken[1:] if spoken.startswith("일만") else spoken


def _plain_group(group: str, names: str, ranks: tuple[str, ...]) -> str:
    return "".join(
        (names[int(char)] if char != "1" or rank == 0 else "") + ranks[rank]
        for char, rank in zip(group, (3, 2, 1, 0), strict=True)
        if char != "0"
    )
