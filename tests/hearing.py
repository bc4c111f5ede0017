"""What a listener makes of audio: how loud it is, how long, and whether it is this text.

Audio is int16 mono at 24 kHz. Knows nothing of where it comes from.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from qwen3_tts_live import SAMPLE_RATE, AudioChunk, open_synthesizer
from qwen3_tts_live.audio import PcmSamples

LOUD = 600  # of 32767; an Opus decoder's silence is below 10, speech between 2,000 and 20,000
TICK = SAMPLE_RATE // 100


async def until(condition: Callable[[], Any], what: str, limit: float = 60.0) -> None:
    """Wait for what others do.

    Raises:
        AssertionError: it did not come in `limit` seconds.
    """
    deadline = time.perf_counter() + limit
    while not condition():
        assert time.perf_counter() < deadline, f"waited {limit:g} s in vain until {what}"
        await asyncio.sleep(0.01)


async def spoken(text: str) -> PcmSamples:
    """Return what the embedded voice makes of a text."""
    async with await open_synthesizer("preview:") as synthesizer:
        session = await synthesizer.open_session()
        events = [event async for event in session.utter(text)]
    return np.concatenate([event.samples for event in events if isinstance(event, AudioChunk)])


def loudness(samples: PcmSamples) -> PcmSamples:
    """Return the peak of each 10 ms, from the first loud to the last."""
    peaks = np.abs(samples[: len(samples) // TICK * TICK].reshape(-1, TICK)).max(axis=1)
    loud = np.flatnonzero(peaks > LOUD)
    return np.asarray(peaks[loud[0] : loud[-1] + 1] if len(loud) else peaks[:0])


def loud_seconds(samples: PcmSamples) -> float:
    """Return how much of it is loud."""
    return float((loudness(samples) > LOUD).sum()) / 100


def likeness(one: PcmSamples, other: PcmSamples) -> float:
    """Return how well the loudness of both goes together in time: 1 for the same speech."""
    a, b = (peaks - peaks.mean() for peaks in (loudness(one), loudness(other)))
    return float(np.correlate(a, b, "full").max() / np.sqrt((a**2).sum() * (b**2).sum()))
