"""`qwen3-tts-live voices`: clone a voice once, and call it by its name from then on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3_tts_live.backends.qwen_open import clone_voice
from qwen3_tts_live.cli.qwen_flags import add_qwen_flags, qwen_options
from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError
from qwen3_tts_live.factory import QwenOptions

if TYPE_CHECKING:
    from qwen3_tts_live.voices.store import VoiceStore

__all__ = ["Voices"]


class Voices:
    """Add, list and remove stored voices."""

    help = "clone voices and keep them by name"
    description = (
        "Stored voices are what Base checkpoints speak with by name. A voice is made for one "
        "model size (0.6B or 1.7B) and holds no audio."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommands and their flags."""
        folder = argparse.ArgumentParser(add_help=False)
        folder.add_argument(
            "--folder",
            type=Path,
            help="where they are (default: ~/.local/share/qwen3-tts-live/voices)",
        )
        commands = parser.add_subparsers(metavar="add | list | remove", required=True)

        add = commands.add_parser("add", parents=[folder], help="clone a voice and store it")
        add.add_argument("name", metavar="NAME", help="a-z, 0-9, - and _")
        add.add_argument(
            "--model-path",
            metavar="PATH_OR_REPO_ID",
            required=True,
            help="a Base checkpoint of the size that will speak with it",
        )
        add.add_argument("--replace", action="store_true", help="also where the name is taken")
        add_qwen_flags(add, QwenOptions(), ("ref_audio", "ref_text", "device", "dtype"))
        add.set_defaults(action=_add)

        listing = commands.add_parser("list", parents=[folder], help="list the stored voices")
        listing.set_defaults(action=_list)

        remove = commands.add_parser("remove", parents=[folder], help="remove a stored voice")
        remove.add_argument("name", metavar="NAME")
        remove.set_defaults(action=_remove)

    async def run(self, arguments: argparse.Namespace) -> int:
        """Do what the subcommand says."""
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
    if options.ref_audio is None:
        raise InvalidRequestError("a voice is cloned from audio: give --ref-audio FILE")
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
