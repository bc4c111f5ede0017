"""The command line: qwen3-tts-live say | serve | voices | bench

The only part of the library that configures logging or writes to the terminal. Commands that
live elsewhere (the server's) are found through the entry point group `qwen3_tts_live.commands`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Protocol

from qwen3_tts_live.cli.bench import Bench
from qwen3_tts_live.cli.say import Say
from qwen3_tts_live.cli.voices import Voices
from qwen3_tts_live.errors import InvalidRequestError, SpeechError

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
    _configure_logging(verbose=arguments.verbose)
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


def _configure_logging(*, verbose: bool) -> None:
    # What other packages have to say is for whoever asks for more: loading a model alone is
    # worth a page to them.
    others, ours = (logging.INFO, logging.DEBUG) if verbose else (logging.WARNING, logging.INFO)
    logging.basicConfig(level=others, format="%(levelname)-7s %(message)s", stream=sys.stderr)
    for package in ("qwen3_tts_live", "qwen3_tts_server"):
        logging.getLogger(package).setLevel(ours)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qwen3-tts-live",
        description="Streaming Qwen3-TTS for voice agents.",
        epilog="`qwen3-tts-live COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=version("qwen3-tts-live"))
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    found: dict[str, Command] = {"say": Say(), "voices": Voices(), "bench": Bench()}
    found |= {point.name: point.load() for point in entry_points(group="qwen3_tts_live.commands")}
    for name, command in found.items():
        sub = commands.add_parser(name, help=command.help, description=command.description)
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser
