"""The flags of Qwen3-TTS, the same for every command that can run it.

Each sets the field of `QwenOptions` that has its name, and takes its default from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen3_tts_live.factory import QwenOptions

__all__ = ["QWEN_FLAGS", "add_qwen_flags", "qwen_options"]

_FLAGS: dict[str, dict[str, Any]] = {
    "ref_audio": {
        "metavar": "FILE",
        "help": "the voice to clone, for Base checkpoints: 0.5 to 60 s of wav, flac, ogg or mp3",
    },
    "ref_text": {
        "metavar": "TEXT",
        "help": "what --ref-audio says, word for word: closer to the voice, slower to start",
    },
    "speaker": {
        "metavar": "NAME",
        "help": "the default voice: a speaker of the checkpoint, or one of `voices list`",
    },
    "instruct": {
        "metavar": "TEXT",
        "help": "how to speak, or what voice to have (VoiceDesign, CustomVoice 1.7B)",
    },
    "seed": {"type": int, "metavar": "N", "help": "with it the same text sounds the same"},
    "voices_folder": {"type": Path, "metavar": "FOLDER", "help": "where stored voices are"},
    "device": {"metavar": "DEVICE", "help": "auto: cuda where there is one, else cpu"},
    "dtype": {
        "choices": ("auto", "float32", "bfloat16"),
        "help": "auto: bfloat16 on cuda, else float32",
    },
    "quantize": {
        "choices": ("auto", "none", "int8"),
        "help": "linear layers on a cpu; auto: int8 for checkpoints of real size",
    },
    "slots": {"type": int, "metavar": "N", "help": "segments that are spoken at once"},
    "first_chunk": {
        "type": int,
        "metavar": "FRAMES",
        "help": "codec frames (80 ms each) in the first chunk of a segment",
    },
    "chunk_size": {
        "type": int,
        "metavar": "FRAMES",
        "help": "codec frames in a chunk, once the segment runs",
    },
    "pre_buffer": {
        "type": int,
        "metavar": "CHUNKS",
        "help": "chunks to hold back before the first is sent",
    },
    "max_frames": {"type": int, "metavar": "FRAMES", "help": "codec frames a segment may have"},
    "text_layout": {
        "choices": ("track", "prefill"),
        "help": "text along the frames, or all of it first; as the official code does if not given",
    },
    "greedy": {"action": "store_true", "help": "always take the likeliest code"},
    "temperature": {"type": float, "metavar": "X", "help": "of codebook 0"},
    "top_k": {"type": int, "metavar": "N", "help": "of codebook 0; 0 for no limit"},
    "top_p": {"type": float, "metavar": "X", "help": "of codebook 0"},
    "repetition_penalty": {"type": float, "metavar": "X", "help": "of codebook 0; 1 for none"},
    "predictor_temperature": {"type": float, "metavar": "X", "help": "of the other codebooks"},
    "predictor_top_k": {"type": int, "metavar": "N", "help": "of the other codebooks"},
    "predictor_top_p": {"type": float, "metavar": "X", "help": "of the other codebooks"},
}

#: Every flag, by the field that it sets.
QWEN_FLAGS: tuple[str, ...] = tuple(_FLAGS)


def add_qwen_flags(
    parser: argparse.ArgumentParser, defaults: QwenOptions, names: Iterable[str] = QWEN_FLAGS
) -> None:
    """Add the flags that set `names`, in a group of their own."""
    group = parser.add_argument_group(
        "Qwen3-TTS", "What has no default here is as the checkpoint says."
    )
    for name in names:
        how = dict(_FLAGS[name])
        default = getattr(defaults, name)
        if default is not None and default is not False:
            how["help"] += " (default: %(default)s)"
        group.add_argument(f"--{name.replace('_', '-')}", default=default, **how)


def qwen_options(arguments: argparse.Namespace, defaults: QwenOptions) -> QwenOptions:
    """Return `defaults` with what the parsed flags say.

    Raises:
        InvalidRequestError: a value makes no sense.
    """
    given = vars(arguments)
    return replace(defaults, **{name: given[name] for name in QWEN_FLAGS if name in given})
