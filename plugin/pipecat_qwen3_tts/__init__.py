"""Qwen3-TTS for Pipecat.

tts = Qwen3TTSService(engine="ws://localhost:9000")
pipeline = Pipeline([transport.input(), stt, user, llm, tts, transport.output(), assistant])
"""

from pipecat_qwen3_tts.http import Qwen3HttpTTSService
from pipecat_qwen3_tts.service import Qwen3TTSService
from pipecat_qwen3_tts.settings import Qwen3TTSSettings

__all__ = ["Qwen3HttpTTSService", "Qwen3TTSService", "Qwen3TTSSettings"]
