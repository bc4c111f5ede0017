"""`qwen3-tts-live voices`: clone a voice once, and call it by its name from then on.

In a folder that engines read when they open, or with `--engine` in a server that runs.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_tts_live.backends.qwen_open import clone_voice
from qwen3_tts_live.cli.engine_flags import add_engine_key_flags, engine_key
from qwen3_tts_live.cli.qwen_flags import add_qwen_flags, qwen_options
from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError
from qwen3_tts_live.factory import QwenOptions, open_synthesizer
from qwen3_tts_live.synthesizer import Synthesizer, VoiceLibrary

if TYPE_CHECKING:
    from qwen3_tts_live.voices.store import VoiceStore

__all__ = ["Voices"]


class Voices:
    """Add, list and remove stored voices."""

    help = "clone voices and keep them by name"
    description = (
        "Stored voices are what Base checkpoints speak with by name. A voice is made for one "
        "model size (0.6B or 1.7B) and holds no audio. With --engine ws://HOST:PORT they are those "
        "of a server that runs."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommands and their flags."""
        where = argparse.ArgumentParser(add_help=False)
        where.add_argument(
            "--folder",
            type=Path,
            help="where they are (default: ~/.local/share/qwen3-tts-live/voices)",
        )
        where.add_argument(
            "--engine", metavar="ADDRESS", help="the server whose they are, in place of a folder"
        )
        add_engine_key_flags(where)
        commands = parser.add_subparsers(metavar="add | list | remove", required=True)

        add = commands.add_parser("add", parents=[where], help="clone a voice and store it")
        add.add_argument("name", metavar="NAME", help="a-z, 0-9, - and _")
        add.add_argument(
            "--model-path",
            metavar="PATH_OR_REPO_ID",
            help="a Base checkpoint of the size that will speak with it; a server has its own",
        )
        add.add_argument("--replace", action="store_true", help="also where the name is taken")
        add_qwen_flags(add, QwenOptions(), ("ref_audio", "ref_text", "device", "dtype"))
        add.set_defaults(action=_add, on_server=_add_on_server)

        listing = commands.add_parser("list", parents=[where], help="list the stored voices")
        listing.set_defaults(action=_list, on_server=_list_of_server)

        remove = commands.add_parser("remove", parents=[where], help="remove a stored voice")
        remove.add_argument("name", metavar="NAME")
        remove.set_defaults(action=_remove, on_server=_remove_from_server)

    async def run(self, arguments: argparse.Namespace) -> int:
        """Do what the subcommand says."""
        if arguments.engine is not None:
            opening = open_synthesizer(arguments.engine, api_key=engine_key(arguments))
            async with await opening as synthesizer:
                await arguments.on_server(arguments, synthesizer)
            return 0
        try:
            from qwen3_tts_live.voices.store import VoiceStore  # needs safetensors
        except ModuleNotFoundError as error:
            raise BackendUnavailableError(
                f"stored voices need the package {error.name}: pip install 'qwen3-tts-live[qwen]'"
            ) from error
        await arguments.action(arguments, VoiceStore(arguments.folder))
        return 0


async def _add(arguments: argparse.Namespace, store: VoiceStore) -> None:
    store.new_path(arguments.name, replace=arguments.replace)  # before the checkpoint is loaded
    options = qwen_options(arguments, QwenOptions())
    _recording(arguments)
    if arguments.model_path is None:
        raise InvalidRequestError("what clones it? Give --model-path, or --engine of a server")
    voice = await clone_voice(arguments.model_path, arguments.name, options)
    path = store.add(voice, replace=arguments.replace)
    sys.stderr.write(f"{arguments.name} -> {path}\n")


async def _list(arguments: argparse.Namespace, store: VoiceStore) -> None:
    for name in store.names():
        try:
            voice = store.load(name)
        except InvalidRequestError as error:
            sys.stderr.write(f"{error.message}\n")
            continue
        size = 0 if voice.embedding is None else len(voice.embedding)
        sys.stdout.write(f"{name}\t{size}\t{voice.ref_text}\n")


async def _remove(arguments: argparse.Namespace, store: VoiceStore) -> None:
    store.remove(arguments.name)


def _recording(arguments: argparse.Namespace) -> Path:
    if arguments.ref_audio is None:
        raise InvalidRequestError("a voice is cloned from audio: give --ref-audio FILE")
    return Path(arguments.ref_audio)


# ---------------------------------------------------------------- with --engine


async def _add_on_server(arguments: argparse.Namespace, synthesizer: Synthesizer) -> None:
    if arguments.replace:
        raise InvalidRequestError("a server replaces no voice: remove it first")
    recording = await asyncio.to_thread(_recording(arguments).read_bytes)
    await _library(synthesizer).add(arguments.name, recording, text=arguments.ref_text)
    sys.stderr.write(f"{arguments.name} -> {arguments.engine}\n")


async def _list_of_server(arguments: argparse.Namespace, synthesizer: Synthesizer) -> None:
    library = synthesizer.voices
    added = () if library is None else library.names
    for name in synthesizer.info.voices:
        sys.stdout.write(f"{name}\t{'added' if name in added else ''}\n")


async def _remove_from_server(arguments: argparse.Namespace, synthesizer: Synthesizer) -> None:
    await _library(synthesizer).remove(arguments.name)


def _library(synthesizer: Synthesizer) -> VoiceLibrary:
    if (library := synthesizer.voices) is None:
        model = synthesizer.info.model
        raise InvalidRequestError(f"{model} speaks with its own voices; Base checkpoints clone")
    return library
