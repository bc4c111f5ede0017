"""The three moves of Qwen3-TTS on the state of its slots: prefill, talk, predict.

Each move takes the slots it works on as a tensor, and reads and writes their state in place;
with a fitting `attend` its shapes depend on no data, so a graph can hold it. Knows nothing about
requests, text that arrives, or when to do what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qwen3_tts_live.model.code_predictor import CodePredictor
from qwen3_tts_live.model.linear import Quantize, linear_maker
from qwen3_tts_live.model.prompt import PromptLayout
from qwen3_tts_live.model.sampling import SamplingTable, draw, penalized, uniform
from qwen3_tts_live.model.talker import Talker
from qwen3_tts_live.model.transformer import Attend

__all__ = ["SlotState", "SpeechModel"]

# The official code asks for at least two ids before the end.
_LEAST_IDS = 2


@dataclass(frozen=True, slots=True)
class SlotState:
    """What talker and predictor remember of each of S slots, besides keys and values."""

    hidden: Tensor  # (S, h) after the last row
    frame: Tensor  # (S, h) the last frame, as the talker will take it in
    position: Tensor  # (S,) int64: rows the talker has seen
    drawn: Tensor  # (S,) int64: ids of codebook 0 drawn so far
    seen: Tensor  # (S, V) bool: which ids those are
    sampling: SamplingTable

    @classmethod
    def empty(cls, slots: int, hidden: int, vocabulary: int, like: Tensor) -> SlotState:
        """Return the state of `slots` slots; `like` has the dtype and the device."""
        counts = torch.zeros(2, slots, dtype=torch.int64, device=like.device)
        return cls(
            hidden=like.new_zeros(slots, hidden),
            frame=like.new_zeros(slots, hidden),
            position=counts[0],
            drawn=counts[1],
            seen=torch.zeros(slots, vocabulary, dtype=torch.bool, device=like.device),
            sampling=SamplingTable(slots, like.device),
        )


class SpeechModel:
    """Talker and code predictor of one checkpoint.

    Args:
        official: the official talker; our modules share its weights.
        config: the official configuration.
        role_ids: the tokens of `<|im_start|>assistant\\n`.
        quantize: what the linear layers of the stacks are made of.
        max_length: rows of the longest speech, prompt and frames together.
    """

    def __init__(
        self,
        official: Any,
        config: Any,
        role_ids: list[int],
        *,
        quantize: Quantize = "none",
        max_length: int = 2048,
    ) -> None:
        make = linear_maker(quantize)
        self.max_length = max_length
        self.talker = Talker(official, make, max_length)
        self.predictor = CodePredictor(official.code_predictor, self.talker.codec_embedding, make)
        self.layout = PromptLayout(config, self.talker, self.predictor, role_ids)

    def empty_state(self, slots: int) -> SlotState:
        """Return the state of `slots` slots."""
        talker = self.talker
        return SlotState.empty(
            slots, talker.shape.hidden, talker.vocabulary, talker.codec_embedding
        )

    def prefill(
        self, state: SlotState, row: Tensor, rows: Tensor, last: Tensor, attend: Attend
    ) -> None:
        """Take in the prompt of one slot, and forget what the slot knew.

        Args:
            state: of all slots.
            row: the slot, (1,) int64.
            rows: the prompt, (T, h); what stands behind `last` is padding.
            last: the prompt's last row, (1,) int64.
            attend: see `KVCache.prefill`.
        """
        hidden = self.talker.prefill(rows, attend)
        state.hidden.index_copy_(0, row, hidden.index_select(0, last))
        state.position.index_copy_(0, row, last + 1)
        state.drawn.index_fill_(0, row, 0)
        state.seen.index_fill_(0, row, False)

    def talk(self, state: SlotState, rows: Tensor, text: Tensor, attend: Attend) -> None:
        """Take in the last frame of each slot in `rows` (B,) with its row of text (B, h)."""
        x = state.frame.index_select(0, rows) + text
        positions = state.position.index_select(0, rows)
        hidden = self.talker.step(x, positions, attend)
        state.hidden.index_copy_(0, rows, hidden)
        state.position.index_copy_(0, rows, positions + 1)

    def predict(self, state: SlotState, rows: Tensor, width: int) -> Tensor:
        """Draw the next frame of each slot in `rows` (B,): (B, 16) int64.

        Where codebook 0 is the end of speech the frame does not exist.

        Args:
            state: of all slots.
            rows: (B,) int64.
            width: see `sampling.draw`.
        """
        sampling = state.sampling
        hidden = state.hidden.index_select(0, rows)
        drawn = state.drawn.index_select(0, rows)
        seen = state.seen.index_select(0, rows)
        logits = penalized(self.talker.logits(hidden), seen, sampling.penalty.index_select(0, rows))
        logits = logits.masked_fill(self.talker.never, -torch.inf)
        too_soon = (drawn < _LEAST_IDS)[:, None] & self.talker.ends
        logits = logits.masked_fill(too_soon, -torch.inf)
        noise = uniform(sampling.seed.index_select(0, rows), drawn, self.predictor.groups)
        first = draw(logits, sampling.talker.rows(rows), noise[:, 0], width)
        codes, frame = self.predictor.frame(
            hidden, first, sampling.predictor.rows(rows), noise[:, 1:], width
        )
        state.frame.index_copy_(0, rows, frame)
        state.drawn.index_copy_(0, rows, drawn + 1)
        state.seen.index_copy_(0, rows, seen.scatter(1, first[:, None], True))
        return codes
