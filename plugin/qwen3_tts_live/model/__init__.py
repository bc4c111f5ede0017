"""The tensor side of Qwen3-TTS. Knows nothing about event loops, sessions or HTTP."""
