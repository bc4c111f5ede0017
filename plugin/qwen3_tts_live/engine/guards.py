"""What ends a speech that does not end by itself.

In a few clips of a thousand the model misses its end and goes on in near-silence or in a loop.
The rules here look at counts and at codebook 0 only. They know nothing about audio: the
scheduler ends the speech with the frame that fired, and the core fades that frame out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from qwen3_tts_live.model.contract import Frame

__all__ = ["Cut", "Guard", "GuardLimits"]

#: Which guard ended a speech.
Cut: TypeAlias = Literal["max_frames", "text_budget", "loop"]

# Speech repeats one id of codebook 0 at most 3 times, a runaway 10 to 39 times while the other
# 15 books keep changing. Less than 10 has cut good speech, and so has 10 where the text was
# still running; 20 in a row has only been seen in runaways.
_LOOP_FRAMES = 10
_LOOP_FRAMES_ANYWHERE = 20
_LOOP_FRAMES_A_TOKEN = 2.0  # slow speech needs 3 frames a token, so below 2 it cannot be over


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """How long one speech may be, in frames of 80 ms.

    Attributes:
        max_frames: whatever the text.
        frames_a_token: for each text token. Speech takes 2 to 4; Base voices clone a pace and
            need 12 at most, a described or instructed voice may be told to crawl: 40.
        least_frames: what the text's budget is at least, as "Hmm." may be drawn out.
        loop: whether a run of equal ids in codebook 0 ends the speech.
    """

    max_frames: int = 1024
    frames_a_token: int = 12
    least_frames: int = 192
    loop: bool = True

    def __post_init__(self) -> None:
        if min(self.max_frames, self.frames_a_token, self.least_frames) < 1:
            raise ValueError("every limit of a speech is at least 1 frame")


class Guard:
    """Watches the frames of one speech."""

    def __init__(self, limits: GuardLimits) -> None:
        self._limits = limits
        self._frames = 0
        self._last: int | None = None
        self._run = 0

    def check(self, frame: Frame, *, text_tokens: int, text_complete: bool) -> Cut | None:
        """Count `frame`; return the guard that ends the speech with it, if one does."""
        assert frame.codes is not None
        self._frames += 1
        self._run = self._run + 1 if frame.codes[0] == self._last else 1
        self._last = frame.codes[0]
        if self._limits.loop and self._loops(text_tokens, text_complete):
            return "loop"
        if self._frames >= self._limits.max_frames:
            return "max_frames"
        budget = max(self._limits.least_frames, self._limits.frames_a_token * text_tokens)
        return "text_budget" if text_complete and self._frames >= budget else None

    def _loops(self, text_tokens: int, text_complete: bool) -> bool:
        if self._run >= _LOOP_FRAMES_ANYWHERE:
            return True
        said = text_complete and self._frames >= _LOOP_FRAMES_A_TOKEN * text_tokens
        return said and self._run >= _LOOP_FRAMES
