"""Money, percentages, temperatures, measures, ranges, scores, fractions.

Finds them in all languages; how they are said is the readers'.
"""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.numerals import Numeral, parse_numeral, rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.rules.base import (
    DASH,
    RATIO_WORDS,
    SCORE_WORDS,
    Match,
    Rule,
    clause_before,
    is_minus,
)
from qwen3_tts_live.text.units import (
    CURRENCY_BEFORE,
    currency,
    currency_codes,
    unit,
    unit_fragment,
)

__all__ = ["amount_rules"]

_SIGN = r"(?P<sign>[-+±])?"
_POWERS = {
    3: r"K|k|thousand|tausend|тыс\.?|mil",
    6: r"M|m|mn|[Mm]illions?|Millionen|Mio\.?|mill[oó]n(?:es)?|milh(?:ões|ão)|milion[ei]|mln|mi|млн",
    9: r"B|b|bn|billion|Mrd\.?|[Mm]illiards?|Milliarden?|Mds?\.?|млрд|bilh(?:ões|ão)|bi|"
    r"miliard[io]|mld",
    12: r"T|tn|trillion|Billion(?:en)?|трлн|trilh(?:ões|ão)",
}
_HAN_MAGNITUDE = r"[百千]?[万萬亿億만억]"


def _magnitude() -> str:
    names = "|".join(_POWERS.values())
    return rf"(?: ?(?P<mag>(?:{names})(?![A-Za-zÀ-ÿа-я])|{_HAN_MAGNITUDE}))?"


def _power(magnitude: str) -> int:
    return next((power for power, names in _POWERS.items() if re.fullmatch(names, magnitude)), 0)


def _signed(
    match: Match, reader: Reader, number: Numeral, *, quantity: bool = True
) -> tuple[str, Numeral] | None:
    """Return the words of a sign, and the number with its minus; None if "-" is none here."""
    sign = match["sign"]
    if sign == "-":
        if not is_minus(match.string, match.start("sign"), quantity=quantity):
            return None
        return "", number._replace(negative=True)
    return (reader.word(sign) if sign else ""), number


# ------------------------------------------------------------ money


def _money(match: Match, reader: Reader) -> str | None:
    groups = match.groupdict()
    symbol = groups.get("before") or match["after"]
    major, minor = currency(symbol.strip(), reader.language)
    signed = _signed(match, reader, parse_numeral(match["n"], reader.language))
    if signed is None:
        return None
    words, number = signed
    magnitude = match["mag"] or ""
    if re.fullmatch(_HAN_MAGNITUDE, magnitude):
        spoken = reader.number(number) + magnitude + major.forms[0]
    else:
        spoken = reader.money(number, _power(magnitude), major, minor)
    if groups.get("first"):
        first = reader.number(parse_numeral(match["first"], reader.language))
        spoken = reader.between(first, spoken)
    return reader.join([words, spoken])


def _money_rules(language: str) -> tuple[Rule, ...]:
    symbols = "|".join(sorted(map(re.escape, CURRENCY_BEFORE), key=len, reverse=True))
    codes = "|".join(currency_codes())
    first = rf"(?:(?P<first>NUM){DASH}(?:{symbols})?)?"
    before = rf"(?P<before>(?<![A-Za-z])(?:{symbols})|\b(?:{codes})) ?"
    return (
        Rule(
            rx(rf"{_SIGN}{before}{first}(?P<n>NUM){_magnitude()}", language),
            _money,
        ),
        Rule(
            rx(
                rf"ALONE{first}{_SIGN}ALONE(?P<n>NUM){_magnitude()} ?(?P<after>{symbols}|(?:{codes})\b)",
                language,
            ),
            _money,
        ),
        Rule(
            rx(r"ALONE(?P<n>NUM) ?¢", language),
            lambda match, reader: reader.measure(
                parse_numeral(match["n"], reader.language),
                currency("$", reader.language)[1],  # type: ignore[arg-type]
            ),
            "¢",
        ),
    )


# ------------------------------------------------------------ percent, temperature, measures


def _percent(match: Match, reader: Reader) -> str | None:
    signed = _signed(match, reader, parse_numeral(match["n"], reader.language))
    if signed is None:
        return None
    return reader.join([signed[0], reader.percent(signed[1], match["unit"])])


def _percent_range(match: Match, reader: Reader) -> str:
    first, last = (parse_numeral(match[name], reader.language) for name in ("a", "b"))
    if match["both"] or reader.language == "Chinese":
        start = reader.percent(first, match["unit"])
    else:
        start = reader.number(first)
    return reader.between(start, reader.percent(last, match["unit"]))


def _temperature(match: Match, reader: Reader) -> str | None:
    signed = _signed(match, reader, parse_numeral(match["n"], reader.language))
    if signed is None:
        return None
    spoken = reader.temperature(signed[1], match["scale"] or "")
    if match["first"]:
        first = parse_numeral(match["first"], reader.language)
        minus = match["first"].startswith("-")
        start = reader.temperature(first, "") if minus and reader.language == "Chinese" else ""
        spoken = reader.between(start.removesuffix("度") or reader.number(first), spoken)
    return reader.join([signed[0], spoken])


def _measure(match: Match, reader: Reader) -> str | None:
    noun = unit(match["unit"], reader.language)
    if match["unit"] == "s" and re.fullmatch("(?:19|20)[0-9]0", match["n"]):
        return None  # a decade
    signed = _signed(match, reader, parse_numeral(match["n"], reader.language))
    if noun is None or signed is None:
        return None
    spoken = reader.join([signed[0], reader.measure(signed[1], noun)])
    if match["first"]:
        first = reader.number(parse_numeral(match["first"], reader.language))
        spoken = reader.between(first, spoken)
    if match["over"]:  # a blood pressure
        spoken = reader.whole(match["over"]) + _over(reader, same=False) + spoken
    if match["by"]:
        times = reader.word("×") if reader.language != "English" else "by"
        spoken = reader.join(
            [reader.number(parse_numeral(match["by"], reader.language)), times, spoken]
        )
    return spoken


# ------------------------------------------------------------ two numbers


def _two(match: Match, reader: Reader) -> str | None:
    first, second = match["a"], match["b"]
    clause = clause_before(match) + re.split(r"[,，。；;!！?？\n]", match.string[match.end() :])[0]
    whole = first.isdigit() and second.isdigit()
    if whole and SCORE_WORDS.search(clause):
        return reader.score(first, second)
    one, two = (parse_numeral(text, reader.language) for text in (first, second))
    descending = float(f"{one.whole}.{one.fraction or 0}") >= float(
        f"{two.whole}.{two.fraction or 0}"
    )
    if whole and descending:
        if reader.language == "Japanese":
            return f"{reader.whole(first)}の{reader.whole(second)}"
        if reader.joiner:  # a model, or parts of a code
            return reader.join([reader.name_number(first), reader.name_number(second)])
        return reader.score(first, second)
    return reader.between(reader.number(one), reader.number(two))


def _ratio(match: Match, reader: Reader) -> str:
    return reader.score(match["a"], match["b"])


def _ratios(match: Match, reader: Reader) -> str:
    numbers = [reader.whole(number) for number in match[0].split(":")]
    return f"{reader.joiner}{reader.word('versus')}{reader.joiner}".join(numbers)


def _fraction(match: Match, reader: Reader) -> str | None:
    top, bottom = match["top"], match["bottom"]
    if not bottom.strip("0") or len(bottom) > 4 or len(top) > 4:
        return None
    if re.fullmatch("(?:19|20)[0-9]{2}", top) and int(bottom) == (int(top) + 1) % 100:
        return (
            reader.between(reader.year(top), reader.digits(bottom))
            if not reader.joiner
            else (reader.join([reader.year(top), reader.cardinal(bottom)]))
        )
    if int(top) >= int(bottom) and match.string[match.end() :].lstrip().startswith("="):
        return None  # a division
    if RATIO_WORDS.search(clause_before(match)):
        return reader.score(top, bottom)
    if int(top) >= int(bottom):  # no share: 50/50, odds of 5/1, a blood pressure of 120/80
        return reader.whole(top) + _over(reader, same=top == bottom) + reader.whole(bottom)
    return reader.fraction((match["whole"] or "").strip(), top, bottom)


def _over(reader: Reader, *, same: bool) -> str:
    if reader.language == "English":
        return " " if same else " over "
    return ", " if reader.joiner else "，"


def _about(match: Match, reader: Reader) -> str:
    return reader.word("about") + reader.joiner


@cache
def amount_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for amounts in one language."""
    symbol = unit_fragment(language)
    dash = rf"(?P<dash>{DASH})"
    rules = [
        *_money_rules(language),
        Rule(
            rx(
                rf"ALONE(?P<a>NUM)(?P<both> ?[%‰])?(?:{DASH}|到|至| ?to )(?P<b>NUM) ?(?P<unit>[%‰])",
                language,
            ),
            _percent_range,
            "%‰",
        ),
        Rule(rx(rf"{_SIGN}ALONE(?P<n>NUM) ?(?P<unit>[%‰])", language), _percent, "%‰"),
        Rule(
            rx(
                rf"(?:ALONE(?P<first>-?NUM)(?: ?°[CF]?)?(?:[-~～–—〜到至]| to ))?{_SIGN}ALONE(?P<n>NUM) ?°(?: ?(?P<scale>[CF])(?![A-Za-z]))?",
                language,
            ),
            _temperature,
            "°",
        ),
        Rule(
            rx(
                rf"(?:ALONE(?P<by>NUM) ?[x×*] ?)?(?:ALONE(?P<over>[0-9]+)(?P<slash>/)(?=[0-9]+ ?mmHg))?(?:ALONE(?P<first>NUM){DASH})?{_SIGN}(?(slash)|ALONE)(?P<n>NUM)[ -]?(?P<unit>{symbol})",
                language,
            ),
            _measure,
        ),
        Rule(rx(r"(?<![0-9A-Za-z.,:/-])[0-9]+(?::[0-9]+){2,}(?![0-9:])"), _ratios, ":"),
        Rule(
            rx(r"(?<![0-9A-Za-z.,:/-])(?P<a>[0-9]{1,3}):(?P<b>[0-9]{1,3})(?![0-9:]|[.,][0-9])"),
            _ratio,
            ":",
        ),
        Rule(
            rx(
                r"ALONE(?P<whole>[0-9]+ )?(?P<top>[0-9]+)/(?P<bottom>[0-9]+)(?![0-9/A-Za-z]|[.,][0-9])"
            ),
            _fraction,
            "/",
        ),
        Rule(
            rx(
                rf"(?<![0-9A-Za-z.,:/-])(?P<a>NUM){dash}(?P<b>NUM)(?![0-9A-Za-z:/%]|[-–—~～.,][0-9]| ?=)",
                language,
            ),
            _two,
            "-–—~～〜",
        ),
        Rule(rx(r"(?<![0-9])[~～](?= ?[0-9$€£¥])"), _about, "~～"),
        Rule(rx(r"(?<![0-9A-Za-zπ])(?<![0-9A-Za-zπ] )≈(?= ?[0-9$€£¥])"), _about, "≈"),
        Rule(
            rx(
                r"(?<=[日月年号號时時点點分度级級层層个個人元円号%월일년시분원])(?P<dash>[-–—~～〜])(?=第?[0-9]|오|午|上午|下午|早|晚|周|星期)"
            ),
            lambda match, reader: reader.word("to") + reader.joiner,
            "-–—~～〜",
        ),
    ]
    if reader_groups(language):
        rules.append(
            Rule(
                rx(
                    r"ALONE(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+\.[0-9]+)(?!\.?[0-9])"
                ),
                _number,
            )
        )
    return tuple(rules)


def reader_groups(language: str) -> bool:
    """Return whether commas group digits: the grammars stumble over them."""
    return language in ("Chinese", "English", "Japanese", "Korean")


def _number(match: Match, reader: Reader) -> str:
    return reader.number(parse_numeral(match[0], reader.language))
