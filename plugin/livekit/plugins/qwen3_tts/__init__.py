"""Qwen3-TTS for LiveKit Agents."""
