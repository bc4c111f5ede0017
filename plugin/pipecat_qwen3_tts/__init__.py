"""Qwen3-TTS for Pipecat."""
