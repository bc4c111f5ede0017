"""What the text front end costs: a segment, a character, the first segment, the event loop.

Feeds assistants' answers in ten languages, Markdown and numbers included, one character at a
time, as tokens would come at the worst. Every push is timed: one that gives out a segment pays
for its spoken form, any other for looking at a character. Times are the thread's on a processor,
so that what else runs on the machine does not count. Then a whole long text goes through a
session whose voice is silent, while a ticker measures how long others on the event loop wait.

    python benchmarks/text.py
    python benchmarks/text.py --grammar wetextprocessing --corpus FILE
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from report import circumstances, percentiles, write

from qwen3_tts_live.backend import BackendEvent, Segment
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_live.text import NormalizerSettings, TextFrontEnd, warm_up
from qwen3_tts_live.text.languages import LANGUAGES

ANSWERS = {
    "Chinese": "好的，关于这个问题，我整理了三点：\n\n1. **价格**：2025年3月15日起，会员价为¥199.5，比去年下降了12.5%。\n"
    "2. **性能**：GPT-4和Qwen3-TTS-12Hz-1.7B都支持，延迟<200ms，准确率达到98.6%。\n"
    "3. **服务**：请拨打400-820-8820，或访问[官网](https://www.example.com)。\n\n"
    "他说：“我们有14亿用户，每天处理1,234,567条请求。”会议定在下午3:30，地点是1205房间。需要3-5天。",
    "English": "Sure! Here's what I found:\n\n## Summary\n\n- **Revenue** hit $3.5M in 2025, up 12.5% from 2024.\n"
    "- The API's p99 latency dropped from 250 ms to 80 ms, i.e. by 68%.\n- RISC-V and GPT-4 are supported; see "
    "[the docs](https://example.com/docs).\n\nDr. Smith will call you at 3:30 PM on Jan. 5th, 2026, at "
    "+1-800-555-0199. The 3rd item costs $12.50, and it takes 3-5 days. Don't worry, it's easy!",
    "Japanese": "はい、2025年3月15日の会議についてですね。場所は東京駅から10kmの1205号室で、午後3時30分に始まります。"
    "参加費は1,980円です。「準備は98.6%完了しています。」と担当者が言っていました。電話は03-1234-5678です。",
    "Korean": "네, 2025년 3월 15일 오후 3시 30분에 회의가 있습니다. 참가비는 5,000원이고 사과 3개가 필요합니다. "
    '"준비는 98.6% 끝났습니다."라고 담당자가 말했습니다. 자세한 내용은 example.co.kr을 보세요.',
    "German": "Gern! Am 3. Mai 2025 um 15:30 Uhr treffen wir Dr. Müller, z. B. im Café. Das kostet 12,50 €, also "
    "3,5 % mehr als 2024. „Das sind 1.000 km“, sagte er. Die Nr. 5 gewinnt, usw. Alles klar?",
    "French": "Bien sûr ! Le 1er mai 2025 à 15h30, M. Dupont paiera 12,50 €, soit 3,5 % de plus. « C'est à "
    "1 000 km », dit-il. Appelez le 01 23 45 67 89. D'accord ?",
    "Russian": "Конечно! В 2025 году цена составит 5 000 ₽, т. е. на 12,5 % больше. Встреча 15 марта в 15:30 на ул. "
    "Ленина, д. 5. «Это 1000 км», — сказал он. Книги, газеты и т. д. уже там. Хорошо?",
    "Portuguese": "Claro! Em 15/03/2025, às 15h30, o Sr. Silva paga R$ 12,90, ou seja, 3,5% a mais. São 1.000 km, "
    "p. ex. de carro. O 3º item chega em 5 dias. Tudo bem?",
    "Spanish": "¡Claro! El 15/03/2025 a las 15:30, el Sr. García paga 1.234,50 €, un 3,5 % más. ¿Son 1.000 km? "
    "«Sí», dijo. El 3.er piso, pág. 12, etc. ¡Vamos!",
    "Italian": "Certo! Il 25/12/2025 alle 15:30 il Sig. Rossi paga 12,50 €, cioè il 3,5 % in più. Sono 1.000 km, "
    "p. es. in treno. «Va bene», disse. Il 3º piano, pag. 12, ecc. Andiamo?",
}  # fmt: skip
LONG = 20_000  # characters; what a server accepts by default


@dataclass
class Costs:
    """What was timed, in seconds, and how far behind its end each first segment came."""

    segments: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)  # a character, everything included
    behind: list[int] = field(default_factory=list)  # white space is not counted


def feed(text: str, language: str, settings: NormalizerSettings, costs: Costs) -> None:
    """Push `text` character by character and time each push."""
    front_end = TextFrontEnd(language, settings)
    begun = time.thread_time()
    first = True
    for position, char in enumerate(text, start=1):
        started = time.thread_time()
        segments = front_end.push(char)
        took = time.thread_time() - started
        if segments:
            costs.segments += [took / len(segments)] * len(segments)
            if first:
                behind = text[len(segments[0].raw.rstrip()) : position]
                costs.behind.append(len("".join(behind.split())))
                first = False
        else:
            costs.quiet.append(took)
    started = time.thread_time()
    if rest := front_end.end():
        costs.segments += [(time.thread_time() - started) / len(rest)] * len(rest)
    costs.whole.append((time.thread_time() - begun) / len(text))


class Silent:
    """A backend that says nothing, so that only the text costs."""

    name = "silent"
    languages = tuple(LANGUAGES)
    voices = ("silent",)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Speak `segment`, in no time."""
        await asyncio.sleep(0)
        return
        yield

    async def aclose(self) -> None:
        """Release nothing."""


async def hold_up(text: str, settings: NormalizerSettings) -> dict[str, float]:
    """Return how long others wait, in ms, while a session works through `text`."""
    waits: list[float] = []

    async def tick() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0)
            waits.append((time.perf_counter() - started) * 1000)

    async with LiveSynthesizer(Silent(), SessionLimits()) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(normalizer=settings))
        ticking = asyncio.create_task(tick())
        started = time.perf_counter()
        utterance = session.utter(text)
        pushed = (time.perf_counter() - started) * 1000
        async for _ in utterance:
            pass
        seconds = time.perf_counter() - started
        ticking.cancel()
    result = {"characters": len(text), "push_ms": round(pushed, 3), "seconds": round(seconds, 3)}
    return result | {"wait_ms_max": round(max(waits), 2)}


def measure(texts: list[tuple[str, str]], settings: NormalizerSettings, rounds: int) -> Costs:
    """Feed every text `rounds` times."""
    costs = Costs()
    for _ in range(rounds):
        for language, text in texts:
            feed(text, language, settings, costs)
    return costs


def report(costs: Costs) -> dict[str, Any]:
    """Return the costs in the units of the limits."""
    return {
        "segments": len(costs.segments),
        "segment_ms": percentiles([took * 1000 for took in costs.segments], 3),
        "quiet_character_us": percentiles([took * 1e6 for took in costs.quiet]),
        "character_us_mean": round(statistics.mean(costs.whole) * 1e6, 1),
        "first_segment_characters_behind_its_end_max": max(costs.behind, default=0),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grammar", default="wetext", help="as --normalizer of the commands")
    parser.add_argument("--corpus", type=Path, help="a file with a text a line, fed as Auto")
    parser.add_argument("--rounds", type=int, default=30, help="default: %(default)s")
    arguments = parser.parse_args()
    settings = NormalizerSettings(grammar=arguments.grammar)

    started = time.perf_counter()
    warm_up(settings)
    result: dict[str, Any] = circumstances("wetext", "num2words", "WeTextProcessing")
    result |= {"grammar": settings.grammar, "warm_up_s": round(time.perf_counter() - started, 3)}
    result["languages"] = {
        language: report(measure([(language, text)], settings, arguments.rounds))
        for language, text in ANSWERS.items()
    }
    every = [(name, text) for text in ANSWERS.values() for name in ("Auto",)]
    result["auto"] = report(measure(every, settings, arguments.rounds))
    if arguments.corpus:
        lines = arguments.corpus.read_text(encoding="utf-8").splitlines()
        result["corpus"] = report(measure([("Auto", line) for line in lines if line], settings, 1))
    mixed = "\n\n".join(ANSWERS.values())
    long_text = (mixed * (LONG // len(mixed) + 1))[:LONG]
    result["event_loop"] = asyncio.run(hold_up(long_text, settings))
    result["limits"] = {"segment_ms_p99": 5, "character_us": 50, "first_segment_behind": 1}

    path = write("text" if settings.grammar == "wetext" else f"text-{settings.grammar}", result)
    print(path.read_text())


if __name__ == "__main__":
    main()
