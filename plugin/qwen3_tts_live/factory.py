"""The composition root: from an address to a synthesizer.

preview:              the embedded voice, in worker processes
qwen:PATH_OR_REPO_ID  Qwen3-TTS in this process
ws://HOST:PORT        a qwen3-tts-live server (also wss:// and unix:/path.sock)
openai+http://HOST/v1 any server with a streaming /v1/audio/speech (also openai+https://)
"""

from __future__ import annotations

from qwen3_tts_live.backends.preview import PreviewBackend
from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits
from qwen3_tts_live.synthesizer import Synthesizer

__all__ = ["SCHEMES", "SessionLimits", "open_synthesizer"]

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

_MISSING = {
    "qwen:": "the Qwen3-TTS engine",
    "ws://": "the WebSocket client",
    "wss://": "the WebSocket client",
    "unix:": "the WebSocket client",
    "openai+http://": "the /v1/audio/speech client",
    "openai+https://": "the /v1/audio/speech client",
}


async def open_synthesizer(address: str, *, limits: SessionLimits | None = None) -> Synthesizer:
    """Open what `address` names; it is ready to speak when this returns.

    Args:
        address: one of the schemes in the module's docstring.
        limits: what a synthesizer in this process accepts.

    Raises:
        InvalidRequestError: the address has none of the known schemes.
        BackendUnavailableError: what it names is not installed or not in this version.
    """
    scheme = next((scheme for scheme in SCHEMES if address.startswith(scheme)), None)
    if scheme is None:
        known = ", ".join(SCHEMES.values())
        raise InvalidRequestError(f"unknown engine address {address[:80]!r}; examples: {known}")
    if scheme in _MISSING:
        raise BackendUnavailableError(
            f"{_MISSING[scheme]} ({scheme}) is not in this version yet; use preview:"
        )
    return LiveSynthesizer(await PreviewBackend.open(), limits)
