"""The composition root: from an address to a synthesizer.

preview:              the embedded voice, in worker processes
qwen:PATH_OR_REPO_ID  Qwen3-TTS in this process
ws://HOST:PORT        a qwen3-tts-live server (also wss:// and unix:/path.sock)
openai+http://HOST/v1 any server with a streaming /v1/audio/speech (also openai+https://)
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import fields
from typing import Any, TypeVar

from qwen3_tts_live.backends.preview import PreviewBackend
from qwen3_tts_live.backends.qwen_open import open_qwen
from qwen3_tts_live.backends.qwen_options import QwenOptions
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits
from qwen3_tts_live.synthesizer import Synthesizer
from qwen3_tts_live.text import warm_up

__all__ = ["SCHEMES", "QwenOptions", "SessionLimits", "open_synthesizer"]

#: Every address scheme, and an example of it.
SCHEMES = {
    "preview:": "preview:",
    "qwen:": "qwen:Qwen/Qwen3-TTS-12Hz-0.6B-Base",
    "ws://": "ws://localhost:9000",
    "wss://": "wss://tts.example.com",
    "unix:": "unix:/run/qwen3-tts.sock",
    "openai+http://": "openai+http://localhost:8000/v1",
    "openai+https://": "openai+https://api.example.com/v1",
}

OpenedT = TypeVar("OpenedT")

_REMOTE = ("ws://", "wss://", "unix:")
_OPENAI = ("openai+http://", "openai+https://")


async def open_synthesizer(
    address: str,
    *,
    limits: SessionLimits | None = None,
    qwen: QwenOptions | None = None,
    api_key: str | None = None,
) -> Synthesizer:
    """Open what `address` names; it is ready to speak when this returns.

    Args:
        address: one of the schemes in the module's docstring.
        limits: what a synthesizer in this process accepts; a server has its own.
        qwen: how Qwen3-TTS runs and speaks; for `qwen:` addresses alone.
        api_key: for a server that asks for one.

    Raises:
        InvalidRequestError: the address has none of the known schemes, names no checkpoint, the
            settings do not fit what it names, or a server refuses the key.
        BackendUnavailableError: what it names is not installed, or cannot be downloaded, loaded
            or reached.
        OverloadedError: a server is loading or stopping.
    """
    scheme = next((scheme for scheme in SCHEMES if address.startswith(scheme)), None)
    if scheme is None:
        known = ", ".join(SCHEMES.values())
        raise InvalidRequestError(f"unknown engine address {address[:80]!r}; examples: {known}")
    if scheme == "qwen:":
        opening = open_qwen(address.removeprefix(scheme), qwen or QwenOptions())
        backend = await _beside_grammars(opening)
        return LiveSynthesizer(
            backend, limits, engine=lambda: backend.metrics, voices=backend.library
        )
    if qwen is not None and (names := _changed(qwen)):
        raise InvalidRequestError(f"{names}: only qwen: engines have that; {address} has not")
    if scheme in _REMOTE:
        from qwen3_tts_live.client import RemoteSynthesizer  # needs aiohttp, which others do not

        return await RemoteSynthesizer.open(address, api_key=api_key)
    if scheme in _OPENAI:
        from qwen3_tts_live.backends.openai_speech import OpenAiSpeechBackend  # aiohttp, too

        server = await _beside_grammars(OpenAiSpeechBackend.open(address, api_key=api_key))
        return LiveSynthesizer(server, limits)
    return LiveSynthesizer(await _beside_grammars(PreviewBackend.open()), limits)


async def _beside_grammars(opening: Coroutine[Any, Any, OpenedT]) -> OpenedT:
    """Open a backend while the grammars of the text front end load in a thread.

    Loaded with the first segment, they would hold the event loop for half a second.
    """
    both: tuple[OpenedT, None] = await asyncio.gather(opening, asyncio.to_thread(warm_up))
    return both[0]


def _changed(qwen: QwenOptions) -> str:
    """Return the names of the settings that are not the defaults."""
    default = QwenOptions()
    names = (field.name for field in fields(qwen))
    return ", ".join(name for name in names if getattr(qwen, name) != getattr(default, name))
