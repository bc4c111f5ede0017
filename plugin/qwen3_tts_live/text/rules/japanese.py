"""What only Japanese and Korean write: counters, months, hours, postal codes."""

from __future__ import annotations

from functools import cache

from qwen3_tts_live.text.numerals import rx
from qwen3_tts_live.text.readers.japanese import JapaneseReader
from qwen3_tts_live.text.readers.korean import KoreanReader
from qwen3_tts_live.text.rules.base import Match, Rule
from qwen3_tts_live.text.rules.calendar import hour_rules

__all__ = ["japanese_rules", "korean_rules"]

# Words that count with native numbers.
_NATIVE = (
    r"개(?![월년국사])|명|사람|살|마리|권|잔|병|시간|대(?![0-9])|그루|송이|켤레|벌|채|척|자루|군데|가지|달(?!러)|"
    r"통|봉지|상자|그릇|조각|쌍|판|곡|곳|끼|모금|방울|포기|다발|묶음|배(?!럴)|줄|장|번째|건|편"
)
# 번 counts times, except before what it numbers.
_TIMES = (
    r"번(?!호| ?(?:출구|버스|홈|승강장|문제|선수|타자|트랙|자리|테이블|창구|게이트|국도|카드|방|지|길|"
    r"노선|채널|교향곡|역))"
)


@cache
def japanese_rules() -> tuple[Rule, ...]:
    """Return the rules of Japanese, in order."""
    reader = JapaneseReader()
    return (
        *hour_rules(),
        Rule(
            rx(r"〒 ?(?P<code>[0-9]{3}-[0-9]{4})"),
            lambda match, _: reader.phone(match["code"]),
            "〒",
        ),
        Rule(rx(r"ALONE0(?![0-9A-Za-z]|[.,:/-][0-9])"), lambda match, _: reader.digit("0")),
        Rule(rx(r"ALONE(?P<say>[0-9]+)(?=号室)"), lambda match, _: reader.digits(match["say"])),
    )


@cache
def korean_rules() -> tuple[Rule, ...]:
    """Return the rules of Korean, in order."""
    reader = KoreanReader()

    def counted(match: Match, _: object) -> str:
        return reader.counted(match["n"]) + " "

    return (
        Rule(rx(r"(?<![0-9A-Za-z)])-(?=[0-9.]+ ?도)"), lambda match, _: "영하 ", "-"),
        Rule(rx(r"ALONE0(?P<n>[1-9])(?=분)"), lambda match, _: reader.whole(match["n"])),
        Rule(
            rx(r"ALONE(?P<n>[0-9]{1,2})(?=월)"), lambda match, _: reader.month(int(match["n"]))[:-1]
        ),
        Rule(
            rx(r"ALONE(?P<n>[0-9]{1,2})(?=시(?!간))"),
            lambda match, _: reader.hour(int(match["n"]))[:-1],
        ),
        Rule(rx(rf"(?<![-~–〜.,])ALONE(?P<n>[1-9][0-9]?) ?(?=(?:{_NATIVE}))"), counted),
        Rule(rx(rf"(?<![-~–〜.,])ALONE(?P<n>[1-9][0-9]?) ?(?={_TIMES})"), counted),
    )
