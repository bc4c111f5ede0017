"""The talker: from the rows of a speech to the next frame's hidden state.

Owns the official talker's weights as our layers, its embeddings and its head. Knows nothing
about prompts, slots or sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from qwen3_tts_live.model.linear import MakeLinear, float_linear
from qwen3_tts_live.model.transfer import to_device
from qwen3_tts_live.model.transformer import Attend, StackShape, TransformerStack

__all__ = ["Talker"]


class Talker:
    """The talker on the official weights.

    Args:
        official: a `Qwen3TTSTalkerForConditionalGeneration`.
        make_linear: what makes the linear layers of the stack. Head and text projection stay as
            loaded: they are small, and an error there moves every code.
        positions: the longest speech, in rows.
    """

    def __init__(self, official: Any, make_linear: MakeLinear, positions: int) -> None:
        self.shape = StackShape.of(official.config)
        self.eos_id: int = official.config.codec_eos_token_id
        self.codec_embedding: Tensor = official.model.codec_embedding.weight.detach()
        self._text_embedding: Tensor = official.model.text_embedding.weight.detach()
        self._text_in = float_linear([official.text_projection.linear_fc1])
        self._text_out = float_linear([official.text_projection.linear_fc2])
        self._head = float_linear([official.codec_head])
        self._stack = TransformerStack(official.model, self.shape, make_linear, positions)
        ids = torch.arange(self.vocabulary, device=self.codec_embedding.device)
        #: (V,) bool: the end of speech, and the control ids, which are never spoken.
        self.ends = ids == self.eos_id
        self.never = (ids >= self.vocabulary - 1024) & ~self.ends

    @property
    def vocabulary(self) -> int:
        """How many codec ids there are."""
        return len(self.codec_embedding)

    def text_rows(self, ids: Sequence[int]) -> Tensor:
        """Return the text track of token ids, (n, hidden)."""
        tokens = to_device(ids, self._text_embedding.device)
        embedded = functional.embedding(tokens, self._text_embedding)
        return self._text_out(functional.silu(self._text_in(embedded)))

    def codec_rows(self, ids: Sequence[int]) -> Tensor:
        """Return the codec track of codec ids, (n, hidden)."""
        tokens = to_device(ids, self.codec_embedding.device)
        return functional.embedding(tokens, self.codec_embedding)

    def prefill(self, rows: Tensor, attend: Attend) -> Tensor:
        """Return the hidden states after each of `rows`, (T, hidden)."""
        rotation = self._stack.rotation(torch.arange(len(rows), device=rows.device))
        return self._stack.forward(rows, rotation, attend)

    def step(self, x: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Return the hidden states after one more row of each speech.

        Args:
            x: (B, hidden).
            positions: of those rows, (B,) int64.
            attend: sees each speech's earlier rows.

        Returns:
            (B, hidden).
        """
        return self._stack.forward(x, self._stack.rotation(positions), attend)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of codebook 0, (B, V) float32."""
        return self._head(hidden).float()
