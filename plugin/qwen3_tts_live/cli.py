"""The command line: qwen3-tts-live say | serve | ...

The only part of the library that configures logging or writes to the terminal. Commands that
live elsewhere (the server's) are found through the entry point group `qwen3_tts_live.commands`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Protocol

import soundfile

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk, PcmSamples
from qwen3_tts_live.errors import InvalidRequestError, SpeechError
from qwen3_tts_live.factory import SCHEMES, open_synthesizer
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_live.text.languages import LANGUAGES

__all__ = ["Command", "main"]


class Command(Protocol):
    """What the entry point of a command names."""

    help: str
    description: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags."""
        ...

    async def run(self, arguments: argparse.Namespace) -> int:
        """Do it; return the exit status."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 well, 1 it failed, 2 it was asked wrongly."""
    arguments = _parser().parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(levelname)-7s %(message)s", stream=sys.stderr)
    command: Command = arguments.command
    try:
        return asyncio.run(command.run(arguments))
    except SpeechError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2 if isinstance(error, InvalidRequestError) else 1
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qwen3-tts-live",
        description="Streaming Qwen3-TTS for voice agents.",
        epilog="`qwen3-tts-live COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=version("qwen3-tts-live"))
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    found: dict[str, Command] = {"say": Say()}
    found |= {point.name: point.load() for point in entry_points(group="qwen3_tts_live.commands")}
    for name, command in found.items():
        sub = commands.add_parser(name, help=command.help, description=command.description)
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser


class Say:
    """Speak a text into a file."""

    help = "speak a text into a file"
    description = (
        "Speaks TEXT into an audio file, or as raw 16-bit 24 kHz mono PCM to standard output. "
        "Example: qwen3-tts-live say 'Hello world.' -o - | aplay -f S16_LE -r 24000"
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags."""
        parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
        parser.add_argument(
            "--engine",
            metavar="ADDRESS",
            default="preview:",
            help=f"what speaks (default: %(default)s); examples: {', '.join(SCHEMES.values())}",
        )
        names = ", ".join(f"{name} ({code})" for name, code in LANGUAGES.items())
        parser.add_argument(
            "--language", default="Auto", help=f"Auto (default) goes by the script; or {names}"
        )
        parser.add_argument("--voice", help="one of the engine's voices (default: its first)")
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            default="out.wav",
            help="wav, flac, ogg or mp3 by its name; - for raw PCM (default: %(default)s)",
        )

    async def run(self, arguments: argparse.Namespace) -> int:
        """Speak."""
        text = sys.stdin.read() if arguments.text == "-" else arguments.text
        options = SessionOptions(voice=arguments.voice, language=arguments.language, max_lead=None)
        async with await open_synthesizer(arguments.engine) as synthesizer:
            session = await synthesizer.open_session(options)
            progress = _Progress(None if arguments.output == "-" else arguments.output)
            with _sink(arguments.output) as sink:
                async with session.utter(text) as utterance:
                    async for event in utterance:
                        if isinstance(event, AudioChunk):
                            sink.write(event.samples)
                            progress.show(event)
            progress.end()
        return 0


class _Sink(Protocol):
    def write(self, samples: PcmSamples) -> object: ...


class _RawOutput:
    """Standard output as raw PCM, each chunk at once."""

    def write(self, samples: PcmSamples) -> None:
        sys.stdout.buffer.write(samples.astype("<i2").tobytes())
        sys.stdout.buffer.flush()


@contextmanager
def _sink(output: str) -> Iterator[_Sink]:
    """Open the output; a file that was not finished is removed again."""
    if output == "-":
        yield _RawOutput()
        return
    path = Path(output)
    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise InvalidRequestError(f"{output}: name it .wav, .flac, .ogg or .mp3, or use -o -")
    if not path.parent.is_dir():
        raise InvalidRequestError(f"{output}: there is no folder {path.parent}")
    try:
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, channels=1) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise OSError(f"cannot write {output}: {error.error_string}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class _Progress:
    """One line about the speech: alive on a terminal, at the end for files, none for pipes."""

    def __init__(self, output: str | None) -> None:
        self._output = output
        self._alive = sys.stderr.isatty()
        self._started = time.perf_counter()
        self._first: float | None = None
        self._seconds = 0.0

    def show(self, chunk: AudioChunk) -> None:
        """Count a chunk."""
        if self._first is None:
            self._first = time.perf_counter() - self._started
        self._seconds += chunk.seconds
        if self._alive:
            sys.stderr.write(f"\r{self._line()}")

    def end(self) -> None:
        """Leave the last word."""
        if self._output is None and not self._alive:
            return
        start = "\r" if self._alive else ""
        where = f" -> {self._output}" if self._output else ""
        sys.stderr.write(f"{start}{self._line()}{where}\n")

    def _line(self) -> str:
        if self._first is None:
            return "nothing to say"
        wall = time.perf_counter() - self._started
        return (
            f"{self._seconds:.1f} s of speech, first audio after {self._first * 1000:.0f} ms, "
            f"RTF {wall / self._seconds:.3f} (wall time / audio time)"
        )
