"""The settings of the Qwen3-TTS backend, and what they may be. Plain data: imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.engine.guards import GuardLimits
from qwen3_tts_live.engine.requests import FRAME_SAMPLES, ChunkSchedule
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.model.contract import Sampling, TextLayout
from qwen3_tts_live.voices.reference import AudioSource

__all__ = ["SAMPLING_SETTINGS", "QwenOptions", "with_settings"]

#: The settings of `model.contract.Sampling` that a user may choose, and what each may be.
SAMPLING_SETTINGS: dict[str, str] = {
    "greedy": "true or false",
    "temperature": "above 0 (for the likeliest code each time use greedy)",
    "top_k": "a whole number, 0 for no limit",
    "top_p": "above 0 and at most 1",
    "repetition_penalty": "above 0; 1 is none",
    "predictor_temperature": "above 0 (for the likeliest code each time use greedy)",
    "predictor_top_k": "a whole number, 0 for no limit",
    "predictor_top_p": "above 0 and at most 1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QwenOptions:
    """How Qwen3-TTS runs and speaks. None means: as the checkpoint says.

    Attributes:
        device: `auto` (cuda where there is one, else cpu), or a torch device.
        dtype: `auto` (bfloat16 on cuda, else float32), `float32` or `bfloat16`.
        quantize: `int8` for the linear layers on a cpu, `none`, or `auto`: int8 on a cpu for
            checkpoints of real size.
        slots: speeches at once; more wait. Each holds its caches even while it is unused.
        first_chunk: frames (80 ms each) of a speech's first chunk.
        chunk_size: frames of a chunk, once the speech runs; chunks double until then.
        pre_buffer: chunks held back, to come with the first.
        max_frames: frames that one segment may have.
        max_ahead: seconds of audio made for a consumer that does not take them.
        text_layout: `track` (text along the frames, so that it may still arrive) or `prefill`
            (all of it first); None is what the official code does for the model type.
        greedy: always take the likeliest code.
        temperature: of codebook 0; likewise `top_k`, `top_p`, `repetition_penalty`.
        predictor_temperature: of the other 15; likewise `predictor_top_k`, `predictor_top_p`.
        seed: makes draws repeatable where a request brings no seed of its own.
        ref_audio: a voice to clone (Base); it becomes the voice `reference`, and the default.
        ref_text: what `ref_audio` says; with it the clone is made in context.
        speaker: the default voice: a speaker (CustomVoice) or a stored voice (Base).
        instruct: how to speak, or what voice to have (VoiceDesign, CustomVoice 1.7B).
        voices_folder: where stored voices are; None: `voices.store.default_folder()`.

    Raises:
        InvalidRequestError: a value makes no sense; the message says which ones do.
    """

    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    quantize: Literal["auto", "none", "int8"] = "auto"
    slots: int = 8
    first_chunk: int = 1
    chunk_size: int = 4
    pre_buffer: int = 0
    max_frames: int = 1024
    max_ahead: float = 1.0
    text_layout: TextLayout | None = None
    greedy: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    predictor_temperature: float | None = None
    predictor_top_k: int | None = None
    predictor_top_p: float | None = None
    seed: int | None = None
    ref_audio: AudioSource | None = None
    ref_text: str | None = None
    speaker: str | None = None
    instruct: str | None = None
    voices_folder: Path | None = None

    def __post_init__(self) -> None:
        for name in ("slots", "first_chunk", "chunk_size", "max_frames"):
            if getattr(self, name) < 1:
                raise InvalidRequestError(f"{name} must be at least 1")
        if self.pre_buffer < 0:
            raise InvalidRequestError("pre_buffer must be 0 or more chunks")
        if not self.max_ahead > 0:
            raise InvalidRequestError("max_ahead must be above 0 seconds")
        if self.ref_text is not None and self.ref_audio is None:
            raise InvalidRequestError("ref_text is what ref_audio says: give ref_audio too")
        if self.ref_text is not None and not self.ref_text.strip():
            raise InvalidRequestError("ref_text is blank: give what ref_audio says, or none at all")
        with_settings(Sampling(), self.sampling)

    @property
    def chunks(self) -> ChunkSchedule:
        """How speeches are cut into chunks."""
        return ChunkSchedule(
            first=self.first_chunk, size=self.chunk_size, pre_buffer=self.pre_buffer
        )

    @property
    def max_ahead_frames(self) -> int:
        """`max_ahead` in frames; at least 1, as less would never start."""
        return max(1, round(self.max_ahead * SAMPLE_RATE / FRAME_SAMPLES))

    @property
    def sampling(self) -> dict[str, object]:
        """The sampling settings that are given, by the names in `model.contract.Sampling`."""
        given = {name: getattr(self, name) for name in SAMPLING_SETTINGS}
        return {name: value for name, value in given.items() if value is not None}

    def limits(self, *, paced: bool) -> GuardLimits:
        """Return the guards' limits; `paced` says that words may set the pace, not a clone."""
        # Limits of engines that run the same models for many users; see `engine/guards.py`.
        if paced:
            return GuardLimits(max_frames=self.max_frames, frames_a_token=40, least_frames=400)
        return GuardLimits(max_frames=self.max_frames)


def with_settings(sampling: Sampling, settings: Mapping[str, object]) -> Sampling:
    """Return `sampling` with some settings changed.

    Raises:
        InvalidRequestError: a setting is unknown, or its value makes no sense.
    """
    for name, value in settings.items():
        if name not in SAMPLING_SETTINGS:
            known = ", ".join(SAMPLING_SETTINGS)
            raise InvalidRequestError(f"unknown sampling setting {name[:40]!r}; known: {known}")
        if not _makes_sense(name, value):
            raise InvalidRequestError(f"{name} must be {SAMPLING_SETTINGS[name]}; it is {value!r}")
    changes: dict[str, object] = dict(settings)
    return replace(sampling, **changes)  # type: ignore[arg-type]  # checked above, one by one


def _makes_sense(name: str, value: object) -> bool:
    if name == "greedy" or isinstance(value, bool):
        return name == "greedy" and isinstance(value, bool)
    if name.endswith("top_k"):
        return isinstance(value, int) and value >= 0
    if not isinstance(value, int | float):
        return False
    return 0 < value <= (1 if name.endswith("top_p") else math.inf) and value != math.inf
