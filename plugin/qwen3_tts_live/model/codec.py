"""The 12 Hz codec's decoder as a stream: codes in, PCM out, state carried from call to call.

Exact: whatever the frames are cut into, and whoever shares a batch, the samples are those of the
official decoder on the whole sequence, up to rounding. All that a stream needs of its past is in
`CodecState`; nothing is decoded twice, so a frame costs the same at any time. Knows nothing
about requests, and of the official package only the shape of its decoder module.

A call reads nothing back to the host and has shapes that depend on its arguments' shapes alone,
so it can be captured as a CUDA graph. On a CPU, whoever calls it should have set
`torch.set_flush_denormal(True)` in its thread: on near-silence it takes 5 to 15 times as long
otherwise.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from qwen3_tts_live.model.codec_layers import Conv, ConvNeXt, Plan, ResidualUnit, SnakeConv, product
from qwen3_tts_live.model.codec_state import CodecState, Windows
from qwen3_tts_live.model.codec_transformer import CodecTransformer

__all__ = ["CodecDecoder"]

# Frames that go through at once; more are taken in pieces. Each makes every ring of keys and
# values longer by one, in every call; with the 71 past ones they are 80, which attention kernels
# like.
_FRAMES = 9
# More frames of all rows together leave a CPU's cache between one layer and the next; with fewer,
# the weights of the first layers are read too often.
_FRAMES_IN_CACHE = 16


class _Layer(Protocol):
    def __call__(self, x: Tensor, past: Tensor) -> Tensor: ...


class CodecDecoder:
    """The decoder on the official module's weights, which it copies into layouts of its own.

    Args:
        official: the official decoder module; not needed afterwards.
        dtype: of weights, activations and state. The waveform is always made in fp32.
    """

    def __init__(self, official: Any, dtype: torch.dtype = torch.float32) -> None:
        plan = Plan(dtype)
        self._codes = _Codebooks(official.quantizer, dtype)
        self._before = Conv(official.pre_conv, plan)
        self._transformer = CodecTransformer(official.pre_transformer, dtype)
        plan.reach = 0.0  # counted from here: all before sees every frame
        self._layers = _layers(official, plan)
        self.samples_per_frame = plan.rate
        # Frames after which the convolutions have forgotten all before; one more as a stride may
        # round up.
        self._reach = math.ceil(plan.reach) + 1
        self._past_size = plan.size
        self._dtype = dtype

    def init_state(self, slots: int, device: torch.device | str) -> CodecState:
        """Return the state of `slots` streams that have not begun."""
        shape = self._transformer
        ring = (shape.window - 1 + _FRAMES, shape.kv_heads, shape.head_dim)
        like = torch.empty(0, dtype=self._dtype, device=device)
        return CodecState(slots, self._past_size, len(shape.layers), ring, like)

    def decode(self, codes: Tensor, state: CodecState, rows: Tensor) -> Tensor:
        """Decode the next frames of some streams to 16-bit PCM.

        Args:
            codes: (B, 16, n) int64.
            state: what is advanced, in these rows only.
            rows: slots, (B,) int64, all different but for slots whose audio nobody hears.

        Returns:
            (B, n x 1920) int16: round(32767 x).
        """
        return self.decode_float(codes, state, rows).mul(32767).round().to(torch.int16)

    def decode_float(self, codes: Tensor, state: CodecState, rows: Tensor) -> Tensor:
        """As `decode`, to (B, n x 1920) floats in [-1, 1]."""
        waves = []
        for piece in torch.split(codes, _FRAMES, dim=2):
            past = state.past.index_select(0, rows)
            hidden = self._hidden(piece, past, state, rows)
            waves.append(self._wave(hidden, past))
            state.past.index_copy_(0, rows, past)
        return torch.cat(waves, dim=1).clamp_(-1, 1)

    def prime(self, codes: Tensor, state: CodecState, rows: Tensor) -> None:
        """As `decode`, without the audio: what a stream continues from, such as a reference.

        The transformer takes in every frame. The convolutions, which are nearly all the work,
        take in the last few: they have forgotten what was before.
        """
        past = state.past.index_select(0, rows)
        pieces = torch.split(codes, _FRAMES, dim=2)
        hidden = torch.cat([self._hidden(piece, past, state, rows) for piece in pieces], dim=1)
        self._wave(hidden[:, -self._reach :].contiguous(), past)
        state.past.index_copy_(0, rows, past)

    def _hidden(self, codes: Tensor, past: Tensor, state: CodecState, rows: Tensor) -> Tensor:
        """Return (B, n, C) at the rate of frames, and count them."""
        n = codes.shape[2]
        windows = Windows(state, rows, n, self._transformer.window)
        hidden = self._transformer(self._before(self._codes(codes), past), windows)
        state.frames.index_copy_(0, rows, windows.frames[:, -1] + 1)
        return hidden

    def _wave(self, x: Tensor, past: Tensor) -> Tensor:
        rows = len(x)
        if x.device.type == "cpu":
            rows = max(1, _FRAMES_IN_CACHE // x.shape[1])
        waves = []
        for wave, own in zip(torch.split(x, rows), torch.split(past, rows), strict=True):
            for layer in self._layers:
                wave = layer(wave, own)
            waves.append(wave.flatten(1))
        return torch.cat(waves)


def _layers(official: Any, plan: Plan) -> list[_Layer]:
    """Return all layers after the transformer."""
    layers: list[_Layer] = []
    for conv, mix in official.upsample:
        layers += [Conv(conv, plan), ConvNeXt(mix, plan)]
    first, *blocks, snake, last = official.decoder
    layers.append(Conv(first, plan))
    for block in blocks:
        act, conv, *units = block.block
        layers.append(SnakeConv(act, conv, plan))
        layers += [ResidualUnit(unit, plan) for unit in units]
    # A sample has 16 bits, a bf16 number 8.
    layers.append(SnakeConv(snake, last, plan, torch.promote_types(plan.dtype, torch.float32)))
    return layers


class _Codebooks:
    """The vectors of all books, and the two projections of their sums as one product."""

    def __init__(self, official: Any, dtype: torch.dtype) -> None:
        first, rest = official.rvq_first, official.rvq_rest
        books = [q._codebook for group in (first, rest) for q in group.vq.layers]
        # In fp32 whatever they were loaded as: a quotient of two roundings is a poor code.
        tables = [
            book.embedding_sum.detach().float()
            / book.cluster_usage.detach().float().clamp(min=book.epsilon)[:, None]
            for book in books
        ]
        self._table = torch.cat(tables)  # (books x entries, dim)
        sizes = torch.tensor([len(table) for table in tables], device=self._table.device)
        self._starts = (sizes.cumsum(0) - sizes)[:, None]  # (books, 1)
        self._semantic = len(first.vq.layers)
        weights = [group.output_proj.weight.detach()[:, :, 0] for group in (first, rest)]
        self._project = product(torch.cat(weights, dim=1).to(dtype), None)
        self._dtype = dtype

    def __call__(self, codes: Tensor) -> Tensor:
        """Return (B, n, C) for codes (B, books, n)."""
        batch, _, n = codes.shape
        vectors = functional.embedding(codes + self._starts, self._table)  # (B, books, n, dim)
        first, rest = vectors[:, : self._semantic].sum(1), vectors[:, self._semantic :].sum(1)
        both = torch.cat([first, rest], dim=-1).flatten(0, 1).to(self._dtype)
        return self._project(both).view(batch, n, -1)
