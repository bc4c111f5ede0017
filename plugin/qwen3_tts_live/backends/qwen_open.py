"""From a checkpoint's name to a backend that has spoken; undone as a whole where that fails.

Imports no torch: importing it and loading take seconds, and happen on the engine's thread while
the event loop goes on. What happens there is in `qwen_load.py`, which is imported by name.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from types import ModuleType
from typing import TypeVar, cast

import numpy as np

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.backend import Pcm, Segment, to_the_end
from qwen3_tts_live.backends.qwen import LoadedQwen, QwenBackend
from qwen3_tts_live.backends.qwen_options import QwenOptions
from qwen3_tts_live.engine.engine import Engine
from qwen3_tts_live.errors import BackendUnavailableError
from qwen3_tts_live.model.contract import Runner
from qwen3_tts_live.voices.reference import load_reference
from qwen3_tts_live.voices.voice import Voice, VoiceRegistry

__all__ = ["clone_voice", "open_qwen"]

logger = logging.getLogger(__name__)

_WARM_UP_TEXT = {"Chinese": "你好,很高兴认识你。"}
# Every size of chunk that the usual schedules have comes within 16 frames, 1.3 s of audio.
_WARM_UP_SECONDS = 16 * 0.08

_Result = TypeVar("_Result")


async def open_qwen(path_or_repo_id: str, options: QwenOptions) -> QwenBackend:
    """Load a checkpoint and return when it has spoken a first text.

    Raises:
        InvalidRequestError: it is no checkpoint, or the options do not fit it.
        BackendUnavailableError: something is not installed, or it could not be downloaded or
            loaded.
    """
    options = await _with_checked_reference(options)
    abandoned = threading.Event()  # set where nobody waits for it any more
    loaded: list[LoadedQwen] = []

    def make_runner() -> Runner:
        loaded.append(_with_torch(lambda load: load.load(path_or_repo_id, options, abandoned)))
        return loaded[0].runner

    try:
        engine = await Engine.open(make_runner)
    except BaseException:
        abandoned.set()
        raise
    try:
        backend = QwenBackend(loaded[0], engine, options)
        await _warm_up(QwenBackend(_with_a_voice(loaded[0]), engine, options))
    except BaseException:
        await to_the_end(engine.aclose())
        raise
    return backend


async def clone_voice(path_or_repo_id: str, name: str, options: QwenOptions) -> Voice:
    """Return the clone of `options.ref_audio`, for checkpoints of that one's size.

    Raises:
        InvalidRequestError: it is no Base checkpoint, or the audio is not usable.
        BackendUnavailableError: see `open_qwen`.
    """
    options = await _with_checked_reference(options)
    return await asyncio.to_thread(
        lambda: _with_torch(lambda load: cast(Voice, load.clone(path_or_repo_id, name, options)))
    )


def _with_torch(work: Callable[[ModuleType], _Result]) -> _Result:
    try:
        return work(importlib.import_module("qwen3_tts_live.backends.qwen_load"))
    except ImportError as error:
        raise BackendUnavailableError(
            f"Qwen3-TTS cannot be loaded ({error}): pip install 'qwen3-tts-live[qwen]'"
        ) from error


async def _with_checked_reference(options: QwenOptions) -> QwenOptions:
    """Read the reference now: what is wrong with it should not come out after a download."""
    if options.ref_audio is None:
        return options
    samples = await asyncio.to_thread(load_reference, options.ref_audio)
    return replace(options, ref_audio=(samples, SAMPLE_RATE))


def _with_a_voice(loaded: LoadedQwen) -> LoadedQwen:
    """Return it as it is, or with nobody's voice where it still waits for its first."""
    model = loaded.model
    if loaded.voices.names or model.model_type != "base":
        return loaded
    nobody = Voice(name="nobody", embedding=np.zeros(model.hidden_size, np.float32))
    voices = VoiceRegistry(model.model_type, model.hidden_size, [nobody], model.languages)
    return replace(loaded, voices=voices)


async def _warm_up(backend: QwenBackend) -> None:
    """Speak a little, which runs every part of the model once."""
    started = time.monotonic()
    language = backend.languages[0] if backend.languages else "Auto"
    text = _WARM_UP_TEXT.get(language, "Hello, it is nice to meet you.")
    heard = 0.0
    async with aclosing(backend.synthesize(Segment(text=text, language=language))) as events:
        async for event in events:
            heard += len(event.samples) / SAMPLE_RATE if isinstance(event, Pcm) else 0
            if heard >= _WARM_UP_SECONDS:
                break
    seconds = time.monotonic() - started
    logger.info("%s spoke %.1f s in %.1f s and is ready", backend.name, heard, seconds)
