"""How often int8 weights choose the code that fp32 ones choose, on the same history.

Teacher-forced: the fp32 model speaks, and at every code the int8 model is asked what it would
have taken there. Letting both run free says nothing, as one near tie sends them different ways.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qwen3_tts_live.model.checkpoint import Checkpoint, load_checkpoint
from qwen3_tts_live.model.contract import Prompt, Sampling
from qwen3_tts_live.model.kv_cache import KVCache
from qwen3_tts_live.model.linear import Quantize
from qwen3_tts_live.model.sampling import GREEDY
from qwen3_tts_live.model.speech_model import SpeechModel

__all__ = ["agreement"]


@torch.inference_mode()
def agreement(folder: Path, text: str, frames: int) -> dict[str, float]:
    """Return the share of equal codes, of the talker and of the predictor.

    Args:
        folder: a Base checkpoint.
        text: what is said.
        frames: how many.
    """
    checkpoint = load_checkpoint(folder, device=torch.device("cpu"), dtype=torch.float32)
    # Quantizing copies, so both can stand on one checkpoint.
    exact, rounded = (_Speaker(checkpoint, text, quantize) for quantize in ("none", "int8"))
    talker = predictor = 0
    for _ in range(frames):
        codes = exact.next_codes()
        guess = rounded.next_codes()
        talker += int(codes[0, 0] == guess[0, 0])
        likeliest = rounded.model.predictor.likeliest(rounded.state.hidden, codes)
        predictor += int((codes[:, 1:] == likeliest).sum())
        rounded.state.frame.copy_(rounded.model.predictor.embedded(codes))
        rounded.state.seen.copy_(exact.state.seen)
    books = exact.model.predictor.groups - 1
    return {
        "frames": frames,
        "talker": round(talker / frames, 4),
        "predictor": round(predictor / frames / books, 4),
    }


class _Speaker:
    """One greedy speech, frame by frame."""

    def __init__(self, checkpoint: Checkpoint, text: str, quantize: Quantize) -> None:
        config: Any = checkpoint.config
        role = [config.im_start_token_id, *checkpoint.tokenize("assistant\n")]
        self.model = SpeechModel(checkpoint.talker, config, role, quantize=quantize)
        self.state = self.model.empty_state(1)
        self.state.sampling.set(0, Sampling(greedy=True))
        shape = self.model.talker.shape
        like = self.model.talker.codec_embedding
        self._cache = KVCache(shape, 1, self.model.max_length, like)
        self._row = torch.tensor([0])
        voice = np.random.default_rng(0).standard_normal(shape.hidden, np.float32)
        rows, self._text = self.model.layout.lay_out(
            Prompt(
                text_ids=checkpoint.tokenize(text),
                text_complete=True,
                layout="track",
                speaker_embedding=voice,
            )
        )
        last = torch.tensor([len(rows) - 1])
        attend = self._cache.prefill(self._row)
        self.model.prefill(self.state, self._row, rows, last, attend)
        self._length = len(rows)
        self._frames = 0

    def next_codes(self) -> Tensor:
        """Return the next frame, (1, 16); it stands in the state as what was said."""
        if self._frames:
            text = self._text.row(self._frames - 1)[None]
            attend = self._cache.step([0], self._row, [self._length])
            self.model.talk(self.state, self._row, text, attend)
            self._length += 1
        self._frames += 1
        return self.model.predict(self.state, self._row, GREEDY)
