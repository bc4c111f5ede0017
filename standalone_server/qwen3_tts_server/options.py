"""The server's settings: flags first, then the environment, then defaults.

The only place of the server that reads the environment.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from qwen3_tts_live.cli.qwen_flags import add_qwen_flags, qwen_options
from qwen3_tts_live.cli.text_flags import add_text_flags, normalizer_settings
from qwen3_tts_live.factory import QwenOptions
from qwen3_tts_live.text import NormalizerSettings

__all__ = ["ServerOptions", "add_arguments", "from_arguments"]


# The documented defaults of `serve`, which existing clients were tuned to.
_QWEN = QwenOptions(temperature=0.8, repetition_penalty=1.1, chunk_size=1, pre_buffer=0)
_TEXT = NormalizerSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What the server runs with; the fields are the flags, see `serve --help`."""

    engine: str = "auto"
    model_path: str | None = None
    qwen: QwenOptions = _QWEN
    text: NormalizerSettings = _TEXT
    host: str = "0.0.0.0"  # documented default; `serve` warns about it
    port: int = 9000
    max_text: int = 20_000
    max_queued: int = 32
    max_streams: int = 512
    max_clients: int = 1024
    idle_timeout: float = 300.0
    write_timeout: float = 60.0
    drain_timeout: float = 30.0


def add_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
    """Add the server's flags to `parser`; `environ` provides the defaults of some."""
    default = ServerOptions()

    speech = parser.add_argument_group("speech")
    speech.add_argument(
        "--engine",
        metavar="ADDRESS",
        default=default.engine,
        help="what speaks: preview: (the embedded voice), qwen:PATH_OR_REPO_ID, ws://HOST:PORT, "
        "openai+http://HOST/v1, or auto: Qwen3-TTS where --model-path names a checkpoint and "
        "torch is installed, else the embedded voice (default: %(default)s)",
    )
    speech.add_argument(
        "--model-path",
        metavar="PATH_OR_REPO_ID",
        default=environ.get("MODEL_PATH"),
        help="a Qwen3-TTS checkpoint: a folder or a Hugging Face repository (env MODEL_PATH; "
        "REF_AUDIO_PATH is that of --ref-audio)",
    )
    # REF_AUDIO_PATH is the environment's name for --ref-audio.
    add_qwen_flags(parser, replace(default.qwen, ref_audio=environ.get("REF_AUDIO_PATH")))
    add_text_flags(parser)

    network = parser.add_argument_group("network")
    network.add_argument(
        "--host", default=environ.get("HOST", default.host), help="env HOST; default: %(default)s"
    )
    network.add_argument(
        "--port",
        type=int,
        default=environ.get("PORT", default.port),
        help="env PORT; default: %(default)s; 0 takes a free one",
    )

    limits = parser.add_argument_group("limits")
    for name, metavar, what in (
        ("max_text", "CHARS", "characters of one request"),
        ("max_queued", "N", "requests of one client that play or wait; more get 429"),
        ("max_streams", "N", "requests of all clients that play or wait; more get 503"),
        ("max_clients", "N", "clients the server remembers; more get 503"),
        ("idle_timeout", "SECONDS", "a silent client is forgotten after this time"),
        ("write_timeout", "SECONDS", "a client that reads nothing for this long is cut off"),
        ("drain_timeout", "SECONDS", "how long streams may go on after SIGTERM"),
    ):
        value = getattr(default, name)
        limits.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(value),
            metavar=metavar,
            default=value,
            help=f"{what} (default: %(default)s)",
        )


def from_arguments(arguments: argparse.Namespace) -> ServerOptions:
    """Return the options that parsed flags stand for.

    Raises:
        InvalidRequestError: a value makes no sense.
        OSError: a file that a flag names cannot be read.
    """
    names = [f.name for f in fields(ServerOptions) if f.name not in ("qwen", "text")]
    return ServerOptions(
        qwen=qwen_options(arguments, _QWEN),
        text=normalizer_settings(arguments),
        **{name: getattr(arguments, name) for name in names},
    )
