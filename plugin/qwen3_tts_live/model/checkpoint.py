"""A checkpoint as the official package loads it: weights, text tokenizer, speaker encoder, codec.

Owns what is read from files, and every way in which they can be wrong. The official talker and
codec decoder are handed on to our modules; nothing here runs them. Knows nothing about requests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import Qwen2TokenizerFast

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.model.contract import Sampling
from qwen3_tts_live.model.qwen_tts import load_qwen_tts
from qwen3_tts_live.voices.voice import ModelType, Voice

__all__ = ["Checkpoint", "load_checkpoint"]

logger = logging.getLogger(__name__)

_12_HZ = "qwen3_tts_tokenizer_12hz"
_CODEC = "speech_tokenizer"
_RATE = 24_000
# Our names of the settings, by the official ones in generation_config.json.
_SETTINGS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "repetition_penalty": "repetition_penalty",
    "subtalker_temperature": "predictor_temperature",
    "subtalker_top_k": "predictor_top_k",
    "subtalker_top_p": "predictor_top_p",
}


class Checkpoint:
    """One loaded checkpoint. Use `load_checkpoint`.

    It is a `backends.qwen.QwenModel` and, of type Base, a `voices.cloning.VoiceEncoder`.

    Attributes:
        model_type: base, custom_voice or voice_design.
        takes_instruct: whether it follows instructions.
        hidden_size: the talker's width, and the length of a speaker embedding.
        languages: codec id of each language and dialect, by name in lower case.
        speakers: its own voices; CustomVoice has some.
        sampling: its own defaults.
        config: the official configuration.
        device: where it is.
        dtype: of the talker and the speaker encoder; the codec is always loaded in fp32, as its
            codebooks are quotients that lose their precision in bf16.
    """

    def __init__(self, model: Any, codec: Any, tokenizer: Any, sampling: Sampling) -> None:
        self._model = model
        self._codec = codec
        # Without the added tokens: what looks like one of them in a text is text.
        whole = tokenizer.backend_tokenizer
        self._tokenizer = type(whole)(whole.model)
        self._tokenizer.normalizer = whole.normalizer
        self._tokenizer.pre_tokenizer = whole.pre_tokenizer
        self.config = model.config
        talker = self.config.talker_config
        self.model_type: ModelType = self.config.tts_model_type
        self.takes_instruct = self.model_type == "voice_design" or (
            self.model_type == "custom_voice" and self.config.tts_model_size != "0b6"
        )
        self.hidden_size: int = talker.hidden_size
        self.languages: Mapping[str, int] = talker.codec_language_id
        self.speakers = tuple(
            Voice(name=name, speaker_id=number, dialect=talker.spk_is_dialect[name] or None)
            for name, number in talker.spk_id.items()
        )
        self.sampling = sampling
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype

    @property
    def talker(self) -> Any:
        """The official Qwen3TTSTalkerForConditionalGeneration, until `release_modules`."""
        return self._model.talker

    @property
    def codec(self) -> Any:
        """The official Qwen3TTSTokenizerV2Decoder in fp32, until `release_modules`."""
        return self._codec.decoder

    def release_modules(self) -> None:
        """Let go of `talker` and `codec`, once other modules took what they need of them."""
        self._model.talker = None
        self._codec.decoder = None

    # ------------------------------------------------------------ text

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of plain text; special tokens in it are text too."""
        return list(self._tokenizer.encode(text).ids)

    def tokenize_instruct(self, text: str) -> list[int]:
        """Return the ids of an instruction, with those that make it the user's turn."""
        turn = self.tokenize(f"user\n{text}")
        return [
            self.config.im_start_token_id,
            *turn,
            self.config.im_end_token_id,
            *self.tokenize("\n"),
        ]

    # ------------------------------------------------------------ reference audio

    def encode_speaker(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the speaker embedding, (hidden,), of (n,) samples at 24 kHz in [-1, 1].

        Raises:
            InvalidRequestError: it is no Base checkpoint.
        """
        if self.model_type != "base":
            raise InvalidRequestError("only Base checkpoints clone a voice")
        embedding = self._model.extract_speaker_embedding(audio=samples, sr=_RATE)
        return cast("NDArray[np.float32]", embedding.float().cpu().numpy())

    def encode_reference(self, samples: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the codec frames, (frames, 16), of (n,) samples at 24 kHz; the last is padded."""
        values = torch.from_numpy(samples).to(self.device)[None]
        with torch.inference_mode():
            whole = torch.ones_like(values, dtype=torch.long)
            ((codes,),) = self._codec.encode(values, whole, return_dict=False)
        return cast("NDArray[np.int64]", codes.cpu().numpy())


def load_checkpoint(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Checkpoint:
    """Load the checkpoint in `folder`.

    Args:
        folder: as it was published.
        device: where to.
        dtype: precision of the talker and the speaker encoder.

    Raises:
        InvalidRequestError: it is damaged, or not a checkpoint that can be run.
    """
    _check_config(_read_json(folder / "config.json"))
    sampling = _sampling(_read_json(folder / "generation_config.json"))
    _read_json(folder / _CODEC / "config.json")
    core = load_qwen_tts().core
    try:
        model = _load(
            core.models.Qwen3TTSForConditionalGeneration,
            core.models.Qwen3TTSConfig,
            folder,
            device,
            dtype,
        )
        codec = _load(
            core.Qwen3TTSTokenizerV2Model,
            core.Qwen3TTSTokenizerV2Config,
            folder / _CODEC,
            device,
            torch.float32,
        )
        # The package asks for another tokenizer's repair, which transformers 4.57.3 then makes
        # to any large vocabulary that lies in a folder, and to none that is named by its
        # repository. Words would be cut otherwise than the model has learned.
        tokenizer = Qwen2TokenizerFast.from_pretrained(folder, fix_mistral_regex=False)
    except (SafetensorError, OSError) as error:
        raise _damaged(folder, error) from error
    return Checkpoint(model, codec, tokenizer, sampling)


def _load(
    kind: Any, config: Any, folder: Path, device: torch.device | str, dtype: torch.dtype
) -> Any:
    """Load one of the two models: `kind`, an official class, with its class of configuration."""
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    logger.info("reading %s (%.2f GB)", folder.name, size / 1e9)
    # Weights go to a CPU without being told to; being told to only costs time.
    place = {} if torch.device(device).type == "cpu" else {"device_map": device}
    # The talker's own `from_pretrained` does this, then loads the codec in the talker's precision.
    model, report = super(kind, kind).from_pretrained(
        folder,
        config=config.from_pretrained(folder),
        dtype=dtype,
        ignore_mismatched_sizes=True,  # the report has them, where an error has them all
        output_loading_info=True,
        **place,
    )
    if wrong := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise _damaged(folder, f"its weights do not fit its config.json: {wrong[0]}")
    return model


# ---------------------------------------------------------------- files


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidRequestError(
            f"{path.parent} is not a whole Qwen3-TTS checkpoint: it holds no {path.name}"
        ) from error
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, "it holds no object")
    return content


def _damaged(path: Path, reason: object) -> InvalidRequestError:
    return InvalidRequestError(f"{path} is damaged ({reason}); download it again")


def _check_config(config: Mapping[str, Any]) -> None:
    """Refuse what this engine does not run."""
    if config.get("model_type") != "qwen3_tts":
        raise InvalidRequestError(
            f"this is a checkpoint of {config.get('model_type')}, not of Qwen3-TTS"
        )
    if config.get("tokenizer_type") != _12_HZ:
        raise InvalidRequestError(
            f"this checkpoint's codec is {config.get('tokenizer_type')}; only the 12 Hz ones, "
            "which are those with 12Hz in their name, can be run"
        )
    if config.get("tts_model_type") not in get_args(ModelType):
        raise InvalidRequestError(
            f"this checkpoint is of the unknown type {config.get('tts_model_type')}; "
            f"known: {', '.join(get_args(ModelType))}"
        )


def _sampling(settings: Mapping[str, Any]) -> Sampling:
    """Return the checkpoint's defaults; what it does not state is as the package has it."""
    stated = {
        ours: settings[theirs]
        for theirs, ours in _SETTINGS.items()
        if settings.get(theirs) is not None
    }
    return Sampling(greedy=not settings.get("do_sample", True), **stated)
