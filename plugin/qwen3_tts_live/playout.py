"""A player in simulation, which says whether audio came in time.

For whoever measures: it plays nothing, and knows nothing about where the audio comes from.
"""

from __future__ import annotations

from qwen3_tts_live.audio import SAMPLE_RATE

__all__ = ["Playout"]


class Playout:
    """Begins to play with the first audio; waits, and counts it, when the next is not there.

    Attributes:
        started: when the first audio came; late audio moves it. None before.
        samples: how many have come.
        underruns: how often audio was not there when it was due.
        longest: seconds; the longest of them.
    """

    def __init__(self) -> None:
        self.started: float | None = None
        self.samples = self.underruns = 0
        self.longest = 0.0

    @property
    def seconds(self) -> float:
        """Duration of what has come."""
        return self.samples / SAMPLE_RATE

    @property
    def due(self) -> float:
        """When the sample behind the last that came is to be played; 0 before the first."""
        return 0.0 if self.started is None else self.started + self.seconds

    def came(self, samples: int, at: float) -> None:
        """Take audio that came at the time `at`, in seconds of any clock that does not jump."""
        if self.started is None:
            self.started = at
        elif (late := at - self.due) > 0:
            self.underruns += 1
            self.longest = max(self.longest, late)
            self.started += late
        self.samples += samples
