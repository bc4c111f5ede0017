"""The one engine thread, and its asyncio face.

The thread owns the model: it makes the runner, takes commands from a queue, steps while there is
something to do and sleeps on that queue while there is not. What it makes reaches the event loop
with one `call_soon_threadsafe` a step. Knows nothing about voices, text or sessions.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.engine.core import EngineCore
from qwen3_tts_live.engine.guards import GuardLimits
from qwen3_tts_live.engine.metrics import EngineMetrics
from qwen3_tts_live.engine.requests import (
    FRAME_SAMPLES,
    Append,
    Audio,
    Cancel,
    ChunkSchedule,
    Command,
    Ended,
    EndReason,
    Event,
    Failed,
    Request,
    Submit,
    Taken,
)
from qwen3_tts_live.errors import BackendUnavailableError, ClosedError, SpeechError
from qwen3_tts_live.model.contract import Prompt, Runner, Sampling

__all__ = ["Engine", "EngineSpeech"]

logger = logging.getLogger(__name__)


class EngineSpeech:
    """One request, as its owner on the event loop sees it."""

    def __init__(self, request: Request, send: Callable[[Command], None]) -> None:
        self.reason: EndReason | None = None  # set when it has ended well
        self._id = request.id
        self._send = send
        self._over = asyncio.Event()
        # Bounded by the request's `max_ahead`: the engine parks before it makes more.
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def append_text(self, text_ids: Sequence[int], *, complete: bool) -> None:
        """Add text that arrived; `complete` says that no more comes."""
        self._send(Append(self._id, tuple(text_ids), complete))

    async def audio(self) -> AsyncGenerator[NDArray[np.int16], None]:
        """Yield the chunks, (n,) samples at 24 kHz each, until the speech is over.

        Asking for the next chunk says that the last one was taken. Does not stop the speech when
        it is closed: call `stop()`.

        Raises:
            SpeechError: the request failed.
        """
        while True:
            match await self._events.get():
                case Audio(_, samples):
                    yield samples
                    self._send(Taken(self._id, len(samples) // FRAME_SAMPLES))
                case Ended():
                    return
                case Failed(_, error):
                    raise error

    async def stop(self, asked: float) -> None:
        """Stop it if it is not over, and return when its slot is free.

        Args:
            asked: the engine clock's time at which its owner wanted that, for the metrics.
        """
        if not self._over.is_set():
            self._send(Cancel(self._id, asked))
            await self._over.wait()

    def receive(self, event: Event) -> None:
        """Take an event of the engine; the last one ends it."""
        match event:
            case Audio():
                pass
            case Ended(_, reason):
                self.reason = reason
                self._over.set()
            case Failed():
                self._over.set()
            case _:
                assert_never(event)
        self._events.put_nowait(event)


class Engine:
    """A runner on its own thread, shared by all speeches of one event loop.

    Use `Engine.open()`.
    """

    def __init__(self, clock: Callable[[], float], max_queued: int) -> None:
        self.clock = clock
        self.metrics = EngineMetrics()  # replaced as a whole by the thread, after each turn
        self._max_queued = max_queued
        self._loop = asyncio.get_running_loop()
        self._commands: SimpleQueue[Command | None] = SimpleQueue()  # None: close
        self._closing = threading.Event()
        self._speeches: dict[int, EngineSpeech] = {}
        self._numbers = itertools.count(1)
        self._gone: SpeechError | None = None  # why it takes no requests any more
        self._thread: threading.Thread | None = None

    @classmethod
    async def open(
        cls,
        make_runner: Callable[[], Runner],
        *,
        clock: Callable[[], float] = time.monotonic,
        max_queued: int = 1024,
    ) -> Engine:
        """Start the thread, make the runner on it, and return when that is done.

        Args:
            make_runner: called on the engine's thread; what it raises is raised here.
            clock: seconds, rising.
            max_queued: requests that may wait for a slot; more fail with CapacityError.
        """
        engine = cls(clock, max_queued)
        ready: asyncio.Future[None] = engine._loop.create_future()
        # A daemon: a program that forgets to close its synthesizer must still be able to end.
        engine._thread = threading.Thread(
            target=engine._run, args=(make_runner, ready), name="qwen3-tts-engine", daemon=True
        )
        engine._thread.start()
        try:
            await ready
        except BaseException:
            engine._commands.put(None)  # cancelled while it loads: end as soon as it has
            raise
        return engine

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return self._gone is None

    def submit(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        limits: GuardLimits | None = None,
        chunks: ChunkSchedule | None = None,
        max_ahead: int = 12,
    ) -> EngineSpeech:
        """Queue a request; see `requests.Request`.

        Raises:
            SpeechError: the engine was closed, or has died.
        """
        if self._gone is not None:
            raise type(self._gone)(self._gone.message) from self._gone.__cause__
        request = Request(
            id=next(self._numbers),
            prompt=prompt,
            sampling=sampling,
            limits=limits or GuardLimits(),
            chunks=chunks or ChunkSchedule(),
            max_ahead=max_ahead,
        )
        speech = self._speeches[request.id] = EngineSpeech(request, self._commands.put)
        self._commands.put(Submit(request))
        return speech

    async def aclose(self) -> None:
        """End every request with ClosedError and the thread. May be called twice."""
        self._commands.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    # ------------------------------------------------------------ on the event loop

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            self._speeches[event.id].receive(event)
            if not isinstance(event, Audio):
                del self._speeches[event.id]

    def _end(self, error: SpeechError) -> None:
        """Take no more requests; those that the thread has not seen fail with `error`."""
        self._gone = error
        self.metrics = replace(self.metrics, alive=False)
        self._deliver([Failed(request_id, error) for request_id in self._speeches])

    # ------------------------------------------------------------ on the engine's thread

    def _run(self, make_runner: Callable[[], Runner], ready: asyncio.Future[None]) -> None:
        outbox: list[Event] = []
        try:
            runner = make_runner()
        except Exception as error:
            logger.debug("the runner could not be made", exc_info=True)
            self._tell(partial(_set_exception, ready, error))
            return
        core = EngineCore(runner, emit=outbox.append, clock=self.clock, max_queued=self._max_queued)
        self._tell(partial(_set_result, ready))
        end: SpeechError = ClosedError("the engine was closed")
        try:
            self._turn_until_closed(core, outbox)
            core.close(end)
        except Exception as error:
            logger.exception("the engine died; open the synthesizer again")
            end = BackendUnavailableError(
                f"the engine died: {type(error).__name__}: {error}; restart it"
            )
            end.__cause__ = error
        self._flush(core, outbox)
        self._tell(partial(self._end, end))

    def _turn_until_closed(self, core: EngineCore, outbox: list[Event]) -> None:
        receive = partial(self._receive, core)
        while not self._closing.is_set():
            if core.idle:
                self._handle(core, self._commands.get())
            receive()
            if not core.idle:
                core.step(receive)
            self._flush(core, outbox)

    def _receive(self, core: EngineCore) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            self._handle(core, command)

    def _handle(self, core: EngineCore, command: Command | None) -> None:
        if command is None:
            self._closing.set()
        else:
            core.handle(command)

    def _flush(self, core: EngineCore, outbox: list[Event]) -> None:
        self.metrics = core.metrics()
        if outbox:
            self._tell(partial(self._deliver, tuple(outbox)))
            outbox.clear()

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop was closed without closing the engine: nobody listens
            logger.debug("the event loop is gone; the engine ends")
            self._closing.set()


def _set_result(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _set_exception(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
