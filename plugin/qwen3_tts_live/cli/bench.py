"""`qwen3-tts-live bench`: how many calls an engine holds at once on this machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from qwen3_tts_live.cli.calls import REPLIES, Calls, Heard
from qwen3_tts_live.cli.engine_flags import add_engine_key_flags, engine_key
from qwen3_tts_live.cli.qwen_flags import add_qwen_flags, qwen_options
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.factory import SCHEMES, QwenOptions, open_synthesizer
from qwen3_tts_live.synthesizer import SessionOptions

__all__ = ["Bench", "Row"]

_HEAD = "calls   first audio p50     p95   underruns  longest   interrupt p95\n"


@dataclass(frozen=True, slots=True)
class Row:
    """What so many calls at once heard; milliseconds, None where nothing was heard.

    Attributes:
        fits: nobody heard a gap, nothing failed, and first audio came in time.
    """

    calls: int
    first_audio_p50: float | None
    first_audio_p95: float | None
    underruns: int
    longest_underrun: float
    interrupt_p95: float | None
    speech_seconds: float
    failures: int
    fits: bool

    @classmethod
    def of(cls, calls: int, heard: Heard, within: float) -> Row:
        """Return what `heard` comes to; first audio is to come `within` milliseconds."""
        first = _percentile(heard.first_audio, 95)
        return cls(
            calls=calls,
            first_audio_p50=_percentile(heard.first_audio, 50),
            first_audio_p95=first,
            underruns=heard.underruns,
            longest_underrun=_milliseconds(heard.longest),
            interrupt_p95=_percentile(heard.interrupts, 95),
            speech_seconds=round(heard.seconds, 1),
            failures=len(heard.errors),
            fits=not (heard.underruns or heard.errors or first is None or first > within),
        )

    def __str__(self) -> str:
        return (
            f"{self.calls:5}   {_shown(self.first_audio_p50):>15} {_shown(self.first_audio_p95):>7}"
            f"   {self.underruns:9}  {_shown(self.longest_underrun):>7}"
            f"   {_shown(self.interrupt_p95):>13}{'' if self.fits else '   too many'}\n"
        )


class Bench:
    """Hold more and more calls until they are too many."""

    help = "find out how many calls fit"
    description = (
        "Holds 1, 2, 4 ... calls at once, in each of which somebody listens to one reply after "
        "another at real time, and stops where audio is late: callers hear a gap, or wait too "
        "long for the first sound. Nobody in these calls ever thinks, so real ones need less. "
        "Run it where the engine runs, or against a server: --engine ws://HOST:PORT."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags."""
        parser.add_argument(
            "--engine",
            metavar="ADDRESS",
            default="preview:",
            help=f"what speaks (default: %(default)s); examples: {', '.join(SCHEMES.values())}",
        )
        add_engine_key_flags(parser)
        parser.add_argument(
            "--calls",
            metavar="N,N,...",
            type=_numbers,
            default=(1, 2, 4, 8, 16, 32, 64, 128),
            help="how many at once, in turn (default: 1,2,4,8,16,32,64,128)",
        )
        parser.add_argument(
            "--seconds",
            type=float,
            default=15.0,
            metavar="S",
            help="length of a call (default: %(default)g)",
        )
        parser.add_argument(
            "--within",
            type=float,
            default=500.0,
            metavar="MS",
            help="95 of 100 replies have to be heard by then (default: %(default)g ms)",
        )
        parser.add_argument("--voice", metavar="NAME", help="default: the engine's first")
        parser.add_argument("--language", default="English", help="default: %(default)s")
        parser.add_argument(
            "--replies",
            type=Path,
            metavar="FILE",
            help="what is said, a reply each line (default: a few of English)",
        )
        parser.add_argument(
            "--go-on", action="store_true", help="do not stop where calls are too many"
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
        add_qwen_flags(parser, QwenOptions())

    async def run(self, arguments: argparse.Namespace) -> int:
        """Measure."""
        replies = REPLIES if arguments.replies is None else _lines(arguments.replies)
        options = SessionOptions(voice=arguments.voice, language=arguments.language)
        qwen = qwen_options(arguments, QwenOptions())
        sys.stderr.write(f"opening {arguments.engine}\n")
        opening = open_synthesizer(arguments.engine, qwen=qwen, api_key=engine_key(arguments))
        async with await opening as synthesizer:
            calls = Calls(synthesizer, options, replies)
            # The first reply loads what all later ones find.
            if errors := (await calls.hold(1, 0.1)).errors:
                sys.stderr.write(f"error: {errors[0]}\n")
                return 1
            rows = await _measure(calls, arguments)
            model = synthesizer.info.model
        sys.stdout.write(_verdict(rows, model))
        if arguments.json is not None:
            _write(arguments.json, arguments, model, rows)
        return 0


async def _measure(calls: Calls, arguments: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    sys.stdout.write(_HEAD)
    for number in arguments.calls:
        heard = await calls.hold(number, arguments.seconds)
        rows.append(Row.of(number, heard, arguments.within))
        sys.stdout.write(str(rows[-1]))
        sys.stdout.flush()
        if heard.errors:
            sys.stderr.write(f"{len(heard.errors)} calls failed: {heard.errors[0]}\n")
        if not (rows[-1].fits or arguments.go_on):
            break
    return rows


def _verdict(rows: Sequence[Row], model: str) -> str:
    fitting = [row.calls for row in rows if row.fits]
    if not fitting:
        return f"{model} does not hold a single call in real time here\n"
    more = "" if any(not row.fits for row in rows) else " or more"
    return f"{model} holds {max(fitting)}{more} calls at once here\n"


def _write(path: Path, arguments: argparse.Namespace, model: str, rows: Sequence[Row]) -> None:
    result = {
        "model": model,
        "engine": arguments.engine,
        "call_seconds": arguments.seconds,
        "within_ms": arguments.within,
        "rows_in_ms": [asdict(row) for row in rows],
        "version": version("qwen3-tts-live"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if not all(0 < number <= 4096 for number in numbers):
        raise ValueError
    return numbers


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not lines:
        raise InvalidRequestError(f"{path} holds no reply")
    return lines


def _percentile(seconds: Sequence[float], percent: int) -> float | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return _milliseconds(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)])


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _shown(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.0f} ms"
