"""From a request to the rows that the talker is conditioned on.

A row is the sum of a text track and a codec track. `prefill` rows are there before the first
frame; the rest of the text goes along with the frames, one row each. Layouts as in the official
`Qwen3TTSForConditionalGeneration.generate`. Knows nothing about tokenizers, slots or caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.model.code_predictor import CodePredictor
from qwen3_tts_live.model.contract import Prompt
from qwen3_tts_live.model.talker import Talker

__all__ = ["PromptLayout", "TextTrack"]


class TextTrack:
    """The text that goes along with the frames of one speech: a row a frame, then silence.

    Args:
        end: the row that ends the text.
        silence: the row of every frame after it.
    """

    def __init__(self, end: Tensor, silence: Tensor) -> None:
        self._rows: list[Tensor] = []
        self._end = end
        self._silence = silence
        self.complete = False

    def extend(self, rows: Tensor, *, complete: bool) -> None:
        """Add rows (n, hidden); `complete` says that the text ends with them."""
        self._rows += rows.unbind(0)
        if complete:
            self._rows.append(self._end)
            self.complete = True

    def row(self, index: int) -> Tensor:
        """Return the row that goes with frame `index`, (hidden,)."""
        if index < len(self._rows):
            return self._rows[index]
        assert self.complete, "a frame was asked for whose text has not arrived"
        return self._silence

    def take(self, count: int) -> Tensor:
        """Remove and return the first `count` rows, (count, hidden)."""
        taken = torch.stack([self.row(index) for index in range(count)])
        del self._rows[:count]
        return taken


class PromptLayout:
    """Lays out prompts for one checkpoint.

    Args:
        config: the checkpoint's official configuration, for the ids.
        talker: for its embeddings.
        predictor: for those of a reference's codes.
        role_ids: the three tokens of `<|im_start|>assistant\\n`.
    """

    def __init__(
        self, config: Any, talker: Talker, predictor: CodePredictor, role_ids: Sequence[int]
    ) -> None:
        self._talker = talker
        self._predictor = predictor
        codec = config.talker_config
        self._think = [codec.codec_think_id, codec.codec_think_bos_id, codec.codec_think_eos_id]
        self._nothink = [codec.codec_nothink_id, *self._think[1:]]
        ids = [config.tts_bos_token_id, config.tts_eos_token_id, config.tts_pad_token_id]
        self._begin, self._end, self._silence = talker.text_rows(ids).unbind(0)
        self._codec_pad, self._codec_bos = talker.codec_rows(
            [codec.codec_pad_id, codec.codec_bos_id]
        ).unbind(0)
        self._role = talker.text_rows(role_ids)

    def lay_out(self, prompt: Prompt) -> tuple[Tensor, TextTrack]:
        """Return the prefill, (rows, hidden), and the text that goes along with the frames.

        Raises:
            InvalidRequestError: the speaker embedding is of another model size.
        """
        text = TextTrack(self._end, self._silence)
        text.extend(
            self._talker.text_rows([*prompt.reference_text_ids, *prompt.text_ids]),
            complete=prompt.text_complete,
        )
        codec = self._codec_bos[None]
        if prompt.reference_codes is not None:
            codes = torch.from_numpy(prompt.reference_codes).to(codec.device)
            codec = torch.cat([codec, self._predictor.embedded(codes)])
        rows = [*self._instruction(prompt), self._role, self._tags(prompt)]
        if prompt.layout == "prefill":
            count = len(prompt.reference_text_ids) + len(prompt.text_ids) + 1
            rows += [text.take(count) + self._codec_pad, codec + self._silence]
        else:
            rows.append(text.take(len(codec)) + codec)
        return torch.cat(rows), text

    def _instruction(self, prompt: Prompt) -> list[Tensor]:
        ids = prompt.instruct_ids
        return [self._talker.text_rows(ids)] if ids else []

    def _tags(self, prompt: Prompt) -> Tensor:
        """Language and speaker, and the row where the text begins: (rows, hidden)."""
        ids = self._nothink
        if prompt.language_id is not None:
            ids = [*self._think[:2], prompt.language_id, self._think[2]]
        codec = [self._talker.codec_rows(ids)]
        if prompt.speaker_id is not None:
            codec.append(self._talker.codec_rows([prompt.speaker_id]))
        if prompt.speaker_embedding is not None:
            codec.append(self._speaker(prompt.speaker_embedding))
        tags = torch.cat(codec) + self._silence
        return torch.cat([tags, (self._begin + self._codec_pad)[None]])

    def _speaker(self, embedding: Any) -> Tensor:
        hidden = self._talker.shape.hidden
        if embedding.shape != (hidden,):
            raise InvalidRequestError(
                f"the voice was made for another model size ({len(embedding)} values, "
                f"this one takes {hidden}); clone it again with this checkpoint"
            )
        return torch.from_numpy(embedding).to(self._silence)[None]
