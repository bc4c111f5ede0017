"""The runner that the engine drives: requests on slots, text as it arrives, frames and PCM.

The host's half of the model: it knows which text row goes with which frame and which frames wait
for the codec, and leaves the tensors to `Steps`. All methods are called from one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qwen3_tts_live.errors import TextTooLongError
from qwen3_tts_live.model.contract import Frame, Prompt, Sampling
from qwen3_tts_live.model.prompt import TextTrack
from qwen3_tts_live.model.sampling import SamplingTable
from qwen3_tts_live.model.speech_model import SpeechModel
from qwen3_tts_live.model.steps import Steps
from qwen3_tts_live.model.transfer import to_host

__all__ = ["SpeechRunner"]

logger = logging.getLogger(__name__)

# A prompt that leaves less room than this (10 s) is refused: it would be cut in mid-sentence.
_LEAST_ROOM = 128


class _Speech:
    """What the host knows of one request."""

    def __init__(self, text: TextTrack, sampling: Sampling, rows: int) -> None:
        self.text = text
        self.sampling = sampling
        self.rows = rows  # that the talker has seen
        self.frames = 0  # decoded
        self.fed = 0  # of them, taken in by the talker
        self.waiting: list[Tensor] = []  # (16,) each: decoded, not vocoded


class SpeechRunner:
    """One checkpoint on one device; see `contract.Runner` for what it promises.

    Args:
        model: talker, predictor and prompt layout.
        steps: the moves on the device.
    """

    def __init__(self, model: SpeechModel, steps: Steps) -> None:
        self.slots = steps.slots
        self._model = model
        self._steps = steps
        self._speeches: dict[int, _Speech] = {}

    @torch.inference_mode()
    def start(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """Reset the slot and prefill it.

        Raises:
            TextTooLongError: prompt and text leave no room for speech.
            InvalidRequestError: the voice is of another model size.
        """
        rows, text = self._model.layout.lay_out(prompt)
        if len(rows) + _LEAST_ROOM > self._model.max_length:
            raise TextTooLongError(
                f"instruction, reference and text take {len(rows)} of the "
                f"{self._model.max_length} rows that a speech may have; shorten them"
            )
        self._steps.prefill(slot, rows, sampling)
        reference = prompt.reference_codes
        codes = None if reference is None else torch.from_numpy(reference).T.to(rows.device)
        self._steps.begin_audio(slot, codes)
        self._speeches[slot] = _Speech(text, sampling, len(rows))

    @torch.inference_mode()
    def append_text(self, slot: int, text_ids: Sequence[int], *, complete: bool) -> None:
        """Add text to a running request of layout `track`."""
        rows = self._model.talker.text_rows(text_ids)
        self._speeches[slot].text.extend(rows, complete=complete)

    @torch.inference_mode()
    def decode(self, slots: Sequence[int]) -> list[Frame]:
        """Decode one frame for each of `slots`.

        The talker takes the last frame in only now: the first audio does not wait for it, and
        text may arrive until then.
        """
        full = {s for s in slots if self._speeches[s].rows >= self._model.max_length}
        for _ in full:
            logger.warning("a speech reached %d rows and is cut", self._model.max_length)
        going = [slot for slot in slots if slot not in full]
        frames = {slot: Frame(slot, None) for slot in full}
        if going:
            self._talk([slot for slot in going if self._speeches[slot].frames])
            frames |= {frame.slot: frame for frame in self._predict(going)}
        return [frames[slot] for slot in slots]

    @torch.inference_mode()
    def vocode(self, slots: Sequence[int], frames: int) -> list[NDArray[np.int16]]:
        """Turn the oldest `frames` waiting frames of each slot into PCM."""
        rows = []
        for slot in slots:
            waiting = self._speeches[slot].waiting
            rows.append(torch.stack(waiting[:frames], dim=1))  # (16, n)
            del waiting[:frames]
        pcm = self._steps.vocode(slots, torch.stack(rows))
        return list(to_host(pcm).astype(np.int16, copy=False))

    def release(self, slot: int) -> None:
        """Forget the slot's request."""
        self._speeches.pop(slot, None)

    def _talk(self, slots: Sequence[int]) -> None:
        if not slots:
            return
        speeches = [self._speeches[slot] for slot in slots]
        text = torch.stack([speech.text.row(speech.fed) for speech in speeches])
        self._steps.talk(slots, text)
        for speech in speeches:
            speech.fed += 1
            speech.rows += 1

    def _predict(self, slots: Sequence[int]) -> list[Frame]:
        speeches = [self._speeches[slot] for slot in slots]
        width = SamplingTable.width(
            [speech.sampling for speech in speeches], self._model.talker.vocabulary
        )
        codes = self._steps.predict(slots, width)
        frames = []
        for slot, speech, row, ids in zip(
            slots, speeches, codes, to_host(codes).tolist(), strict=True
        ):
            ended = ids[0] == self._model.talker.eos_id
            frames.append(Frame(slot, None if ended else tuple(ids)))
            if not ended:
                speech.frames += 1
                speech.waiting.append(row)
        return frames
