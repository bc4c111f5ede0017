"""From logits to codes: penalties and filters as transformers applies them, draws that repeat.

A draw is a function of the logits, the request's seed and the place in its speech (frame and
codebook): who shares the batch, and on which device, changes nothing. Shapes depend on no data,
so all of it can be captured in a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qwen3_tts_live.model.contract import Sampling

__all__ = ["GREEDY", "NARROW", "DrawSettings", "SamplingTable", "draw", "penalized", "uniform"]

#: A width that says: every row takes the likeliest.
GREEDY = 1
#: Sampling from 64 sorted candidates covers top-k 50 and its ties; sorting the whole vocabulary
#: for each of 16 draws a frame would cost more than the layers.
NARROW = 64
_TIES = 14  # candidates that may tie with the k-th before the narrow list is too short

_MASK_30, _MASK_27, _MASK_31 = (1 << 34) - 1, (1 << 37) - 1, (1 << 33) - 1


@dataclass(frozen=True, slots=True)
class DrawSettings:
    """How each row draws, (B,) each."""

    greedy: Tensor  # bool
    temperature: Tensor  # float32
    top_k: Tensor  # int64, 0 for all
    top_p: Tensor  # float32

    def rows(self, rows: Tensor) -> DrawSettings:
        """Return the settings of some rows."""
        return DrawSettings(
            self.greedy[rows], self.temperature[rows], self.top_k[rows], self.top_p[rows]
        )


class SamplingTable:
    """The sampling settings of every slot, on the device.

    Args:
        slots: how many.
        device: where.
    """

    def __init__(self, slots: int, device: torch.device) -> None:
        def column(dtype: torch.dtype) -> Tensor:
            return torch.zeros(slots, dtype=dtype, device=device)

        self.talker = DrawSettings(*(column(dtype) for dtype in _DRAW_TYPES))
        self.predictor = DrawSettings(*(column(dtype) for dtype in _DRAW_TYPES))
        self.penalty = column(torch.float32)
        self.seed = column(torch.int64)

    def set(self, slot: int, sampling: Sampling) -> None:
        """Set one slot's."""
        talker = (sampling.greedy, sampling.temperature, sampling.top_k, sampling.top_p)
        predictor = (
            sampling.greedy,
            sampling.predictor_temperature,
            sampling.predictor_top_k,
            sampling.predictor_top_p,
        )
        for settings, values in ((self.talker, talker), (self.predictor, predictor)):
            settings.greedy[slot], settings.temperature[slot] = values[0], values[1]
            settings.top_k[slot], settings.top_p[slot] = values[2], values[3]
        self.penalty[slot] = sampling.repetition_penalty
        self.seed[slot] = sampling.seed

    @staticmethod
    def width(samplings: Sequence[Sampling], vocabulary: int) -> int:
        """Return how many sorted candidates a batch of these settings has to look at."""
        drawn = [sampling for sampling in samplings if not sampling.greedy]
        if not drawn:
            return GREEDY
        most = NARROW - _TIES
        tops = [top for s in drawn for top in (s.top_k, s.predictor_top_k)]
        return NARROW if all(0 < top <= most for top in tops) else vocabulary


_DRAW_TYPES = (torch.bool, torch.float32, torch.int64, torch.float32)


def draw(logits: Tensor, settings: DrawSettings, noise: Tensor, width: int) -> Tensor:
    """Draw one id a row.

    Temperature, then top-k (ties with the k-th stay), then top-p.

    Args:
        logits: (B, V) float32.
        settings: of each row.
        noise: (B,) uniform in [0, 1).
        width: candidates to look at: `GREEDY`, or at least any row's top-k and its ties.

    Returns:
        (B,) int64.
    """
    likeliest = logits.argmax(dim=-1)
    if width == GREEDY:
        return likeliest
    values, ids = logits.topk(min(width, logits.shape[-1]), dim=-1)  # (B, W), falling
    values = values / settings.temperature[:, None]
    last = (settings.top_k - 1).clamp(0, values.shape[-1] - 1)
    threshold = values.gather(1, last[:, None])
    kept = (values >= threshold) | (settings.top_k == 0)[:, None]
    probabilities = values.masked_fill(~kept, -torch.inf).softmax(dim=-1)
    sums = probabilities.cumsum(dim=-1)
    # A candidate stays while those before it have less than top-p together.
    kept &= (sums - probabilities) < settings.top_p[:, None]
    kept[:, 0] = True
    count = kept.sum(dim=-1, keepdim=True)
    total = sums.gather(1, count - 1)
    place = (sums <= noise[:, None] * total).sum(dim=-1, keepdim=True).minimum(count - 1)
    return torch.where(settings.greedy, likeliest, ids.gather(1, place)[:, 0])


def penalized(logits: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Return `logits` (B, V) with the ids in `seen` (B, V) bool made less likely."""
    scale = penalty[:, None]
    return torch.where(seen, torch.where(logits < 0, logits * scale, logits / scale), logits)


def uniform(seed: Tensor, frame: Tensor, draws: int) -> Tensor:
    """Return (B, draws) float32 in [0, 1), a function of the seed and the place alone.

    A counter-based generator: the finalizer of SplitMix64 on 64-bit integers, so that every
    device gives the same numbers.

    Args:
        seed: (B,) int64.
        frame: (B,) int64.
        draws: numbers a frame.
    """
    place = frame[:, None] * draws + torch.arange(draws, device=seed.device)
    bits = _mixed(_mixed(seed[:, None]) + (place + 1) * -7046029254386353131)
    return ((bits >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24


def _mixed(bits: Tensor) -> Tensor:
    # An arithmetic shift copies the sign; the mask makes it a logical one.
    bits = (bits ^ ((bits >> 30) & _MASK_30)) * -4658895280553007687
    bits = (bits ^ ((bits >> 27) & _MASK_27)) * -7723592293110705685
    return bits ^ ((bits >> 31) & _MASK_31)
