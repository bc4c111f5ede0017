"""The flags that name the engine and its server's key, the same for every command that opens one.

The only place of the library that reads the environment.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from qwen3_tts_live.errors import InvalidRequestError

__all__ = ["add_engine_key_flags", "engine_key"]


def add_engine_key_flags(
    parser: argparse._ActionsContainer, environ: Mapping[str, str] = os.environ
) -> None:
    """Add the flags that give the key of an engine which is a server."""
    parser.add_argument(
        "--engine-key",
        metavar="KEY",
        default=environ.get("ENGINE_API_KEY"),
        help="the key of an engine that is a server and asks for one. Others see command lines: "
        "better use env ENGINE_API_KEY or --engine-key-file",
    )
    parser.add_argument(
        "--engine-key-file",
        type=Path,
        metavar="FILE",
        help="a file with that key, which goes before the other two; lines that begin with # are "
        "comments",
    )


def engine_key(arguments: argparse.Namespace) -> str | None:
    """Return the key that parsed flags give, if they do.

    Raises:
        InvalidRequestError: the file holds no key or several, or the key is none.
        OSError: the file cannot be read.
    """
    key: str | None = arguments.engine_key
    path: Path | None = arguments.engine_key_file
    if path is not None:
        lines = [line.strip() for line in path.read_text().splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        if len(found) != 1:
            raise InvalidRequestError(f"{path} holds {len(found)} keys; it should hold one")
        key = found[0]
    # It goes into a header.
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise InvalidRequestError("the engine's key holds what no key does: spaces, or not ASCII")
    return key or None
