"""Unit symbols and currencies: which there are, and what a language calls them.

Knows no numbers and no sentences.
"""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.tables import Noun, parse_noun, table

__all__ = ["CURRENCY_BEFORE", "currency", "currency_codes", "unit", "unit_fragment"]

# Other ways to write the table's symbols.
_ALIASES = {
    "l": "L",
    "ml": "mL",
    "dl": "dL",
    "cl": "cL",
    "KM": "km",
    "Km": "km",
    "KG": "kg",
    "Kg": "kg",
    "CM": "cm",
    "MM": "mm",
    "ML": "mL",
    "KB": "kB",
    "Kb": "kbit",
    "Mb": "Mbit",
    "Gb": "Gbit",
    "Kbps": "kbps",
    "KHz": "kHz",
    "KW": "kW",
    "kw": "kW",
    "kwh": "kWh",
    "KWh": "kWh",
    "mah": "mAh",
    "um": "μm",
    "us": "μs",
    "ug": "μg",
    "m2": "m²",
    "m3": "m³",
    "km2": "km²",
    "cm2": "cm²",
    "cm3": "cm³",
    "kmh": "km/h",
    "kph": "km/h",
    "Nm": "N·m",
    "sec": "s",
    "secs": "s",
    "mins": "min",
    "hr": "h",
    "hrs": "h",
    "lbs": "lb",
    "db": "dB",
    "RPM": "rpm",
    "FPS": "fps",
    "BPM": "bpm",
    "Hz": "Hz",
    "hz": "Hz",
    "mmhg": "mmHg",
    "HZ": "Hz",
    "Ghz": "GHz",
    "GHZ": "GHz",
    "Mhz": "MHz",
    "MHZ": "MHz",
    "км": "km",
    "м": "m",
    "см": "cm",
    "мм": "mm",
    "кг": "kg",
    "г": "g",
    "мг": "mg",
    "т": "t",
    "л": "L",
    "мл": "mL",
    "ч": "h",
    "час": "h",
    "мин": "min",
    "сек": "s",
    "мс": "ms",
    "Вт": "W",
    "кВт": "kW",
    "МВт": "MW",
    "В": "V",
    "Гц": "Hz",
    "кГц": "kHz",
    "МГц": "MHz",
    "ГГц": "GHz",
    "КБ": "kB",
    "МБ": "MB",
    "ГБ": "GB",
    "ТБ": "TB",
    "Мбит/с": "Mbps",
    "км/ч": "km/h",
    "м/с": "m/s",
    "м²": "m²",
    "км²": "km²",
    "м³": "m³",
    "га": "ha",
    "sq ft": "ft²",
    "sq. ft.": "ft²",
}
# Symbols that are letters or words more often than units.
_UNSAFE = frozenset(("A", "B", "N", "J", "T", "P", "d", "Pa", "bit", "mi", "gal", "Ω")) - {"Ω"}
_UNSAFE_IN = {
    "Italian": {"ha", "mi", "bar", "t"},
    "Spanish": {"ha", "mi", "bar", "t"},
    "French": {"bar", "t"},
    "Portuguese": {"bar", "t"},
    "German": {"bar"},
    "Russian": {"bar"},
}

_MORE = {
    "English": {
        "ft²": "square foot/square feet",
        "mi": "mile/miles",
        "gal": "gallon/gallons",
        "tbsp": "tablespoon/tablespoons",
        "tsp": "teaspoon/teaspoons",
    },
}
#: Symbols before an amount, longest first.
CURRENCY_BEFORE = {
    "HK$": "HKD",
    "NT$": "TWD",
    "US$": "USD",
    "AU$": "AUD",
    "CA$": "CAD",
    "A$": "AUD",
    "C$": "CAD",
    "S$": "SGD",
    "R$": "BRL",
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "₩": "KRW",
    "₽": "RUB",
    "₹": "INR",
    "₿": "BTC",
    "₫": "VND",
    "฿": "THB",
}
_OTHER_CODES = {"RMB": "CNY", "NTD": "TWD"}


def currency_codes() -> list[str]:
    """Return the codes that stand before or after an amount."""
    return [*table("currencies", "English"), *_OTHER_CODES]


@cache
def _symbols(language: str) -> dict[str, Noun]:
    prefixes = table("prefixes", language)
    symbols: dict[str, Noun] = {}
    for symbol, cell in (table("units", language) | _MORE.get(language, {})).items():
        if not cell:
            continue
        if "~" in cell:
            for prefix, spoken in prefixes.items():
                symbols.setdefault(prefix + symbol, _noun(cell, spoken))
    for symbol, cell in (table("units", language) | _MORE.get(language, {})).items():
        if cell:
            symbols[symbol] = _noun(cell, "")
    return symbols


def _noun(cell: str, prefix: str) -> Noun:
    return parse_noun(cell.replace("~", prefix))


@cache
def unit(symbol: str, language: str) -> Noun | None:
    """Return what a unit is called, or None if it is none. Quotients are composed."""
    symbols = _symbols(language)
    for written in (symbol, _ALIASES.get(symbol, "")):
        if written in symbols:
            return symbols[written]
    top, slash, bottom = symbol.partition("/")
    if not slash:
        return None
    upper, lower = unit(top, language), unit(bottom, language)
    if upper is None or lower is None:
        return None
    gap = "" if language in ("Chinese", "Japanese") else " "
    per = table("words", language)["per"]
    forms = tuple(f"{form}{gap}{per}{gap}{lower.forms[0]}" for form in upper.forms)
    return Noun(forms, upper.gender)


@cache
def unit_fragment(language: str) -> str:
    """Return the pattern of a unit symbol or a quotient of two."""
    unsafe = _UNSAFE | _UNSAFE_IN.get(language, set())
    if language == "English":
        unsafe = unsafe - {"mi", "gal"}
    known = [symbol for symbol in _symbols(language) if symbol not in unsafe]
    known += [alias for alias, symbol in _ALIASES.items() if symbol in _symbols(language)]
    if language != "Russian":
        known = [symbol for symbol in known if not re.search("[а-яА-Я]", symbol)]
    names = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    # An apostrophe after a lone letter makes it a French or Italian article.
    return rf"(?:(?:{names})(?:/(?:{names}))?(?![A-Za-zа-яА-ЯёЁ0-9²³]|['’][A-Za-zÀ-ÿ]))"


@cache
def currency(symbol: str, language: str) -> tuple[Noun, Noun | None]:
    """Return a currency and its hundredth, if it has one."""
    code = CURRENCY_BEFORE.get(symbol) or _OTHER_CODES.get(symbol, symbol)
    if symbol == "¥" and language == "Chinese":
        code = "CNY"
    major, _, minor = table("currencies", language)[code].partition("+")
    return parse_noun(major), parse_noun(minor) if minor else None
