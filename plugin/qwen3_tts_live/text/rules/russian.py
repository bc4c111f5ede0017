"""What only Russian writes: years with a noun, ordinals with endings, ranges of days."""

from __future__ import annotations

from functools import cache

from qwen3_tts_live.text.numerals import parse_numeral, rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.readers.russian import RussianReader
from qwen3_tts_live.text.rules.base import Match, Rule
from qwen3_tts_live.text.rules.european import day_of_month, magnitude_words
from qwen3_tts_live.text.units import unit_fragment

__all__ = ["russian_rules"]

_MONTHS = "января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря"
_CASES = {"год": "n", "годы": "n", "года": "g", "годов": "g", "годом": "i", "годами": "i"}
# The ending written after a hyphen gives gender and case.
_ENDINGS = {
    "й": ("m", "n"),
    "ый": ("m", "n"),
    "ий": ("m", "n"),
    "я": ("f", "n"),
    "ая": ("f", "n"),
    "е": ("n", "n"),
    "ое": ("n", "n"),
    "го": ("m", "g"),
    "ого": ("m", "g"),
    "му": ("m", "d"),
    "ому": ("m", "d"),
    "м": ("m", "p"),
    "ом": ("m", "p"),
    "ю": ("f", "a"),
    "ую": ("f", "a"),
    "х": ("p", "g"),
    "ых": ("p", "g"),
    "ми": ("p", "i"),
}
# Prepositions and words of comparison that take the genitive.
_GENITIVE = "около|более|менее|больше|меньше|свыше|до|от|из|без|для|после|порядка|среди|против"
_PLURAL_NOUN = r"(?= (?:годы|годах|годов|гг\.|места|классы))"


def _year(match: Match, reader: Reader) -> str:
    word = match["word"]
    before = match.string[: match.start()].rstrip().rpartition(" ")[2].lower()
    case = _CASES.get(word, "p")
    if word in ("году", "годам"):
        case = "d" if before in ("к", "ко", "по") else "p"
    elif word in ("г.", "гг."):
        case = "p" if before in ("в", "во") else "g"
    spoken = reader.inflected_ordinal(match["y"], "m", case)
    first = f"{reader.inflected_ordinal(match['a'], 'm', case)} — " if match["a"] else ""
    return first + spoken


def _year_word(match: Match, reader: Reader) -> str:
    before = match.string[: match.start()].rstrip().rpartition(" ")[2].lower()
    spoken = _year(match, reader)
    return f"{spoken} {'году' if before in ('в', 'во') else 'года'}"


def _ordinal(match: Match, reader: Reader) -> str:
    gender, case = _ENDINGS[match["end"]]
    if match["plural"] is not None:
        gender = "p"
    return reader.inflected_ordinal(match["n"], gender, case)


def _hours(match: Match, reader: Reader) -> str:
    return reader.inflected_cardinal(match["n"], "g")


def _many(match: Match, reader: Reader) -> str | None:
    number = parse_numeral(match["number"], "Russian")
    whole = number.whole
    if number.fraction or len(whole) > 15 or (len(whole) > 1 and whole[0] == "0"):
        return None
    return reader.inflected_cardinal(whole, "g")


def _compound(match: Match, reader: Reader) -> str:
    whole = {"100": "сто", "90": "девяносто", "1": "одно"}.get(match["n"])
    return (whole or reader.inflected_cardinal(match["n"], "g").replace(" ", "")) + match["rest"]


def _many_percent(match: Match, reader: Reader) -> str | None:
    spoken = _many(match, reader)
    return spoken and f"{spoken} процентов"


def _place(match: Match, reader: Reader) -> str:
    noun = match["noun"]
    gender = "n" if noun.startswith("мест") else "m"
    return reader.inflected_ordinal(match["n"], gender, "p" if noun.endswith("е") else "n")


def _span(match: Match, reader: Reader) -> str:
    first = reader.inflected_ordinal(match["a"], "m", "g")
    return f"{match['c']} {first} по {reader.ordinal(match['b'])}"


def _days(match: Match, reader: Reader) -> str:
    first = reader.inflected_ordinal(match["a"], "n", "g")
    return f"{match['c']} {first} по {reader.ordinal(match['b'], 'n')}"


@cache
def russian_rules() -> tuple[Rule, ...]:
    """Return the rules of Russian, in order."""
    reader = RussianReader()
    endings = "|".join(sorted(_ENDINGS, key=len, reverse=True))
    return (
        Rule(
            rx(rf"\b(?P<c>[сС]) (?P<a>[0-9]{{1,2}}) по (?P<b>[0-9]{{1,2}})(?= (?:{_MONTHS}))"),
            _days,
        ),
        day_of_month(reader, _MONTHS, " "),
        Rule(rx(r"\b(?P<c>[сС]) (?P<a>[12][0-9]{3}) по (?P<b>[12][0-9]{3})(?= годы?)"), _span),
        Rule(
            rx(
                r"ALONE(?P<n>[0-9]{1,3})(?= (?P<noun>этаже|классе|месте|курсе|томе|ряду|номере|вагоне)\b)"
            ),
            _place,
        ),
        Rule(
            rx(rf"(?i:\b(?:{_GENITIVE}) )(?P<say>(?P<number>NUM) ?%)", "Russian"),
            _many_percent,
            "%",
        ),
        Rule(
            rx(
                rf"(?i:\b(?:{_GENITIVE}) )(?P<say>(?P<number>NUM))(?![0-9]|[.,:/-][0-9]| ?(?:[%°₽$€]|{unit_fragment('Russian')}|млн|млрд|тыс))",
                "Russian",
            ),
            _many,
        ),
        Rule(
            rx(
                r"ALONE(?P<say>(?:(?P<a>[12][0-9]{3})[-–—])?(?P<y>[12][0-9]{3}))"
                r"(?= ?(?P<word>год(?:у|а|ом|ах|ов|ы|ам|ами)?)(?![а-я]))"
            ),
            _year,
        ),
        Rule(
            rx(r"ALONE(?:(?P<a>[12][0-9]{3})[-–—])?(?P<y>[12][0-9]{3}) ?(?P<word>гг?\.)"),
            _year_word,
        ),
        Rule(
            rx(rf"ALONE(?P<n>[0-9]+)-(?P<end>{endings})(?![а-яё])(?P<plural>{_PLURAL_NOUN})?"),
            _ordinal,
            "-",
        ),
        Rule(
            rx(
                r"ALONE(?P<n>[0-9]{1,3})-(?P<rest>(?:лет|минут|час|днев|дней|этаж|процент|мест|месяч|"
                r"кратн|градус|километр|метр|балл|недель|долл|рубл)[а-яё]+)"
            ),
            _compound,
            "-",
        ),
        magnitude_words(
            reader, {"тыс.": 3, "млн": 6, "млрд": 9, "трлн": 12, "тыс": 3, "млн.": 6, "млрд.": 9}
        ),
        Rule(
            rx(r"(?i:\b(?:с|до|от|после|около) )(?P<say>(?P<n>[01]?[0-9]|2[0-4]):00)(?![0-9:])"),
            _hours,
            ":",
        ),
        Rule(rx(r"№ ?(?=[0-9])"), lambda match, _: "номер ", "№"),
    )
