"""What only Chinese writes: 年 and 后, bare years, ordinals, 公元前, commemorations.

Knows nothing that other languages write the same way.
"""

from __future__ import annotations

import re
from functools import cache

from qwen3_tts_live.text.numerals import rx
from qwen3_tts_live.text.readers.chinese import ChineseReader
from qwen3_tts_live.text.readers.english import EnglishReader
from qwen3_tts_live.text.rules.base import DASH, Match, Rule, is_minus
from qwen3_tts_live.text.rules.calendar import YEAR, YEAR_END, hour_rules, is_day
from qwen3_tts_live.text.rules.english import month_rules
from qwen3_tts_live.text.units import unit, unit_fragment

__all__ = ["chinese_last_rules", "chinese_rules", "chinese_year_rules"]

# A measure word right after a number makes it an amount and no year.
MEASURE = (
    r"[个個名位人次元块塊天条條件台辆輛家公米厘毫千克斤吨岁歲分秒小点點倍种種万萬亿億多余餘份只隻本"
    r"张張套架艘座所间門门匹头顆颗粒步字页章集期票户戶亩畝箱瓶包袋枚支部美欧日港英韩卢度层層棵朵枝根把]"
)
# Before these a lone 2 is 两.
TWO_COUNTS = (
    r"(?:[个個名位次條条件台辆輛家公米斤吨岁歲小天块塊元倍种種万萬亿億份只隻本张張套架艘座间間门門匹头頭顆颗粒步"
    r"箱瓶包袋枚支部周秒点點杯碗盘盤把棵朵根双雙对對口项項句段首篇幅扇列顿頓遍趟场場](?![级級])|年(?![级級])|千克|分钟|分鐘|星期|小时)"
)
# Before a price or an estimate.
_AMOUNT_BEFORE = r"(?<![价價售卖賣花付约約共近超达達满滿逾足第¥$€£+\-/#])"
_STATUS = re.compile(r"状态码|错误码|HTTP")
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_ROOM = r"号?(?:房间|房|室|宿舍|教室|包厢|包间|会议室|病房)"


def _year_range(match: Match, reader: ChineseReader) -> str | None:
    first, second = match["a"], match["b"]
    if len(second) > 2 and int(first) >= int(second):
        return None
    return reader.between(reader.digits(first), reader.digits(second))


def _commemoration(match: Match, reader: ChineseReader) -> str:
    first, second = re.split(r"[·.]", match[0])
    if first == second and len(first) == 2:
        return "双" + reader.cardinal(first)
    return reader.digits(first + second)


def _slash_day(match: Match, reader: ChineseReader) -> str | None:
    month, day = map(int, match["say"].split("/"))
    return reader.date((None, month, day), "") if is_day(month, day) else None


def _plate(match: Match, reader: ChineseReader) -> str:
    kept = (char for char in match[0] if char not in "·. ")
    return "".join(reader.digit(char) if char.isdigit() else char for char in kept)


@cache
def chinese_rules() -> tuple[Rule, ...]:
    """Return the rules of Chinese, in order."""
    reader, english = ChineseReader(), EnglishReader()

    def digits(match: Match, _: object) -> str:
        return reader.digits(match["say"])

    def phone(match: Match, _: object) -> str:
        return reader.phone(match["say"])

    def part(match: Match, _: object) -> str:
        return f"{reader.whole(match['a'])}杠{reader.whole(match['b'])}"

    def status(match: Match, _: object) -> str | None:
        return reader.digits(match["say"]) if _STATUS.search(match.string) else None

    def ordinal(match: Match, _: object) -> str:
        first, last = match["a"], match["b"]
        spoken = reader.whole(first)
        return reader.between(spoken, reader.whole(last)) if last else spoken

    return (
        # Years and generations.
        Rule(
            rx(rf"{_AMOUNT_BEFORE}ALONE(?P<a>{YEAR}){DASH}(?P<b>{YEAR})(?![0-9]|{MEASURE})"),
            lambda match, _: _year_range(match, reader),
        ),
        Rule(
            rx(rf"ALONE(?P<a>{YEAR}){DASH}(?P<b>[0-9]{{2}})(?=赛季|學年|学年|年度|财年|雪季)"),
            lambda match, _: _year_range(match, reader),
        ),
        Rule(
            rx(r"ALONE(?P<say>[0-9]{2}/[0-9]{2})(?=赛季|雪季|财年)"),
            lambda match, _: reader.digits(match["say"].replace("/", "")),
        ),
        Rule(
            rx(r"ALONE(?P<a>[0-9]{3,4})[—–-](?P<b>(?!0)[0-9]{3,4})(?=年[)）])"),
            lambda match, _: _year_range(match, reader),
        ),
        Rule(rx(r"(?<=公元前)(?P<say>[0-9]{1,4})(?=年)"), digits),
        Rule(
            rx(r"ALONE(?P<say>[12][0-9]{3}|0[0-9])(?=年(?![间間来來])|届|屆|级|級|学年|赛季|财年)"),
            digits,
        ),
        Rule(rx(r"ALONE(?P<say>[0-9]0|0[0-9]|[5-9]5)(?=[后後](?![的来來续續期]))"), digits),
        Rule(rx(r"ALONE(?P<say>[1-9]0)(?=年代)"), lambda match, _: reader.cardinal(match["say"])),
        # Days.
        Rule(
            rx(
                r"(?<![0-9.·])[0-9]{1,2}(?:·[0-9]{1,2}|\.[0-9]{1,2}(?=购物|大促|狂欢|晚会|事件|地震))(?![0-9.·])"
            ),
            lambda match, _: _commemoration(match, reader),
            "·.",
        ),
        Rule(
            rx(
                r"(?:日期|截止|截至|时间|定于|生于)[^0-9\n，。]{0,4}"
                r"(?P<say>[0-9]{1,2}/[0-9]{1,2})(?![0-9/])"
            ),
            lambda match, _: _slash_day(match, reader),
            "/",
        ),
        *month_rules(),
        *hour_rules(),
        Rule(
            rx(r"ALONE(?P<say>[0-9]{1,2})(?=[点點](?![0-9零一二三四五六七八九]))"),
            lambda match, _: reader.cardinal(match["say"], "m"),
        ),
        # Telephones, rooms, trains, plates.
        Rule(
            rx(r"(?<![0-9])(?P<say>(?:\+?86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4})(?![0-9])"),
            phone,
        ),
        Rule(
            rx(
                r"(?:打|拨|撥|报警|急救)[^0-9。！？\n]{0,6}[0-9]{3,12}(?:、[0-9]{3,12})*[或、和/](?P<say>[0-9]{3,12})(?![0-9%]|[个次人元块])"
            ),
            phone,
        ),
        Rule(rx(rf"ALONE(?P<say>[0-9]{{3,5}})(?={_ROOM})"), phone),
        Rule(rx(r"(?<![A-Za-z])[GDCKTZSY](?P<say>[0-9]{3,4})(?=次|号?列车|高铁|动车)"), phone),
        Rule(
            rx(rf"[{_PROVINCES}][A-Z][·. ]?(?=[A-Z0-9]*[0-9])[0-9A-Z]{{5,6}}(?![0-9A-Za-z])"),
            lambda match, _: _plate(match, reader),
        ),
        # Ordinals.
        Rule(rx(rf"第 ?(?P<say>(?P<a>[0-9]+)(?:{DASH}(?P<b>[0-9]+))?)(?![0-9.,])"), ordinal),
        Rule(
            rx(r"\bNo\.? ?(?P<n>[0-9]+)(?![0-9.])"),
            lambda match, _: "第" + reader.whole(match["n"]),
        ),
        Rule(rx(r"#(?P<n>[0-9]+)"), lambda match, _: reader.name_number(match["n"]) + "号", "#"),
        # Digits that are a name: "图1-1", "1米75", "404错误", "8080端口", "985高校".
        Rule(rx(r"[图表例题式](?P<say>(?P<a>[0-9]+)-(?P<b>[0-9]+))(?![0-9-])"), part, "-"),
        Rule(
            rx(r"[0-9][米块](?P<say>[0-9]{1,2})(?![0-9]|[.,][0-9]|[米厘公分元块个])"),
            digits,
            "米块",
        ),
        Rule(rx(r"ALONE(?P<say>[1-5][0-9]{2})(?=表示|代表|错误|是|[、,，和或]|$)"), status, "码HS"),
        Rule(rx(r"ALONE(?P<say>[0-9]{2,5})(?=端口)"), digits, "端"),
        Rule(
            rx(
                r"ALONE(?P<say>985|211|996|618|315)(?=高校|院校|大学|工程|工作制|大促|晚会|[、/和]|$)"
            ),
            digits,
        ),
        # English that Chinese text keeps: "1st", "1990s".
        Rule(
            rx(r"ALONE(?P<n>[0-9]{1,4})(?:st|nd|rd|th)(?![A-Za-z])"),
            lambda match, _: english.ordinal(match["n"]),
        ),
        Rule(
            rx(r"ALONE(?P<n>[12][0-9]{2}0)s(?![A-Za-z])"),
            lambda match, _: reader.digits(match["n"]) + "年代",
            "s",
        ),
        # "100元/人", "5 元每斤", "5万元/m²".
        Rule(
            rx(rf"[元块](?P<say>/(?P<unit>{unit_fragment('Chinese')}))"),
            lambda match, _: (noun := unit(match["unit"], "Chinese")) and "每" + noun.forms[0],
            "/",
        ),
        Rule(
            rx(
                r"[0-9][万亿千百]?[\u4e00-\u9fff]{0,2}(?P<say>/)(?=[人斤天月年次分秒小平件个台户位亩吨克升米度字张份瓶盒箱套杯碗只条辆晚夜周季])"
            ),
            lambda match, _: "每",
            "/",
        ),
        Rule(
            rx(r"ALONE(?P<m>[0-9]{1,2})['′](?P<s>[0-9]{1,2})[\"″]?"),
            lambda match, _: reader.duration((0, int(match["m"]), int(match["s"]))),
            "'′",
        ),
        Rule(rx(r"(?<=[\"“「])(?P<say>[0-9]{3})(?=[\"”」])"), digits),
        Rule(rx(r"(?<=[0-9])\+(?=[个人名位次岁天年种款家条项])"), lambda match, _: "多", "+"),
        Rule(rx(r"24/7(?:小时)?"), lambda match, _: "七乘二十四小时", "/"),
    )


@cache
def chinese_year_rules() -> tuple[Rule, ...]:
    """Return the rule for bare years, which comes after everything that counts or prices."""
    reader = ChineseReader()
    return (
        Rule(
            rx(rf"{_AMOUNT_BEFORE}ALONE(?P<say>{YEAR}){YEAR_END}(?!{MEASURE})"),
            lambda match, _: reader.year(match["say"]),
        ),
    )


@cache
def chinese_last_rules() -> tuple[Rule, ...]:
    """Return the rules for what nothing else has read."""
    return (
        Rule(rx(rf"ALONE2(?={TWO_COUNTS})"), lambda match, _: "两"),
        # A hyphen between a Han character and a number is a joint: 歼-20, 东风-41.
        Rule(
            rx(r"(?<=[\u4e00-\u9fff])-(?=[0-9])"),
            lambda match, _: None if is_minus(match.string, match.start()) else "",
            "-",
        ),
    )
