"""What the engine asks of a runner, and what it gets back.

Holds no tensor and imports no torch, so that the scheduler, and its tests, run anywhere. Ids are
plain integers, arrays are numpy. All methods of a runner are called from one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

TextLayout = Literal["prefill", "track"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the codes of one request are drawn. `greedy` ignores all but the repetition penalty."""

    greedy: bool = False
    temperature: float = 0.9
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.05
    predictor_temperature: float = 0.9
    predictor_top_k: int = 50
    predictor_top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """All that one request conditions the talker on.

    `text_ids` may be a first part of the text where `text_complete` is false; only ids that
    later text cannot change may be in it. `language_id` is None for Auto. A request has at most
    one of `speaker_id` (CustomVoice) and `speaker_embedding` (Base).
    """

    text_ids: Sequence[int]
    text_complete: bool
    layout: TextLayout
    language_id: int | None = None
    speaker_id: int | None = None
    speaker_embedding: NDArray[np.float32] | None = None  # (hidden,)
    instruct_ids: Sequence[int] = ()
    reference_text_ids: Sequence[int] = ()
    reference_codes: NDArray[np.int64] | None = None  # (frames, 16)


@dataclass(frozen=True, slots=True)
class Frame:
    """One codec frame of one slot, or the end of its speech (`codes` is None)."""

    slot: int
    codes: tuple[int, ...] | None  # 16 codes


class Runner(Protocol):
    """One model on one device with a fixed number of slots, each a row of static state."""

    slots: int

    def start(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """Reset the slot and prefill it; its first frame can then be decoded."""
        ...

    def append_text(self, slot: int, text_ids: Sequence[int], *, complete: bool) -> None:
        """Add text to a running request of layout `track`; `complete` says that no more comes."""
        ...

    def decode(self, slots: Sequence[int]) -> list[Frame]:
        """Decode one frame for each of `slots`, which each have the text that it needs."""
        ...

    def vocode(self, slots: Sequence[int], frames: int) -> list[NDArray[np.int16]]:
        """Turn the oldest `frames` decoded, not yet vocoded frames of each slot into PCM."""
        ...

    def release(self, slot: int) -> None:
        """Forget the slot's request at once."""
        ...
