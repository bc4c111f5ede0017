"""The Qwen3 decoder stack that talker and code predictor share, on the official weights.

Pre-norm, grouped-query attention with RMS norms on each head of q and k before the rotation,
SwiGLU. How a layer sees other positions is the caller's: it passes `attend`. Knows nothing
about caches, tokens or sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from qwen3_tts_live.model.linear import MakeLinear

__all__ = ["Attend", "Rotation", "StackShape", "TransformerStack"]

#: (layer, q (N, heads, D), k (N, kv_heads, D), v like k) -> (N, heads x D). The N rows are new
#: positions of one speech or several: only who attends knows of which.
Attend: TypeAlias = Callable[[int, Tensor, Tensor, Tensor], Tensor]
#: cos and sin with the rotation's sign in it, (N, 1, D) each
Rotation: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackShape:
    """What the configuration of an official module says about its stack."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    rope_theta: float

    @classmethod
    def of(cls, config: Any) -> StackShape:
        """Read it from the configuration of an official talker or code predictor."""
        return cls(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            eps=config.rms_norm_eps,
            rope_theta=config.rope_theta,
        )


class TransformerStack:
    """All layers and the last norm.

    Args:
        official: the official model that holds `layers` and `norm`.
        shape: its shape.
        make_linear: what makes the linear layers.
        positions: how many positions the rotation's tables cover.
    """

    def __init__(
        self, official: Any, shape: StackShape, make_linear: MakeLinear, positions: int
    ) -> None:
        self.shape = shape
        self._layers = [_Layer(layer, shape, make_linear) for layer in official.layers]
        self._norm = official.norm.weight.detach()
        self._cos, self._sin = _rotation_tables(shape, positions, self._norm)

    def rotation(self, positions: Tensor) -> Rotation:
        """Return the rotation at `positions`, (N,) int64."""
        return self._cos.index_select(0, positions), self._sin.index_select(0, positions)

    def forward(self, x: Tensor, rotation: Rotation, attend: Attend) -> Tensor:
        """Return the normed hidden states of the rows `x`, (N, hidden)."""
        for index, layer in enumerate(self._layers):
            x = layer.forward(x, rotation, attend, index)
        return _rms_norm(x, self._norm, self.shape.eps)


class _Layer:
    def __init__(self, official: Any, shape: StackShape, make_linear: MakeLinear) -> None:
        attention, mlp = official.self_attn, official.mlp
        self._shape = shape
        self._qkv = make_linear([attention.q_proj, attention.k_proj, attention.v_proj])
        self._out = make_linear([attention.o_proj])
        self._gate_up = make_linear([mlp.gate_proj, mlp.up_proj])
        self._down = make_linear([mlp.down_proj])
        self._before_attention = official.input_layernorm.weight.detach()
        self._before_mlp = official.post_attention_layernorm.weight.detach()
        # One weight a head, (heads + kv_heads, D): q and k are normed and rotated in one go.
        q_norm = attention.q_norm.weight.detach().expand(shape.heads, -1)
        k_norm = attention.k_norm.weight.detach().expand(shape.kv_heads, -1)
        self._qk_norm = torch.cat([q_norm, k_norm])

    def forward(self, x: Tensor, rotation: Rotation, attend: Attend, index: int) -> Tensor:
        shape = self._shape
        normed = _rms_norm(x, self._before_attention, shape.eps)
        heads = self._qkv(normed).view(len(x), -1, shape.head_dim)  # (N, all heads, D)
        q_and_k, v = heads.split_with_sizes([shape.heads + shape.kv_heads, shape.kv_heads], 1)
        q_and_k = self._rotated(q_and_k, rotation)
        q, k = q_and_k.split_with_sizes([shape.heads, shape.kv_heads], 1)
        x = x + self._out(attend(index, q, k, v))
        normed = _rms_norm(x, self._before_mlp, shape.eps)
        gate, up = self._gate_up(normed).chunk(2, dim=-1)
        return x + self._down(functional.silu(gate) * up)

    def _rotated(self, x: Tensor, rotation: Rotation) -> Tensor:
        cos, sin = rotation
        x = _rms_norm(x, self._qk_norm, self._shape.eps)
        # Halves swapped; the minus of the first half is in `sin`.
        return x * cos + x.roll(self._shape.head_dim // 2, dims=-1) * sin


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Norm the last dimension of `x` in fp32, then scale it by `weight`."""
    if x.dtype != torch.float32:
        return functional.rms_norm(x, x.shape[-1:], eps=eps) * weight
    # torch has no kernel of its own for this on a CPU, and 112 of them a frame: what it composes
    # instead takes a fifth longer, in conversions from fp32 to fp32.
    scale = x.square().mean(dim=-1, keepdim=True).add_(eps).rsqrt_()
    return (x * scale).mul_(weight)


def _rotation_tables(shape: StackShape, positions: int, like: Tensor) -> Rotation:
    """Return (positions, 1, D) tables, made in fp32 whatever `like` is.

    The three position rows of the talker's M-RoPE are always equal, so it is plain RoPE.
    """
    half = torch.arange(0, shape.head_dim, 2, dtype=torch.int64).float() / shape.head_dim
    frequencies = 1.0 / (shape.rope_theta**half)
    angles = torch.arange(positions).float()[:, None] * frequencies
    cos = torch.cat([angles.cos(), angles.cos()], dim=-1)[:, None]
    sin = torch.cat([-angles.sin(), angles.sin()], dim=-1)[:, None]
    return cos.to(like), sin.to(like)
