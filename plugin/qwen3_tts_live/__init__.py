"""Streaming Qwen3-TTS for voice agents: live text in, 24 kHz PCM out, and a real interrupt."""

from importlib.metadata import version

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk
from qwen3_tts_live.errors import SpeechError
from qwen3_tts_live.factory import QwenOptions, open_synthesizer
from qwen3_tts_live.session import SessionLimits
from qwen3_tts_live.synthesizer import (
    Finished,
    InterruptReport,
    Mark,
    Session,
    SessionOptions,
    Synthesizer,
    Utterance,
)

__all__ = [
    "SAMPLE_RATE",
    "AudioChunk",
    "Finished",
    "InterruptReport",
    "Mark",
    "QwenOptions",
    "Session",
    "SessionLimits",
    "SessionOptions",
    "SpeechError",
    "Synthesizer",
    "Utterance",
    "open_synthesizer",
]

__version__ = version("qwen3-tts-live")
