"""The codec's transformer over frames, each of which sees the last 72.

Keys are kept as they were rotated, at the frame's number. Only differences of numbers matter to
the result, so nothing has to be rotated again or rebased while a stream runs: the numbers are
integers, and the angles are made of them in double precision, so that they are as exact after
a day as at the start. Knows nothing about slots beyond `Windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from qwen3_tts_live.model.codec_layers import Product, product, scaled
from qwen3_tts_live.model.codec_state import Windows

__all__ = ["CodecTransformer"]


class CodecTransformer:
    """All layers with their projections in and out.

    Args:
        official: the official decoder's `pre_transformer`.
        dtype: of weights and activations.
    """

    def __init__(self, official: Any, dtype: torch.dtype) -> None:
        first = official.layers[0].self_attn
        self.window: int = official.config.sliding_window
        self.kv_heads: int = official.config.num_key_value_heads
        self.head_dim: int = first.head_dim
        self.layers = [_Layer(layer, dtype) for layer in official.layers]
        self._into = _projection([official.input_proj], dtype)
        self._out_of = _projection([official.output_proj], dtype)
        self._norm = official.norm.weight.detach().to(dtype)
        self._eps: float = official.norm.variance_epsilon
        self._dtype = dtype
        half = torch.arange(0, self.head_dim, 2, device=self._norm.device).float() / self.head_dim
        # As fp32 numbers, as the official ones are: then the angles differ by rounding only.
        self._frequencies = (1.0 / official.config.rope_theta**half).double()

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return what the new frames `x` (B, n, C) become."""
        batch, n, _ = x.shape
        x = self._into(x.flatten(0, 1))
        rotation = self._rotation(windows.frames)
        for index, layer in enumerate(self.layers):
            x = layer(x, rotation, windows, index)
        x = functional.rms_norm(x, x.shape[-1:], self._norm, self._eps)
        return self._out_of(x).view(batch, n, -1)

    def _rotation(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return cos, and sin with the rotation's sign in it: (B x n, 1, D) each."""
        angles = frames.flatten()[:, None, None] * self._frequencies
        cos, sin = angles.cos(), angles.sin()
        cos, sin = torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
        return cos.to(self._dtype), sin.to(self._dtype)


class _Layer:
    def __init__(self, official: Any, dtype: torch.dtype) -> None:
        attention, mlp = official.self_attn, official.mlp
        self._head_dim = attention.head_dim
        self._kv_heads = len(attention.k_proj.weight) // attention.head_dim
        self._before_attention = official.input_layernorm.weight.detach().to(dtype)
        self._before_mlp = official.post_attention_layernorm.weight.detach().to(dtype)
        self._eps: float = official.input_layernorm.variance_epsilon
        self._qkv = _projection([attention.q_proj, attention.k_proj, attention.v_proj], dtype)
        self._out = _projection([attention.o_proj], dtype, official.self_attn_layer_scale.scale)
        self._gate_up = _projection([mlp.gate_proj, mlp.up_proj], dtype)
        self._down = _projection([mlp.down_proj], dtype, official.mlp_layer_scale.scale)

    def __call__(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], windows: Windows, index: int
    ) -> Tensor:
        batch, n = windows.frames.shape
        normed = functional.rms_norm(x, x.shape[-1:], self._before_attention, self._eps)
        heads = self._qkv(normed).view(len(x), -1, self._head_dim)
        q_and_k, v = heads.tensor_split([heads.shape[1] - self._kv_heads], dim=1)
        q_and_k = _rotated(q_and_k, rotation)
        q, k = q_and_k.tensor_split([q_and_k.shape[1] - self._kv_heads], dim=1)
        new = torch.stack([k, v], dim=1)  # (B x n, 2, heads, D)
        keys, values = windows.push(index, new.view(batch, n, *new.shape[1:]))
        seen = functional.scaled_dot_product_attention(
            q.reshape(batch, n, -1, self._head_dim).transpose(1, 2),
            keys,
            values,
            attn_mask=windows.mask,
            enable_gqa=q.shape[1] != self._kv_heads,
        )
        x = x + self._out(seen.transpose(1, 2).reshape(len(x), -1))
        normed = functional.rms_norm(x, x.shape[-1:], self._before_mlp, self._eps)
        gate, up = self._gate_up(normed).chunk(2, dim=-1)
        return x + self._down(functional.silu(gate).mul_(up))


def _projection(
    layers: Sequence[nn.Linear], dtype: torch.dtype, scale: Tensor | None = None
) -> Product:
    """Return linear layers with one input as one product, its outputs scaled."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    maybe: list[Tensor | None] = [layer.bias for layer in layers]
    biases = [bias.detach() for bias in maybe if bias is not None]
    bias = torch.cat(biases) if biases else None
    return product(*scaled(weight, bias, scale, dtype))


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin
