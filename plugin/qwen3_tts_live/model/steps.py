"""How the moves of a model run on a device: call by call, on any device.

`graphs.py` has the same moves as captured graphs. Knows nothing about requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from qwen3_tts_live.model.codec import CodecDecoder
from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.kv_cache import KVCache
from qwen3_tts_live.model.speech_model import SpeechModel
from qwen3_tts_live.model.transfer import to_device

__all__ = ["EagerSteps", "Steps"]


class Steps(Protocol):
    """The moves of a model on its slots; all from one thread, in inference mode."""

    slots: int

    def prefill(self, slot: int, rows: Tensor, sampling: Sampling) -> None:
        """Begin a speech with the prompt `rows` (T, h)."""
        ...

    def talk(self, slots: Sequence[int], text: Tensor) -> None:
        """Take in the last frame of each slot with its row of text, (B, h)."""
        ...

    def predict(self, slots: Sequence[int], width: int) -> Tensor:
        """Draw a frame of each slot, (B, 16) int64 on the device; see `SpeechModel.predict`."""
        ...

    def vocode(self, slots: Sequence[int], codes: Tensor) -> Tensor:
        """Turn frames (B, 16, n) into PCM, (B, n x 1920) int16 on the device."""
        ...

    def begin_audio(self, slot: int, reference: Tensor | None) -> None:
        """Forget the slot's audio; continue from a reference's frames (16, n), if given."""
        ...


class EagerSteps:
    """Every move as plain calls.

    Args:
        model: talker and predictor.
        codec: the codec.
        slots: speeches at once.
    """

    def __init__(self, model: SpeechModel, codec: CodecDecoder, slots: int) -> None:
        self.slots = slots
        self._model = model
        self._codec = codec
        self._like = model.talker.codec_embedding
        self._state = model.empty_state(slots)
        self._cache = KVCache(model.talker.shape, slots, model.max_length, self._like)
        self._audio = codec.init_state(slots, self._like.device)
        self._positions = [0] * slots  # the device's, known here too

    def prefill(self, slot: int, rows: Tensor, sampling: Sampling) -> None:
        """See `Steps`."""
        row = self._rows([slot])
        last = self._rows([len(rows) - 1])
        self._state.sampling.set(slot, sampling)
        self._model.prefill(self._state, row, rows, last, self._cache.prefill(row))
        self._positions[slot] = len(rows)

    def talk(self, slots: Sequence[int], text: Tensor) -> None:
        """See `Steps`."""
        rows = self._rows(slots)
        positions = [self._positions[slot] for slot in slots]
        self._model.talk(self._state, rows, text, self._cache.step(slots, rows, positions))
        for slot in slots:
            self._positions[slot] += 1

    def predict(self, slots: Sequence[int], width: int) -> Tensor:
        """See `Steps`."""
        return self._model.predict(self._state, self._rows(slots), width)

    def vocode(self, slots: Sequence[int], codes: Tensor) -> Tensor:
        """See `Steps`."""
        return self._codec.decode(codes, self._audio, self._rows(slots))

    def begin_audio(self, slot: int, reference: Tensor | None) -> None:
        """See `Steps`."""
        self._audio.reset(slot)
        if reference is not None:
            self._codec.prime(reference[None], self._audio, self._rows([slot]))

    def _rows(self, slots: Sequence[int]) -> Tensor:
        return to_device(slots, self._like.device)
