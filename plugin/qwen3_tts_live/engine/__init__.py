"""The host side of Qwen3-TTS: who runs next, and where the audio goes.

    requests.py   what is asked for, and what comes back
    guards.py     what ends a speech that does not end by itself
    scheduler.py  which slots start, decode and vocode in the next step; no tensors, no threads
    core.py       one step: plan, run, deliver; on one thread
    engine.py     that thread, and its asyncio face
    live_text.py  which tokens of a text that still arrives can no longer change
    metrics.py    what it did

Everything here runs against `model.contract.Runner` and imports no torch.
"""
