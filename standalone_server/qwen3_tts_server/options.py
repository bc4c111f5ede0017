"""The server's settings: flags first, then the environment, then defaults.

The only place of the server that reads the environment.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from qwen3_tts_live.cli.engine_flags import add_engine_key_flags, engine_key
from qwen3_tts_live.cli.qwen_flags import add_qwen_flags, qwen_options
from qwen3_tts_live.cli.text_flags import add_text_flags, normalizer_settings
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.factory import QwenOptions
from qwen3_tts_live.text import NormalizerSettings
from qwen3_tts_server.logs import FORMATS
from qwen3_tts_server.systemd import Supervision

__all__ = ["ServerOptions", "add_arguments", "from_arguments"]


# The documented defaults of `serve`, which existing clients were tuned to.
_QWEN = QwenOptions(temperature=0.8, repetition_penalty=1.1, chunk_size=1, pre_buffer=0)
_TEXT = NormalizerSettings()
_UNSUPERVISED = Supervision()
# What may also stand in a WebSocket's subprotocol, and cannot be guessed.
_KEY = re.compile(r"[A-Za-z0-9._~-]{16,256}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What the server runs with; the fields are the flags, see `serve --help`."""

    engine: str = "auto"
    engine_key: str | None = field(default=None, repr=False)
    model_path: str | None = None
    qwen: QwenOptions = _QWEN
    text: NormalizerSettings = _TEXT
    voice_aliases: Mapping[str, str] = field(default_factory=dict)
    strict_voices: bool = False
    host: str = "0.0.0.0"  # documented default; `serve` warns about it
    port: int | None = 9000  # None: no TCP
    unix: Path | None = None
    api_keys: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    rate_limit: float = 0.0
    max_text: int = 20_000
    max_queued: int = 32
    max_streams: int = 512
    max_clients: int = 1024
    idle_timeout: float = 300.0
    max_upload: int = 10 * 1024 * 1024
    max_voices: int = 1000
    read_timeout: float = 30.0
    upload_timeout: float = 120.0
    write_timeout: float = 60.0
    keepalive_timeout: float = 75.0  # above the 60 s after which common proxies give up
    max_stream_seconds: float = 3600.0
    drain_timeout: float = 30.0
    log_format: str = "text"
    log_level: str | None = None
    log_text: bool = False
    supervision: Supervision = _UNSUPERVISED  # no flag: systemd says it in the environment

    def __post_init__(self) -> None:
        for key in self.api_keys:
            if not _KEY.fullmatch(key):
                raise InvalidRequestError(
                    "an API key must be 16 to 256 of A-Z, a-z, 0-9, '-', '.', '_' and '~' "
                    "(openssl rand -hex 32 makes a good one); one of those given is not"
                )
        if self.log_format not in FORMATS:
            raise InvalidRequestError(
                f"LOG_FORMAT is {self.log_format[:20]!r}; known: {', '.join(FORMATS)}"
            )
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise InvalidRequestError(
                    f"--cors-origin {origin[:80]!r} is no origin: give one as a browser sends it, "
                    "such as https://app.example.com; a * would let any page speak"
                )


def add_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
    """Add the server's flags to `parser`; `environ` provides the defaults of some."""
    default = ServerOptions()
    parser.set_defaults(supervision=Supervision.of(environ))

    speech = parser.add_argument_group("speech")
    speech.add_argument(
        "--engine",
        metavar="ADDRESS",
        default=default.engine,
        help="what speaks: preview: (the embedded voice), qwen:PATH_OR_REPO_ID, ws://HOST:PORT, "
        "openai+http://HOST/v1, or auto: Qwen3-TTS where --model-path names a checkpoint and "
        "torch is installed, else the embedded voice (default: %(default)s)",
    )
    add_engine_key_flags(speech, environ)
    speech.add_argument(
        "--model-path",
        metavar="PATH_OR_REPO_ID",
        default=environ.get("MODEL_PATH"),
        help="a Qwen3-TTS checkpoint: a folder or a Hugging Face repository (env MODEL_PATH; "
        "REF_AUDIO_PATH is that of --ref-audio)",
    )
    speech.add_argument(
        "--voice-alias",
        metavar="NAME=VOICE",
        action="append",
        default=[],
        help="a further name of a voice, for the APIs that are like others' (repeatable): "
        "alloy=Vivian; OpenAI's own names stand for the default voice otherwise",
    )
    speech.add_argument(
        "--strict-voices",
        action="store_true",
        help="refuse /v1/speak for a model that names no voice, instead of warning and speaking "
        "with the default voice",
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
        default=environ.get("PORT"),
        help=f"env PORT; default: {default.port}, or no TCP at all with --unix; 0 takes a free one",
    )
    network.add_argument(
        "--unix",
        type=Path,
        metavar="PATH",
        help="listen on a Unix socket that only this user may connect to",
    )

    _add_access_arguments(parser, environ)
    _add_log_arguments(parser, environ)

    limits = parser.add_argument_group("limits")
    for name, metavar, what in (
        ("max_text", "CHARS", "characters of one request"),
        ("max_queued", "N", "requests of one client that play or wait; more get 429"),
        ("max_streams", "N", "requests of all clients that play or wait; more get 503"),
        ("max_clients", "N", "clients the server remembers; more get 503"),
        ("idle_timeout", "SECONDS", "a silent client is forgotten after this time"),
        (
            "rate_limit",
            "N",
            "requests a minute of one key, or of one address without keys; "
            "more get 429; interrupts do not count; 0: no limit",
        ),
        ("max_stream_seconds", "SECONDS", "a request that is not over by then is cut off"),
        ("max_upload", "BYTES", "of a recording to clone"),
        ("max_voices", "N", "voices that may be added while the server runs; more get 507"),
        ("read_timeout", "SECONDS", "a request whose body takes longer is refused"),
        ("upload_timeout", "SECONDS", "the same for a recording"),
        (
            "write_timeout",
            "SECONDS",
            "a client that reads nothing, or is lost without a word, is cut off",
        ),
        ("keepalive_timeout", "SECONDS", "a connection that asks nothing for this long is closed"),
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


def _add_log_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    log = parser.add_argument_group("log")
    log.add_argument(
        "--log-format",
        choices=FORMATS,
        default=environ.get("LOG_FORMAT", ServerOptions().log_format),
        help="text for people, or json: one object a line (env LOG_FORMAT; default: %(default)s)",
    )
    log.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="how much this server logs (default: info, or debug with -v)",
    )
    log.add_argument(
        "--log-text",
        action="store_true",
        help="with json, log what is said, too; without this, no user's text is ever logged",
    )


def _add_access_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    access = parser.add_argument_group("access")
    access.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        dest="api_keys",
        default=environ.get("API_KEYS", "").replace(",", " ").split(),
        help="who sends one of these may use the server; may be given again. Others see command "
        "lines: better use env API_KEYS (commas between keys) or --api-key-file",
    )
    access.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help="more keys, one a line; # begins a comment",
    )
    access.add_argument(
        "--cors-origin",
        action="append",
        metavar="ORIGIN",
        dest="cors_origins",
        default=[],
        help="pages of this origin may use the server too; may be given again (default: only its "
        "own pages)",
    )
    access.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        dest="allowed_hosts",
        default=[],
        help="answer to this host name only, which keeps DNS rebinding out; may be given again "
        "(default: to any)",
    )


def _keys(arguments: argparse.Namespace) -> tuple[str, ...]:
    keys = list(arguments.api_keys)
    if arguments.api_key_file is not None:
        lines = arguments.api_key_file.read_text().splitlines()
        found = [key for line in lines if (key := line.partition("#")[0].strip())]
        if not found:
            raise InvalidRequestError(f"{arguments.api_key_file} holds no key")
        keys += found
    return tuple(dict.fromkeys(keys))


def from_arguments(arguments: argparse.Namespace) -> ServerOptions:
    """Return the options that parsed flags stand for.

    Raises:
        InvalidRequestError: a value makes no sense.
        OSError: a file that a flag names cannot be read.
    """
    given: dict[str, Any] = {
        name: getattr(arguments, name, None) for name in (f.name for f in fields(ServerOptions))
    }
    if given["port"] is None and given["unix"] is None:
        given["port"] = ServerOptions().port
    given |= {
        "qwen": qwen_options(arguments, _QWEN),
        "text": normalizer_settings(arguments),
        "voice_aliases": dict(map(_alias, arguments.voice_alias)),
        "engine_key": engine_key(arguments),
        "api_keys": _keys(arguments),
        "cors_origins": tuple(arguments.cors_origins),
        "allowed_hosts": tuple(arguments.allowed_hosts),
    }
    return ServerOptions(**given)


def _alias(text: str) -> tuple[str, str]:
    name, equals, voice = text.partition("=")
    if not (name and equals and voice):
        raise InvalidRequestError(f"--voice-alias {text!r}: write NAME=VOICE, as in alloy=Vivian")
    return name, voice
