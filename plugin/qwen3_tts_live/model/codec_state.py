"""What the codec remembers of each stream between calls, in tensors of fixed shape.

Three things: the past inputs of every convolution, side by side in one row a slot, so that a
call gathers and scatters all of them at once; the past keys and values of every attention
layer; and how many frames have gone through. Knows nothing about what the layers compute.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CodecState", "Past", "Windows"]


@dataclass(frozen=True, slots=True)
class Past:
    """Where one convolution keeps its last inputs within a row of `CodecState.past`."""

    start: int
    steps: int
    channels: int

    def of(self, rows: Tensor) -> Tensor:
        """Return the view (B, steps, channels) of rows (B, N)."""
        row = rows[:, self.start : self.start + self.steps * self.channels]
        return row.view(len(rows), self.steps, self.channels)


class CodecState:
    """The memory of a fixed number of slots. Slots start, and are reset to, silence.

    Attributes:
        past: (S, N) past inputs of convolutions.
        windows: for each attention layer (S, R, 2, heads, D), rings of keys and values: frame
            f lies at f modulo R.
        frames: (S,) int64, frames so far.
    """

    def __init__(
        self, slots: int, past: int, layers: int, ring: tuple[int, int, int], like: Tensor
    ) -> None:
        length, heads, head_dim = ring
        self.past = like.new_zeros(slots, past)
        self.windows = [like.new_zeros(slots, length, 2, heads, head_dim) for _ in range(layers)]
        self.frames = torch.zeros(slots, dtype=torch.int64, device=like.device)

    @property
    def bytes_per_slot(self) -> int:
        """How much memory a slot takes."""
        return sum(x[0].numel() * x.element_size() for x in (self.past, *self.windows, self.frames))

    def reset(self, slot: int) -> None:
        """Let the slot's next frame be the first of a stream."""
        for tensor in (self.past, *self.windows, self.frames):
            tensor[slot].zero_()


class Windows:
    """The keys and values that `n` new frames of some slots see, for one call.

    Args:
        state: the state, whose rings take in the new frames.
        rows: the slots, (B,) int64.
        n: new frames of each.
        window: how many frames a frame sees, itself included.
    """

    def __init__(self, state: CodecState, rows: Tensor, n: int, window: int) -> None:
        length = state.windows[0].shape[1]
        before = state.frames.index_select(0, rows)[:, None]  # (B, 1)
        self.frames = before + torch.arange(n, device=rows.device)  # (B, n), numbers of the new
        self._rings = state.windows
        self._rows = rows
        self._places = self.frames % length
        # What lies at each place once the new frames are in: the last frame whose number has
        # that remainder. Negative: nothing yet.
        last = self.frames[:, -1:]
        held = last - (last - torch.arange(length, device=rows.device)) % length  # (B, R)
        age = self.frames[:, :, None] - held[:, None]  # (B, n, R)
        unseen = (age < 0) | (age >= window) | (held < 0)[:, None]
        mask = torch.zeros_like(age, dtype=state.past.dtype).masked_fill_(unseen, float("-inf"))
        self.mask = mask[:, None]  # (B, 1, n, R), added to the scores

    def push(self, layer: int, keys_and_values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in (B, n, 2, heads, D); return all keys and all values, (B, heads, R, D) each."""
        ring = self._rings[layer]
        ring.index_put_((self._rows[:, None], self._places), keys_and_values)
        keys, values = ring.index_select(0, self._rows).unbind(2)
        return keys.transpose(1, 2), values.transpose(1, 2)
