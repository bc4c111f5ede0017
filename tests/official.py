"""The official package beside ours, on one loaded checkpoint: the reference of the model's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qwen3_tts_live.model.codec import CodecDecoder
from qwen3_tts_live.model.contract import Prompt, Runner, Sampling, TextLayout
from qwen3_tts_live.model.qwen_tts import load_qwen_tts
from qwen3_tts_live.model.speech_model import SpeechModel

GREEDY = Sampling(greedy=True)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What to say and how, in the words of both sides."""

    text: str = "Hello there."
    language: str = "English"
    layout: TextLayout = "track"
    speaker: str | None = None
    instruct: str | None = None
    embedding: NDArray[np.float32] | None = None
    codes: NDArray[np.int64] | None = None
    ref_text: str = ""


class Official:
    """A checkpoint in fp32 as the official package loads it."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)  # more only wait for each other on tensors this small
        wrapper = load_qwen_tts().Qwen3TTSModel
        self.tts = wrapper.from_pretrained(str(folder), dtype=torch.float32)
        self.model = self.tts.model
        self.talker_config = self.model.config.talker_config

    @property
    def role_ids(self) -> list[int]:
        return self.ids("<|im_start|>assistant\n")

    def parts(self, max_length: int = 2048) -> tuple[SpeechModel, CodecDecoder]:
        """Our modules on its weights."""
        model = SpeechModel(
            self.model.talker, self.model.config, self.role_ids, max_length=max_length
        )
        return model, CodecDecoder(self.model.speech_tokenizer.model.decoder)

    def ids(self, text: str) -> list[int]:
        """The tokens of `text`, special ones included."""
        return list(self._tensor(text)[0].tolist())

    def codes(self, ask: Ask, frames: int, **sampling: Any) -> NDArray[np.int64]:
        """What the official `generate` says, at most `frames` frames: (n, 16)."""
        clone = None
        if ask.embedding is not None:
            clone = {
                "ref_code": [None if ask.codes is None else torch.from_numpy(ask.codes)],
                "ref_spk_embedding": [torch.from_numpy(ask.embedding)],
                "x_vector_only_mode": [ask.codes is None],
                "icl_mode": [ask.codes is not None],
            }
        instruct = ask.instruct and self._tensor(f"<|im_start|>user\n{ask.instruct}<|im_end|>\n")
        reference = self._tensor(f"<|im_start|>assistant\n{ask.ref_text}<|im_end|>\n")
        greedy = {"do_sample": False, "subtalker_dosample": False}
        found, _ = self.model.generate(
            input_ids=[
                self._tensor(
                    f"<|im_start|>assistant\n{ask.text}<|im_end|>\n<|im_start|>assistant\n"
                )
            ],
            instruct_ids=[instruct if ask.instruct else None],
            ref_ids=[reference if ask.ref_text else None],
            voice_clone_prompt=clone,
            languages=[ask.language],
            speakers=[ask.speaker],
            non_streaming_mode=ask.layout == "prefill",
            max_new_tokens=frames + 1,
            **(sampling or greedy),
        )
        return np.asarray(found[0].numpy())

    def prompt(self, ask: Ask) -> Prompt:
        """The same as ours."""
        config = self.talker_config
        language = ask.language.lower()
        dialect = ask.speaker and config.spk_is_dialect[ask.speaker]
        if dialect and language in ("auto", "chinese"):
            language = dialect
        return Prompt(
            text_ids=self.ids(ask.text),
            text_complete=True,
            layout=ask.layout,
            language_id=None if language == "auto" else config.codec_language_id[language],
            speaker_id=config.spk_id[ask.speaker] if ask.speaker else None,
            speaker_embedding=ask.embedding,
            instruct_ids=(
                self.ids(f"<|im_start|>user\n{ask.instruct}<|im_end|>\n") if ask.instruct else ()
            ),
            reference_text_ids=self.ids(ask.ref_text) if ask.ref_text else (),
            reference_codes=ask.codes,
        )

    def _tensor(self, text: str) -> torch.Tensor:
        found: torch.Tensor = self.tts.processor(text=text, return_tensors="pt")["input_ids"]
        return found


def spoken(
    runner: Runner,
    prompts: Sequence[Prompt],
    frames: int,
    sampling: Sampling | Sequence[Sampling] = GREEDY,
) -> list[NDArray[np.int64]]:
    """What `runner` says to each prompt, all in one batch, in slots 0 and on: (n, 16) each."""
    each = [sampling] * len(prompts) if isinstance(sampling, Sampling) else sampling
    for slot, (prompt, how) in enumerate(zip(prompts, each, strict=True)):
        runner.start(slot, prompt, how)
    said: dict[int, list[tuple[int, ...]]] = {slot: [] for slot in range(len(prompts))}
    going = set(said)
    for _ in range(frames):
        for frame in runner.decode(sorted(going)):
            if frame.codes is None:
                going.remove(frame.slot)
            else:
                said[frame.slot].append(frame.codes)
        if not going:
            break
    for slot in said:
        runner.release(slot)
    return [np.array(codes, np.int64).reshape(-1, 16) for codes in said.values()]
