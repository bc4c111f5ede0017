"""One turn of the engine: plan, run, deliver. Lives on one thread, and is plain calls on it.

Owns the runner and the truth about slots: a request is over for its owner only after its slot
was released here. Knows nothing about asyncio, threads or text.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.engine.metrics import EngineMetrics
from qwen3_tts_live.engine.requests import (
    FRAME_SAMPLES,
    Append,
    Audio,
    Cancel,
    Command,
    Ended,
    EndReason,
    Event,
    Failed,
    Request,
    Submit,
    Taken,
)
from qwen3_tts_live.engine.scheduler import Scheduler, Speech
from qwen3_tts_live.errors import BackendCrashedError, CapacityError, SpeechError
from qwen3_tts_live.model.contract import Runner

__all__ = ["EngineCore"]

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

# 20 ms at the end of a speech that a guard cut: 0 is a click, much more eats a word's end.
_FADE_SAMPLES = 480

# Failed steps in a row after which the model is taken to be broken for good (a lost device fails
# every step). One alone may be one request's fault; each further one fails the callers in it.
_MOST_FAILURES = 8


class EngineCore:
    """The engine without its thread; belongs to the thread that makes it.

    Args:
        runner: the model.
        emit: takes each event as it happens.
        clock: seconds, rising.
        max_queued: requests that may wait for a slot; more are refused.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        max_queued: int = 1024,
    ) -> None:
        self._runner = runner
        self._emit = emit
        self._clock = clock
        self._max_queued = max_queued
        self._scheduler = Scheduler(runner.slots)
        self._owner = threading.get_ident()
        self._ended: Counter[str] = Counter()
        self._steps = self._slot_steps = self._frames = self._batch = self._failures = 0
        self._step_seconds = self._last_step_seconds = 0.0
        self._cancel_seconds = self._last_cancel_seconds = 0.0

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing until a command comes."""
        return self._scheduler.idle

    def metrics(self) -> EngineMetrics:
        """Return the numbers as they are now."""
        return EngineMetrics(
            steps=self._steps,
            frames=self._frames,
            slot_steps=self._slot_steps,
            batch=self._batch,
            step_seconds=self._step_seconds,
            last_step_seconds=self._last_step_seconds,
            active=self._scheduler.active,
            queued=self._scheduler.queued,
            parked=self._scheduler.count("parked"),
            waiting_text=self._scheduler.count("waiting_text"),
            ended=dict(self._ended),
            cancel_seconds=self._cancel_seconds,
            last_cancel_seconds=self._last_cancel_seconds,
        )

    def handle(self, command: Command) -> None:
        """Do what a command says. One for a request that is over does nothing."""
        assert threading.get_ident() == self._owner
        match command:
            case Submit(request):
                self._submit(request)
            case Append():
                self._append(command)
            case Taken(request_id, frames):
                if (speech := self._scheduler.get(request_id)) is not None:
                    speech.taken(frames)
            case Cancel(request_id, asked):
                if (speech := self._scheduler.get(request_id)) is not None:
                    self._finish(speech, "cancelled")
                    self._last_cancel_seconds = self._clock() - asked
                    self._cancel_seconds = max(self._cancel_seconds, self._last_cancel_seconds)
            case _:
                assert_never(command)

    def step(self, receive: Callable[[], None] = lambda: None) -> None:
        """Start what can start, decode a frame for each speech that runs, vocode what is due.

        Args:
            receive: called between the parts, for commands that came meanwhile: a request that
                was cancelled during the prefill of another decodes nothing.
        """
        assert threading.get_ident() == self._owner
        started = self._clock()
        for speech in self._scheduler.admit():
            self._start(speech)
        receive()
        self._decode()
        receive()
        for frames, speeches in self._scheduler.to_vocode().items():
            self._vocode(speeches, frames)
        self._finish_all()
        self._steps += 1
        self._last_step_seconds = self._clock() - started
        self._step_seconds += self._last_step_seconds

    def close(self, error: SpeechError) -> None:
        """End every request with `error`."""
        for speech in self._scheduler.all():
            self._fail(speech, error)

    # ------------------------------------------------------------ commands

    def _submit(self, request: Request) -> None:
        if self._scheduler.queued >= self._max_queued:
            full = CapacityError(f"{self._max_queued} requests wait for a slot", retry_after=1.0)
            self._ended["failed"] += 1
            self._emit(Failed(request.id, full))
            return
        self._end_if_silent(self._scheduler.submit(request))

    def _append(self, command: Append) -> None:
        speech = self._scheduler.get(command.id)
        if speech is None:
            return
        ids, complete = command.text_ids, command.complete
        speech.append(ids, complete=complete)
        slot = speech.slot
        if slot is None:
            self._end_if_silent(speech)
        elif speech.end is None:
            self._run([speech], lambda: self._runner.append_text(slot, ids, complete=complete))

    def _end_if_silent(self, speech: Speech) -> None:
        if speech.says_nothing:
            self._finish(speech, "eos")

    # ------------------------------------------------------------ the parts of a step

    def _start(self, speech: Speech) -> None:
        slot = _slot(speech)
        prompt, sampling = speech.prompt, speech.request.sampling
        self._run([speech], lambda: self._runner.start(slot, prompt, sampling))

    def _decode(self) -> None:
        speeches = self._scheduler.to_decode()
        self._batch = len(speeches)
        self._slot_steps += len(speeches)
        if not speeches:
            return
        slots = [_slot(speech) for speech in speeches]
        frames = self._run(speeches, lambda: self._runner.decode(slots))
        if frames is None:
            return
        self._failures = 0
        by_slot = dict(zip(slots, speeches, strict=True))
        for frame in frames:
            speech = by_slot[frame.slot]
            speech.decoded(frame)
            self._frames += frame.codes is not None

    def _vocode(self, speeches: Sequence[Speech], frames: int) -> None:
        slots = [_slot(speech) for speech in speeches]
        chunks = self._run(speeches, lambda: self._runner.vocode(slots, frames))
        if chunks is None:
            return
        for speech, samples in zip(speeches, chunks, strict=True):
            assert samples.shape == (frames * FRAME_SAMPLES,)
            speech.vocoded(frames)
            cut = speech.end not in (None, "eos") and not speech.pending
            self._emit(Audio(speech.request.id, _faded(samples) if cut else samples))

    def _run(self, speeches: Sequence[Speech], call: Callable[[], _Result]) -> _Result | None:
        """Return what the runner says; where it raises, fail `speeches` and return None."""
        try:
            return call()
        except SpeechError as error:  # the request's own fault, in the runner's words
            for speech in speeches:
                self._fail(speech, error)
            return None
        except Exception as error:
            self._failures += 1
            logger.exception("the model failed in a step; %d requests end", len(speeches))
            for speech in speeches:
                self._fail(speech, _crash(error))
            if self._failures >= _MOST_FAILURES:
                raise
            return None

    # ------------------------------------------------------------ ends

    def _finish_all(self) -> None:
        for speech in self._scheduler.finished():
            assert speech.end is not None
            self._finish(speech, speech.end)

    def _finish(self, speech: Speech, reason: EndReason) -> None:
        self._release(speech)
        self._ended[reason] += 1
        if reason not in ("eos", "cancelled"):
            request = speech.request
            request.context.run(logger.warning, "guard %s ended speech %d", reason, request.id)
        self._emit(Ended(speech.request.id, reason))

    def _fail(self, speech: Speech, error: SpeechError) -> None:
        self._release(speech)
        self._ended["failed"] += 1
        self._emit(Failed(speech.request.id, error))

    def _release(self, speech: Speech) -> None:
        self._scheduler.remove(speech)
        if speech.slot is not None:
            self._runner.release(speech.slot)


def _slot(speech: Speech) -> int:
    assert speech.slot is not None
    return speech.slot


def _faded(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    faded = samples.astype(np.float32)
    faded[-_FADE_SAMPLES:] *= np.linspace(1.0, 0.0, _FADE_SAMPLES, dtype=np.float32)
    return np.rint(faded).astype(np.int16)


def _crash(error: Exception) -> BackendCrashedError:
    failure = BackendCrashedError(f"the model failed: {type(error).__name__}: {error}; try again")
    failure.__cause__ = error
    return failure
