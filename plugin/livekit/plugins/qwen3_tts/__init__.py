"""Qwen3-TTS for LiveKit Agents: live text in, words with their times out, and a real interrupt.

    from livekit.plugins import qwen3_tts

    session = AgentSession(tts=qwen3_tts.TTS(engine="ws://localhost:9000"), ...)

Importing this starts nothing: no thread, no event loop, no model.
"""

import logging
from importlib.metadata import version

from livekit.agents import Plugin

from .engine import Engine
from .sidecar import ensure_server
from .tts import TTS, ChunkedStream, InterruptedMetrics, SynthesizeStream

__all__ = [
    "TTS",
    "ChunkedStream",
    "Engine",
    "InterruptedMetrics",
    "SynthesizeStream",
    "ensure_server",
]

__version__ = version("qwen3-tts-live")


class _Qwen3TTSPlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(
            __name__, __version__, __package__ or __name__, logging.getLogger(__name__)
        )


Plugin.register_plugin(_Qwen3TTSPlugin())
