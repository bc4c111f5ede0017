"""What opening a checkpoint does on the thread that will run it: fetch, load, clone.

Owns the choice of device and precision, and says with plain log lines how far it is. Knows
nothing about event loops; importing it imports torch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from qwen3_tts_live.backends.qwen import LoadedQwen
from qwen3_tts_live.backends.qwen_fetch import checkpoint_folder
from qwen3_tts_live.backends.qwen_options import QwenOptions
from qwen3_tts_live.errors import (
    BackendUnavailableError,
    ClosedError,
    InvalidRequestError,
    SpeechError,
)
from qwen3_tts_live.model.build import build_runner
from qwen3_tts_live.model.checkpoint import Checkpoint, load_checkpoint
from qwen3_tts_live.voices.cloning import Cloner
from qwen3_tts_live.voices.library import ClonedVoices
from qwen3_tts_live.voices.store import VoiceStore
from qwen3_tts_live.voices.voice import Voice, VoiceRegistry

__all__ = ["clone", "load"]

logger = logging.getLogger(__name__)

# The voice that `ref_audio` is.
_REFERENCE = "reference"
# The smallest real checkpoint; below it are those of tests, where int8 would only cost exactness.
_REAL_HIDDEN_SIZE = 1024
# Rows that a prompt may have: a minute of reference is 750, a long segment's text about 100.
_PROMPT_ROWS = 1024


def load(path_or_repo_id: str, options: QwenOptions, abandoned: threading.Event) -> LoadedQwen:
    """Load a checkpoint with its voices, and make its runner.

    Args:
        path_or_repo_id: which.
        options: how.
        abandoned: set once nobody waits for it any more; then it ends at the next stage.

    Raises:
        SpeechError: see `qwen_open.open_qwen`.
    """
    checkpoint, name = _checkpoint(path_or_repo_id, options, abandoned)
    with _stage("gathering its voices", abandoned):
        voices = VoiceRegistry(
            checkpoint.model_type,
            checkpoint.hidden_size,
            _voices(checkpoint, options),
            checkpoint.languages,
        )
    with _stage(f"making room for {options.slots} at once", abandoned):
        runner = build_runner(
            checkpoint,
            slots=options.slots,
            quantize=_quantize(checkpoint, options),
            max_length=options.max_frames + _PROMPT_ROWS,
        )
    return LoadedQwen(
        name=name,
        model=checkpoint,
        voices=voices,
        runner=runner,
        library=_library(checkpoint, voices, options),
    )


def clone(path_or_repo_id: str, name: str, options: QwenOptions) -> Voice:
    """Return the clone of `options.ref_audio`.

    Raises:
        SpeechError: see `qwen_open.clone_voice`.
    """
    never = threading.Event()  # its caller waits
    checkpoint, _ = _checkpoint(path_or_repo_id, options, never)
    with _stage("cloning the voice", never):
        return _clone(checkpoint, name, options)


def _checkpoint(
    path_or_repo_id: str, options: QwenOptions, abandoned: threading.Event
) -> tuple[Checkpoint, str]:
    """Return the checkpoint and its name: the last part of its folder or repository."""
    device = _device(options.device)
    dtype = _dtype(options.dtype, device)
    if options.quantize == "int8" and (device.type, dtype) != ("cpu", torch.float32):
        raise InvalidRequestError("int8 runs on a cpu with float32 around it; use quantize=none")
    folder = checkpoint_folder(path_or_repo_id)
    local = Path(path_or_repo_id).expanduser()
    name = (local.resolve() if local.is_dir() else local).name
    with _stage(f"loading {name} onto {device} in {str(dtype).removeprefix('torch.')}", abandoned):
        return load_checkpoint(folder, device=device, dtype=dtype), name


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # unknown, not built in, not there
        reason = str(error).splitlines()[0]
        raise InvalidRequestError(f"device {name} cannot be used: {reason}") from error


def _dtype(name: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    if name == "bfloat16" or (name == "auto" and device.type == "cuda"):
        return torch.bfloat16
    return torch.float32


def _quantize(checkpoint: Checkpoint, options: QwenOptions) -> Literal["none", "int8"]:
    if options.quantize != "auto":
        return options.quantize
    possible = (checkpoint.device.type, checkpoint.dtype) == ("cpu", torch.float32)
    return "int8" if possible and checkpoint.hidden_size >= _REAL_HIDDEN_SIZE else "none"


# ---------------------------------------------------------------- voices


def _voices(checkpoint: Checkpoint, options: QwenOptions) -> list[Voice]:
    """Return the checkpoint's voices, the one to use by default first."""
    if checkpoint.model_type != "base":
        if options.ref_audio is not None:
            raise InvalidRequestError(
                "only Base checkpoints clone a voice; this one speaks with "
                + ("its own speakers" if checkpoint.speakers else "the voice that --instruct says")
            )
        return list(checkpoint.speakers)
    cloned = [] if options.ref_audio is None else [_clone(checkpoint, _REFERENCE, options)]
    return cloned + list(_stored(VoiceStore(options.voices_folder)))


def _library(
    checkpoint: Checkpoint, voices: VoiceRegistry, options: QwenOptions
) -> ClonedVoices | None:
    if checkpoint.model_type != "base":
        return None
    reference = None if options.ref_audio is None else _REFERENCE
    kept = reference if options.speaker is None else voices.get(options.speaker).name
    if not voices.names:
        logger.warning("no voice yet: it speaks once a voice is added, or with --ref-audio")
    return ClonedVoices(voices, Cloner(checkpoint), VoiceStore(options.voices_folder), kept)


def _clone(checkpoint: Checkpoint, name: str, options: QwenOptions) -> Voice:
    if checkpoint.model_type != "base":
        raise InvalidRequestError("only Base checkpoints clone a voice")
    assert options.ref_audio is not None
    return Cloner(checkpoint).clone(name, options.ref_audio, options.ref_text)


def _stored(store: VoiceStore) -> Iterator[Voice]:
    for name in store.names():
        try:
            yield store.load(name)
        except InvalidRequestError as error:
            # One damaged file must not silence a server; whoever asks for it is told.
            logger.warning("%s", error.message)


# ---------------------------------------------------------------- progress


@contextmanager
def _stage(what: str, abandoned: threading.Event) -> Iterator[None]:
    """Say what is done and how long it took; say what went wrong in our own errors."""
    if abandoned.is_set():
        raise ClosedError("nobody waits for this any more")
    logger.info("%s", what)
    started = time.monotonic()
    try:
        yield
    except (SpeechError, ImportError):
        raise
    except torch.OutOfMemoryError as error:
        raise BackendUnavailableError(
            f"{what}: out of memory; use a smaller checkpoint, fewer slots or fewer max_frames"
        ) from error
    except Exception as error:
        logger.debug("%s failed", what, exc_info=True)
        raise BackendUnavailableError(f"{what} failed: {type(error).__name__}: {error}") from error
    logger.info("%s took %.1f s", what, time.monotonic() - started)
