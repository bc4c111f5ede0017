"""Numbers that are names: addresses, versions, telephones, codes, rooms, models.

Finds them in all languages; knows no amounts and no dates.
"""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.numerals import number_fragment, parse_numeral, rx
from qwen3_tts_live.text.readers import Reader
from qwen3_tts_live.text.rules.base import Match, Rule

__all__ = ["code_rules", "name_rules"]

_CJK = frozenset({"Chinese", "Japanese", "Korean"})

_PHONE_WORDS = (
    r"电话|電話|手机|热线|拨打|致电|座机|客服|传真|联系方式|短信|火警|匪警|急救|号码|拨|打|"
    r"でんわ|전화|연락처|번호|신고|"
    r"(?<![A-Za-z])(?:phone|telephone|tel|call|dial|text|fax|hotline|mobile|whatsapp|telefon|rufnummer|anruf|"
    r"téléphone|appelez|teléfono|llame|llamar|llama|telefone|ligue|telefono|chiama\w*)(?![A-Za-z])|"
    r"телефон\w*|звон\w*|тел\."
)
_ID_WORDS = (
    r"验证码|密码|编号|单号|订单|卡号|账号|帐号|尾号|学号|工号|邮编|代码|代号|证号|股票|序列号|编码|"
    r"流水号|房号|车牌|车次|群号?|QQ|認証コード|暗証番号|コード|郵便番号|인증번호|비밀번호|우편번호|"
    r"(?<![A-Za-z])(?:code|pin|passcode|password|otp|zip|id|order|ticket|account|card|serial|tracking|"
    r"invoice|reference|ending in|Code|PLZ|Bestellnummer|codice|código|mot de passe)(?![A-Za-z])|"
    r"код\w*|пароль|индекс"
)
_PORT_WORDS = r"端口|会议室|会議室|房间|教室|包厢|ルーム|部屋|分机|内线|转|port|ext\.?|extension|Port|porta|puerto|порт"
_DIGIT_LETTER = re.compile(r"[0-9]")


def _ip(match: Match, reader: Reader) -> str | None:
    numbers = match["ip"].split(".")
    if any(int(number) > 255 for number in numbers):
        return None
    say = reader.digits if reader.language in _CJK else reader.name_number
    spoken = [say(number) for number in numbers]
    dot = reader.word("point") if reader.language in _CJK else reader.word("dot")
    parts = [part for number in spoken for part in (dot, number)][1:]
    if match["port"]:
        parts += [reader.word("colon"), reader.digits(match["port"])]
    return reader.join(parts)


def _version(match: Match, reader: Reader) -> str | None:
    if re.fullmatch(number_fragment(reader.language), match["say"]):
        return None  # "1.000.000" where dots group digits
    point = reader.word("point")
    parts = [part for number in match["say"].split(".") for part in (point, reader.whole(number))]
    return reader.join(parts[1:])


def _phone(match: Match, reader: Reader) -> str:
    return reader.phone(match[0])


def _triggered_phone(match: Match, reader: Reader) -> str | None:
    return reader.phone(match["say"]) if len(match["say"]) != 2 else None


def _pairs(match: Match, reader: Reader) -> str:
    return ", ".join(
        reader.whole(pair) if pair[0] != "0" else reader.digits(pair) for pair in match[0].split()
    )


def _digits(match: Match, reader: Reader) -> str:
    digits = "".join(_DIGIT_LETTER.findall(match["say"]))
    # Long digit strings are followed only in groups.
    if len(digits) > 8 and reader.joiner:
        return reader.group_joiner.join(
            reader.digits(digits[at : at + 4]) for at in range(0, len(digits), 4)
        )
    return reader.digits(digits)


def _groups(match: Match, reader: Reader) -> str:
    return reader.group_joiner.join(reader.digits(group) for group in match[0].split("-"))


def _hex(match: Match, reader: Reader) -> str:
    return " ".join(
        reader.digit(char) if char.isdigit() else char.upper() for char in match[0] if char != "x"
    ).replace(" ", " X ", 1)


def _zip(match: Match, reader: Reader) -> str:
    return reader.digits(match["say"])


# Telephone numbers that only one country writes so.
_LOCAL = {
    "Korean": (r"ALONE(?:11[29]|911)(?= ?(?:에|로|번에))", _phone),
    "French": (r"ALONE0[1-9](?: [0-9]{2}){4}(?![0-9])", _pairs),
    "Spanish": (r"ALONE[6789][0-9]{2} [0-9]{3} (?!000)[0-9]{3}(?! ?[0-9])", _phone),
    "Italian": (r"ALONE3[0-9]{2}[ -]?[0-9]{6,7}(?![0-9])", _phone),
    "Portuguese": (
        r"(?:\(?\b[0-9]{2}\)? 9?[0-9]{4}-[0-9]{4}"
        r"|ALONE(?:[0-9]{5}-[0-9]{3}|[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}))(?![0-9])",
        _phone,
    ),
    "Russian": (r"ALONE8 ?\(?[0-9]{3}\)? ?[0-9]{3}[- ][0-9]{2}[- ][0-9]{2}(?![0-9])", _phone),
}


@cache
def code_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for what is read digit by digit or part by part."""
    trigger = re.IGNORECASE
    rules = [
        Rule(
            rx(
                r"ALONE(?P<ip>[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?::(?P<port>[0-9]{1,5}))?(?![0-9.]*[0-9])"
            ),
            _ip,
            ".",
        ),
        Rule(
            rx(r"(?:\+ ?|\b00)[1-9][0-9]{0,2}(?:[-. ]?\(?[0-9]{1,4}\)?){2,6}(?![0-9])"),
            lambda match, reader: (
                reader.phone(match[0]) if len(_DIGIT_LETTER.findall(match[0])) > 7 else None
            ),
        ),
        Rule(
            rx(
                r"(?<![0-9A-Za-z.-])(?:1[-. ])?(?:\([0-9]{3}\) ?|[0-9]{3}[-. ])[0-9]{3}[-. ][0-9]{4}(?![0-9])"
            ),
            _phone,
        ),
        Rule(
            rx(
                r"ALONE(?:\(?0[0-9]{1,4}[-) ]{1,2}[0-9]{3,4}[- ]?[0-9]{4}"
                r"|[48]00[- ]?[0-9]{3,4}[- ]?[0-9]{3,4}|0[0-9]{2,3}-[0-9]{7,8})(?![0-9])"
            ),
            _phone,
        ),
        Rule(
            rx(
                rf"(?:{_PHONE_WORDS})(?:[^0-9\n。.!?！？]|\.(?= )){{0,14}}?"
                r"(?<![0-9A-Za-z])(?P<say>\(?[0-9]{2,}\)?(?:[- .]?[0-9]{2,}){0,5})"
                r"(?![0-9%°]|[.,][0-9]|年|月|元|块|个|次|인|명|원)",
                flags=trigger,
            ),
            _triggered_phone,
        ),
        Rule(
            rx(
                rf"(?:{_ID_WORDS})(?:(?i: no\.| nr\.| num\.)|[^0-9\n。.!?！？,，]){{0,10}}?(?<![0-9A-Za-z])(?P<say>[0-9]{{4,}})"
                r"(?![0-9%°]|[.,][0-9]|年|月|元|块|个|次|万)",
                flags=trigger,
            ),
            _digits,
        ),
        Rule(
            rx(rf"(?:{_PORT_WORDS}) ?(?P<say>[0-9]{{2,6}})(?![0-9%]|[.,:][0-9]|[个次天年月])"),
            _digits,
        ),
        Rule(rx(r"ALONE0x[0-9A-Fa-f]+(?![0-9A-Za-z])"), _hex, "x"),
        Rule(rx(r"(?<![0-9A-Za-z.,:/-])[0-9]+(?:-[0-9]+){2,}(?![0-9]|[.,:/-][0-9])"), _groups, "-"),
        Rule(
            rx(r"ALONE(?:0[0-9]{2,4}(?: [0-9]{3,4}){1,3}|1-[89][0-9]{2}(?=-[A-Z]))(?![0-9])"),
            _phone,
        ),
        Rule(rx(r"(?<=\b[A-Z]{2} )(?P<say>[0-9]{5}(?:-[0-9]{4})?)(?![0-9])"), _zip),
        Rule(rx(r"ALONE(?<![0-9] )(?P<say>0[0-9]+|[0-9]{12,})(?![0-9:]|[.,][0-9])"), _digits),
        Rule(
            rx(r"(?:ALONE|(?<=[vV]))(?P<say>[0-9]+(?:\.[0-9]+){2,})(?![0-9]|\.[0-9])"),
            _version,
            ".",
        ),
        Rule(
            rx(r"(?:\b[vV]|[vV]er\.? ?|[vV]ersion )(?P<say>[0-9]+\.[0-9]+)(?![0-9.])"),
            _version,
            ".",
        ),
    ]
    if language in _LOCAL:
        pattern, read = _LOCAL[language]
        rules.insert(2, Rule(rx(pattern), read))
    return tuple(rules)


# ------------------------------------------------------------ numbers in names


def _name(match: Match, reader: Reader) -> str:
    text = match["say"]
    gap = " " if text[0] in "-_ " else ""
    text = text.lstrip("-_ ")
    if "." in text:
        return gap + reader.number(parse_numeral(text, "English"))
    return gap + reader.name_number(text)


def _spaced_name(match: Match, reader: Reader) -> str | None:
    if reader.language == "English" and not _is_name(match):
        return None
    return reader.name_number(match["say"])


def _is_name(match: Match) -> bool:
    word, before = match["word"], match.string[: match.start("word")].rstrip("\"'“( ")
    known = _NUMBERED.fullmatch(word) or word.isupper()
    starts_sentence = not before or before[-1] in ".!?:\n"
    return bool(known) or not starts_sentence


_NUMBERED = re.compile(
    r"(?i:room|suite|apartment|apt|gate|flight|unit|bus|route|highway|boeing|airbus|error|channel|"
    r"office|interstate|line|building|locker|terminal)"
)
# A counted word follows: then it is an amount.
_NOT_COUNTED = (
    r"(?![0-9A-Za-z]|[.,:/-][0-9]| ?[%°]| [a-z]+s\b| (?:people|men|women|children|million|billion)|"
    r"[个個名位人次元块年月天号條条件台辆家岁分秒米倍种万亿多])"
)


@cache
def name_rules(language: str) -> tuple[Rule, ...]:
    """Return the rules for digits beside letters; amounts with units have gone before."""
    rules = [
        Rule(rx(r"(?<=[A-Za-z])(?P<say>[-_]?[0-9]+(?:\.[0-9]+)?)(?![0-9]|\.[0-9])"), _name),
        Rule(rx(r"ALONE(?P<say>[0-9]+(?:\.[0-9]+)?)(?=[A-Za-z])"), _name),
        Rule(rx(r"(?<=-)(?P<say>[0-9]+(?:\.[0-9]+)?)(?=[A-Za-z])"), _name),
    ]
    if language in _CJK or language == "English":
        word = r"(?P<word>[A-Z][A-Za-z]*)" if language == "English" else r"(?P<word>[A-Za-z]+)"
        rules.append(Rule(rx(rf"{word} (?P<say>[0-9]{{3,4}}){_NOT_COUNTED}"), _spaced_name))
    if language == "Chinese":
        prefix = r"(?:波音|空客|奔驰|宝马|麦道|伊尔|返回|报错?|状态码|错误码?)(?:了|的)?"
        rules.append(Rule(rx(rf"{prefix}(?P<say>[0-9]{{3,4}}){_NOT_COUNTED}"), _spaced_name))
    return tuple(rules)
