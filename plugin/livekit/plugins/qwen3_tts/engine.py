"""Where the engine lives, and how streams of any event loop reach it.

LiveKit runs each job on a loop of its own: in a process by default, in a thread with the THREAD
executor. A synthesizer lives on one loop. So one that is opened from an address gets a thread and a
loop for itself: it serves the jobs of all threads alike, outlives each of them, and is not held up
by what else an agent does on its loop. A call is a `call_soon_threadsafe` in one direction, an event
one in the other; nobody ever waits for the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future

from qwen3_tts_live import QwenOptions, Synthesizer, open_synthesizer
from qwen3_tts_live.errors import ClosedError
from qwen3_tts_live.synthesizer import Event, Finished, SynthesizerInfo

from .host import Begun, Heard, Host, Request, Speaker, Stopped

__all__ = ["Engine", "Speech"]

logger = logging.getLogger(__name__)


class Engine:
    """A synthesizer that several TTS objects, on several event loops, can share.

    Cheap to make: no thread, no connection and no model before it is first used. It ends with
    `aclose()`, with its last reference or with the process.

    Args:
        engine: an address (see `qwen3_tts_live.factory`), which is opened when it is needed; or a
            synthesizer that is already open on the event loop that is running now. That one stays
            its owner's to close.
        api_key: for a server that asks for one.
        qwen: how Qwen3-TTS runs; for `qwen:` addresses alone.
        load_timeout: seconds that a speech waits for a `qwen:` model to be loaded; the time-out of
            `conn_options` counts from then on.
        allow_per_process_model: do not warn about a model in a job process.
    """

    def __init__(
        self,
        engine: str | Synthesizer,
        *,
        api_key: str | None = None,
        qwen: QwenOptions | None = None,
        load_timeout: float = 600.0,
        allow_per_process_model: bool = False,
    ) -> None:
        self.address = engine if isinstance(engine, str) else None
        self._lock = threading.Lock()
        self._thread: _EngineThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if isinstance(engine, str):
            loads = engine.startswith("qwen:")
            self._host = Host(
                lambda: open_synthesizer(engine, qwen=qwen, api_key=api_key),
                load_timeout if loads else None,
            )
            if loads and not allow_per_process_model:
                _warn_in_a_job_process(engine)
        else:
            self._host = Host(lambda: _given(engine))
            self._host.info = engine.info
            self._loop = asyncio.get_running_loop()
            weakref.finalize(self, _on, self._loop, self._host.release)

    @property
    def info(self) -> SynthesizerInfo | None:
        """What the synthesizer can do; None as long as it was not opened."""
        return self._host.info

    @property
    def closed(self) -> bool:
        """Whether `aclose()` was called."""
        return self._host.closed

    def prewarm(self) -> None:
        """Open the engine, and a session for the first speech; returns at once."""
        self.call(self._host.prewarm)

    def speak(self, request: Request, *, stopped: Callable[[Stopped], None]) -> Speech:
        """Start a speech for the event loop that is running; returns at once.

        Args:
            request: how to speak.
            stopped: called on that loop when the engine has stopped after a `cancel()`.

        Raises:
            ClosedError: the engine was closed.
        """
        return Speech(self, self._host, request, stopped)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call `function` on the engine's loop; returns at once.

        Raises:
            ClosedError: the engine was closed.
        """
        with self._lock:
            if self._host.closed:
                raise ClosedError("the TTS was closed")
            if self._loop is None:
                self._thread = _EngineThread(self._host)
                self._loop = self._thread.loop
                weakref.finalize(self, self._thread.end)
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            raise ClosedError("the event loop of the TTS's synthesizer was closed") from None

    async def aclose(self) -> None:
        """Stop all speech and close the synthesizer, unless that was given. May be called twice."""
        with self._lock:
            self._host.closed = True
        if self._thread is not None:
            self._thread.end()
            await asyncio.shield(asyncio.wrap_future(self._thread.ended))
            self._thread.join()
        elif self._loop is not None and not self._loop.is_closed():
            closing = asyncio.run_coroutine_threadsafe(self._host.aclose(owned=False), self._loop)
            await asyncio.wrap_future(closing)


class Speech:
    """One speech: text in, what there is to hear out, on the loop on which it was made.

    Iterating ends with `Finished`, or raises what went wrong.
    """

    def __init__(
        self, engine: Engine, host: Host, request: Request, stopped: Callable[[Stopped], None]
    ) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Begun | Event | Exception] = asyncio.Queue()
        self._stopped = stopped
        self._over = False
        self._speaker = Speaker(host, request, self._tell)
        engine.call(self._speaker.start)

    def push_text(self, text: str) -> None:
        """Add text."""
        with contextlib.suppress(ClosedError):  # which the iteration raises
            self._engine.call(self._speaker.push_text, text)

    def end_input(self) -> None:
        """Say that no more text comes."""
        with contextlib.suppress(ClosedError):
            self._engine.call(self._speaker.end_input)

    def cancel(self) -> None:
        """Stop, unless it is over; never waits."""
        with contextlib.suppress(ClosedError):
            self._engine.call(self._speaker.cancel)

    def __aiter__(self) -> Speech:
        return self

    async def __anext__(self) -> Begun | Event:
        if self._over:
            raise StopAsyncIteration
        heard = await self._heard.get()
        self._over = isinstance(heard, Finished | Exception)
        if isinstance(heard, Exception):
            raise heard
        return heard

    def _tell(self, heard: Heard) -> bool:
        """Hand over what there is to hear; called on the engine's loop."""
        try:
            self._loop.call_soon_threadsafe(self._hear, heard)
        except RuntimeError:  # the job's loop was closed: nobody listens any more
            return False
        return True

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, Stopped):
            self._stopped(heard)
        else:
            self._heard.put_nowait(heard)


class _EngineThread:
    """A thread whose event loop a host lives on. Holds no reference to the `Engine`."""

    def __init__(self, host: Host) -> None:
        self.loop = asyncio.new_event_loop()
        self.ended: Future[None] = Future()
        self._end = asyncio.Event()
        # A daemon: a process that forgets to close its TTS must end all the same.
        self._thread = threading.Thread(
            target=self._run, args=(host,), name="qwen3-tts", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Ask for the end; never waits, as the collector may call this in any thread."""
        _on(self.loop, self._end.set)

    def join(self) -> None:
        """Wait until the thread is gone: no time at all once it has `ended`."""
        self._thread.join()

    def _run(self, host: Host) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self._until_the_end(host))
        finally:
            self.ended.set_result(None)

    async def _until_the_end(self, host: Host) -> None:
        await self._end.wait()
        await host.aclose(owned=True)


def _on(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # it was closed: there is nothing left to end
        loop.call_soon_threadsafe(function)


async def _given(synthesizer: Synthesizer) -> Synthesizer:
    return synthesizer


def _warn_in_a_job_process(address: str) -> None:
    if multiprocessing.parent_process() is not None:
        logger.warning(
            "%s is loaded into this job process, and again into each other one. Serve it once "
            "instead (engine='ws://...', or ensure_server() and its address), run jobs in threads "
            "with one shared Engine, or say allow_per_process_model=True",
            address,
        )
