"""PCM16 mono at 24 kHz: the one audio format inside this library, and the ways into it.

Knows nothing about text, sessions or the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

#: Samples a second of everything that this library delivers: Qwen3-TTS's native rate.
SAMPLE_RATE = 24_000

PcmSamples = NDArray[np.int16]

# 50 dB below full scale: above the noise of a silent start of Qwen3-TTS, below any speech sound.
_AUDIBLE = 100


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Audio of one utterance.

    `samples` is int16 mono at 24 kHz; `offset` is the index of its first sample in the
    utterance. Chunks of an utterance join without a gap or an overlap.
    """

    utterance_id: str
    offset: int
    samples: PcmSamples  # (n,)

    @property
    def data(self) -> bytes:
        """The samples as little-endian 16-bit PCM; always an even number of bytes."""
        return self.samples.astype("<i2", copy=False).tobytes()

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / SAMPLE_RATE


def first_audible(samples: PcmSamples) -> int | None:
    """Return the index of the first of `samples`, (n,), that can be heard: above -50 dBFS."""
    heard = (samples > _AUDIBLE) | (samples < -_AUDIBLE)
    at = int(heard.argmax()) if len(samples) else 0
    return at if len(samples) and heard[at] else None


def to_pcm16(samples: NDArray[np.float32]) -> PcmSamples:
    """Convert float samples in [-1, 1] to int16 by round(32767 x); louder ones are clipped.

    The rule is sample-wise, so the result does not depend on how a stream is cut.
    """
    scaled: NDArray[np.float32] = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0)
    return scaled.astype(np.int16)


class Resampler:
    """Resamples a stream of int16 mono chunks, carrying its filter state from one to the next.

    Args:
        source_rate: samples a second of the input.
        target_rate: samples a second of the output.
    """

    def __init__(self, source_rate: int, target_rate: int = SAMPLE_RATE) -> None:
        self._stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="int16")

    def push(self, samples: PcmSamples, *, last: bool = False) -> PcmSamples:
        """Return what can be computed so far; `last` flushes the filter's tail."""
        out = self._stream.resample_chunk(samples, last=last)
        return np.asarray(out).astype(np.int16, copy=False)
