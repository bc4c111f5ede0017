"""The talker's keys and values: one fixed place a slot, and four ways to attend to them.

Prefill sees its own rows. A decode step sees each slot's rows as far as they go: one call a slot
where shapes may change from step to step, one masked call for all where they may not, as in a
captured graph, or flash-attn's. Knows nothing about requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from qwen3_tts_live.model.transformer import Attend, StackShape

__all__ = ["FlashAttention", "KVCache"]


class FlashAttention(Protocol):
    """What is used of `flash_attn.flash_attn_with_kvcache`."""

    def __call__(
        self,
        q: Tensor,  # (B, 1, heads, D)
        k_cache: Tensor,  # (S, L, kv_heads, D)
        v_cache: Tensor,
        *,
        cache_seqlens: Tensor,  # (B,) int32
        cache_batch_idx: Tensor,  # (B,) int32
    ) -> Tensor:
        """Return (B, 1, heads, D)."""
        ...


class KVCache:
    """Keys and values of all slots and layers.

    Args:
        shape: the talker's shape.
        slots: how many requests have a place.
        length: positions of each place.
        like: a tensor of the dtype and on the device to use.
    """

    def __init__(self, shape: StackShape, slots: int, length: int, like: Tensor) -> None:
        self.length = length
        self._shape = shape
        size = (2, shape.layers, slots, length, shape.kv_heads, shape.head_dim)
        keys, values = _zeros(size, like).unbind(0)
        self._keys, self._values = keys.unbind(0), values.unbind(0)  # a layer: (S, L, KV, D)

    def prefill(self, row: Tensor) -> Attend:
        """Attend within the prompt of one slot, (1,) int64, whose cache it fills."""

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            positions = torch.arange(len(k), device=row.device)
            self._write(layer, row.expand_as(positions), positions, k, v)
            q, k, v = (x.transpose(0, 1).unsqueeze(0) for x in (q, k, v))
            out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            return out[0].transpose(0, 1).flatten(1)

        return attend

    def step(self, slots: Sequence[int], rows: Tensor, positions: Sequence[int]) -> Attend:
        """Attend from one new position of each slot, slot by slot.

        A row's result does not depend on how long its neighbours are.

        Args:
            slots: as many as the batch has rows.
            rows: the same, (B,) int64.
            positions: of each row.
        """
        at = rows.new_tensor(positions)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self._write(layer, rows, at, k, v)
            grouped = self._grouped(q)
            outs = []
            for row, (slot, position) in enumerate(zip(slots, positions, strict=True)):
                k_row = keys[slot, : position + 1].transpose(0, 1).unsqueeze(0)
                v_row = values[slot, : position + 1].transpose(0, 1).unsqueeze(0)
                outs.append(
                    functional.scaled_dot_product_attention(grouped[row : row + 1], k_row, v_row)
                )
            return torch.cat(outs).view(len(q), -1)

        return attend

    def static_step(self, rows: Tensor, positions: Tensor, window: int) -> Attend:
        """Attend from one new position of each slot with shapes that do not depend on data.

        Args:
            rows: slots, (B,) int64.
            positions: of each row, (B,) int64, all below `window`.
            window: how many positions of the cache are looked at.
        """
        columns = torch.arange(window, device=rows.device)
        mask = (columns <= positions[:, None])[:, None, None, :]  # (B, 1, 1, window)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self._write(layer, rows, positions, k, v)
            out = functional.scaled_dot_product_attention(
                self._grouped(q),
                keys[:, :window].index_select(0, rows).transpose(1, 2),
                values[:, :window].index_select(0, rows).transpose(1, 2),
                attn_mask=mask,
            )
            return out.reshape(len(q), -1)

        return attend

    def flash_step(self, rows: Tensor, positions: Tensor, flash: FlashAttention) -> Attend:
        """As `static_step` with flash-attn, which reads each slot's keys where they are.

        Args:
            rows: slots, (B,) int64.
            positions: of each row, (B,) int64.
            flash: `flash_attn.flash_attn_with_kvcache`.
        """
        slots, lengths = rows.to(torch.int32), (positions + 1).to(torch.int32)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self._write(layer, rows, positions, k, v)
            out = flash(q.unsqueeze(1), keys, values, cache_seqlens=lengths, cache_batch_idx=slots)
            return out.reshape(len(q), -1)

        return attend

    def _write(
        self, layer: int, rows: Tensor, positions: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer], self._values[layer]
        keys.index_put_((rows, positions), k)
        values.index_put_((rows, positions), v)
        return keys, values

    def _grouped(self, q: Tensor) -> Tensor:
        """(B, heads, D) -> (B, kv_heads, heads of one group, D).

        With one query position the heads that share keys can stand where positions would:
        no key is repeated.
        """
        return q.view(len(q), self._shape.kv_heads, -1, self._shape.head_dim)


def _zeros(size: tuple[int, ...], like: Tensor) -> Tensor:
    if like.device.type != "cpu":
        return torch.zeros(size, dtype=like.dtype, device=like.device)
    # numpy's zeros are pages that the system hands out on first use: slots that are never used
    # cost nothing, and there is no NaN in them for a mask to miss.
    count = int(np.prod(size)) * like.element_size()
    return torch.from_numpy(np.zeros(count, np.uint8)).view(like.dtype).view(size)
