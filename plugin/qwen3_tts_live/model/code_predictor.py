"""The code predictor: from a hidden state to the 16 codes of a frame, and the talker's next input.

Its cache lives for one frame, so a frame is a function: no state, shapes that depend on the
batch alone. Knows nothing about slots or text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from qwen3_tts_live.model.linear import Linear, MakeLinear, float_linear, joined
from qwen3_tts_live.model.sampling import DrawSettings, draw
from qwen3_tts_live.model.transformer import StackShape, TransformerStack

__all__ = ["CodePredictor"]


class CodePredictor:
    """The code predictor on the official weights.

    Args:
        official: the talker's `code_predictor`.
        first_embedding: the talker's codec embedding, (V, talker hidden).
        make_linear: what makes the linear layers of the stack; the heads stay as loaded.
    """

    def __init__(self, official: Any, first_embedding: Tensor, make_linear: MakeLinear) -> None:
        self.shape = StackShape.of(official.config)
        self.groups: int = official.config.num_code_groups
        self._stack = TransformerStack(official.model, self.shape, make_linear, self.groups)
        self._heads = [float_linear([head]) for head in official.lm_head]
        self._first = first_embedding
        # (15 x 2048, talker hidden): one look-up for all codes of a frame.
        self._embedding = joined([e.weight for e in official.model.codec_embedding])
        self._offsets = torch.arange(self.groups - 1, device=first_embedding.device) * len(
            official.model.codec_embedding[0].weight
        )
        self._project = _projection(official.small_to_mtp_projection)
        # The projection of what comes from a table is a table too: 14 of 15 passes do without it.
        self._first_projected = self._project(self._first)
        self._embedding_projected = self._project(self._embedding)
        positions = torch.arange(self.groups, device=first_embedding.device)
        self._cos, self._sin = self._stack.rotation(positions)

    def frame(
        self, hidden: Tensor, first: Tensor, settings: DrawSettings, noise: Tensor, width: int
    ) -> tuple[Tensor, Tensor]:
        """Return the rest of a frame.

        Args:
            hidden: the talker's hidden states, (B, talker hidden).
            first: codebook 0, (B,) int64.
            settings: how to draw.
            noise: (B, 15) uniform.
            width: see `sampling.draw`.

        Returns:
            Codes (B, 16) int64, and the frame as the talker takes it in, (B, talker hidden).
        """
        batch = len(hidden)
        attend = _FrameCache(self.shape, batch, self.groups, 2, hidden)
        pair = torch.stack([self._project(hidden), self._first_projected[first]], dim=1)
        x = pair.flatten(0, 1)  # (B x 2, width): the only pass over two positions
        cos, sin = self._cos[:2].repeat(batch, 1, 1), self._sin[:2].repeat(batch, 1, 1)
        codes = [first]
        for book in range(self.groups - 1):
            states = self._stack.forward(x, (cos, sin), attend)
            attend.advance()
            if book == 0:
                states = states.view(batch, 2, -1)[:, 1]
            code = draw(self._heads[book](states).float(), settings, noise[:, book], width)
            codes.append(code)
            if book < self.groups - 2:
                x = functional.embedding(code + self._offsets[book], self._embedding_projected)
                cos, sin = self._cos[book + 2], self._sin[book + 2]
        frame = torch.stack(codes, dim=1)
        return frame, self.embedded(frame)

    def likeliest(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Return the likeliest code at each place of given frames, (B, 15), in one pass.

        What a code is compared with depends on the codes before it, not on what was drawn: how
        good another precision is can only be told so.

        Args:
            hidden: the talker's hidden states, (B, talker hidden).
            codes: (B, 16) int64.
        """
        batch = len(hidden)
        begin = torch.stack([self._project(hidden), self._first_projected[codes[:, 0]]], dim=1)
        rest = functional.embedding(codes[:, 1:-1] + self._offsets[:-1], self._embedding_projected)
        x = torch.cat([begin, rest], dim=1).flatten(0, 1)
        rotation = self._cos.repeat(batch, 1, 1), self._sin.repeat(batch, 1, 1)
        attend = _FrameCache(self.shape, batch, self.groups, self.groups, hidden)
        states = self._stack.forward(x, rotation, attend).view(batch, self.groups, -1)
        books = [head(states[:, book + 1]).argmax(-1) for book, head in enumerate(self._heads)]
        return torch.stack(books, dim=1)

    def embedded(self, codes: Tensor) -> Tensor:
        """Return frames (B, 16) as the talker takes them in, (B, talker hidden).

        One sum over all 16 rows, as the official code has it: in bfloat16 the order matters.
        """
        first = functional.embedding(codes[:, :1], self._first)
        rest = functional.embedding(codes[:, 1:] + self._offsets, self._embedding)
        return torch.cat([first, rest], dim=1).sum(dim=1)


class _FrameCache:
    """Keys and values of one frame's at most 16 positions. Callable as `Attend`."""

    def __init__(
        self, shape: StackShape, batch: int, positions: int, first: int, like: Tensor
    ) -> None:
        size = (2, shape.layers, batch, shape.kv_heads, positions, shape.head_dim)
        keys, values = like.new_empty(size).unbind(0)
        self._keys, self._values = keys.unbind(0), values.unbind(0)
        self._shape = shape
        self._batch = batch
        self._seen = first  # positions, those of the pass that runs included

    def advance(self) -> None:
        """Say that a pass is done in all layers; the next one is over one position."""
        self._seen += 1

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        count = len(q) // self._batch
        keys, values = (
            self._keys[layer][:, :, : self._seen],
            self._values[layer][:, :, : self._seen],
        )
        heads = (self._batch, count, self._shape.kv_heads, self._shape.head_dim)
        keys[:, :, -count:] = k.view(heads).transpose(1, 2)
        values[:, :, -count:] = v.view(heads).transpose(1, 2)
        if count == 1:  # heads that share keys stand where positions would
            grouped = q.view(self._batch, self._shape.kv_heads, -1, self._shape.head_dim)
            out = functional.scaled_dot_product_attention(grouped, keys, values)
            return out.reshape(len(q), -1)
        pairs = q.view(self._batch, count, -1, self._shape.head_dim).transpose(1, 2)
        out = functional.scaled_dot_product_attention(
            pairs, keys, values, is_causal=True, enable_gqa=True
        )
        return out.transpose(1, 2).reshape(len(q), -1)


def _projection(official: Any) -> Linear:
    """Return the projection to the predictor's width; the identity where the widths are equal."""
    return float_linear([official]) if hasattr(official, "weight") else official
