"""`qwen3-tts-live say`: one text into a file or a pipe."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

import soundfile

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk, PcmSamples
from qwen3_tts_live.cli.engine_flags import add_engine_key_flags, engine_key
from qwen3_tts_live.cli.qwen_flags import QWEN_FLAGS, add_qwen_flags, qwen_options
from qwen3_tts_live.cli.text_flags import add_text_flags, normalizer_settings
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.factory import SCHEMES, QwenOptions, open_synthesizer
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_live.text import TextFrontEnd
from qwen3_tts_live.text.languages import LANGUAGES, canonical_language

__all__ = ["Say"]

# These are a session's own settings, which every engine is asked for.
_IN_SESSION = ("speaker", "instruct", "seed")


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
        add_engine_key_flags(parser)
        names = ", ".join(f"{name} ({code})" for name, code in LANGUAGES.items())
        parser.add_argument(
            "--language", default="Auto", help=f"Auto (default) goes by the script; or {names}"
        )
        parser.add_argument(
            "--voice",
            "--speaker",
            metavar="NAME",
            help="one of the engine's voices (default: its first)",
        )
        parser.add_argument(
            "--instruct",
            dest="style",
            metavar="TEXT",
            help="how to say it, or what voice to have, for models that follow instructions",
        )
        parser.add_argument(
            "--seed", dest="draw", type=int, metavar="N", help="say it the same way each time"
        )
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="wav, flac, ogg or mp3 by its name; - for raw PCM (default: out.wav)",
        )
        parser.add_argument(
            "--show-text",
            action="store_true",
            help="print the segments and what is said for each; speak only if -o is given, too",
        )
        add_text_flags(parser)
        parser.add_argument(
            "--no-normalize",
            dest="normalizer",
            action="store_const",
            const="off",
            help="the same as --normalizer off",
        )
        add_qwen_flags(parser, QwenOptions(), (n for n in QWEN_FLAGS if n not in _IN_SESSION))

    async def run(self, arguments: argparse.Namespace) -> int:
        """Speak."""
        text = sys.stdin.read() if arguments.text == "-" else arguments.text
        options = SessionOptions(
            voice=arguments.voice,
            language=arguments.language,
            instruct=arguments.style,
            seed=arguments.draw,
            max_lead=None,
            normalizer=normalizer_settings(arguments),
        )
        if arguments.show_text:
            _show(text, options, sys.stderr if arguments.output == "-" else sys.stdout)
            if arguments.output is None:
                return 0
        output = arguments.output or "out.wav"
        qwen = qwen_options(arguments, QwenOptions())
        opening = open_synthesizer(arguments.engine, qwen=qwen, api_key=engine_key(arguments))
        async with await opening as synthesizer:
            session = await synthesizer.open_session(options)
            progress = _Progress(None if output == "-" else output)
            with _sink(output) as sink:
                async with session.utter(text) as utterance:
                    async for event in utterance:
                        if isinstance(event, AudioChunk):
                            sink.write(event.samples)
                            progress.show(event)
            progress.end()
        return 0


def _show(text: str, options: SessionOptions, to: TextIO) -> None:
    """Print each segment as it is written and, behind an arrow, as it is said."""
    front_end = TextFrontEnd(canonical_language(options.language), options.normalizer)
    for segment in front_end.push(text) + front_end.end():
        written = " ".join(segment.raw.split())
        said = " ".join(segment.spoken.split()) or "(nothing)"
        lines = f"{segment.language}: {written}\n  -> {said}\n"
        to.write(lines.encode("utf-8", "replace").decode("utf-8"))


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
