"""The embedded voice: eSpeak NG in worker processes. No model, no GPU, ten languages.

It is there so that everything around the voice can be heard, tried and tested on any machine
in two minutes. It sounds like the robot it is. Japanese is read from kana only.

Owns the worker processes. Knows nothing about sessions; see `preview_worker.py` for the pipe.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Coroutine

import numpy as np

from qwen3_tts_live.backend import BackendEvent, Pcm, Segment, Word, to_the_end
from qwen3_tts_live.backends import preview_wire as wire
from qwen3_tts_live.errors import (
    BackendCrashedError,
    BackendError,
    BackendUnavailableError,
    ClosedError,
    SpeechError,
)

__all__ = ["PreviewBackend"]

_ESPEAK_LANGUAGE = {
    "Chinese": "cmn",
    "English": "en-us",
    "Japanese": "ja",
    "Korean": "ko",
    "German": "de",
    "French": "fr",
    "Russian": "ru",
    "Portuguese": "pt-br",
    "Spanish": "es",
    "Italian": "it",
}
_ESPEAK_VARIANT = {"default": "", "female": "+f3", "deep": "+m3", "whisper": "+whisper"}

# A worker answers a stop within one callback, far below a millisecond; the rest of this is for a
# machine that is busy. One that takes longer is stuck, and is replaced.
_STOP_SECONDS = 2.0
_START_SECONDS = 20.0
_PIPE_BROKEN = (OSError, asyncio.IncompleteReadError)
_BLANK = dict.fromkeys((*range(32), *range(127, 160), *range(0xD800, 0xE000)), " ")


class PreviewBackend:
    """eSpeak NG as a backend.

    Args:
        workers: processes, each speaking one segment at a time. Segments beyond that wait; as
            eSpeak speaks several hundred times faster than real time, few are enough.

    Use `PreviewBackend.open()`, which also starts the workers.
    """

    name = "preview"
    languages = tuple(_ESPEAK_LANGUAGE)
    voices = tuple(_ESPEAK_VARIANT)

    def __init__(self, workers: int | None = None) -> None:
        self._workers = [_Worker() for _ in range(workers or min(4, os.cpu_count() or 1))]
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._at_work: set[asyncio.Task[None]] = set()  # each starts a worker or speaks with one
        self._closed = False

    @classmethod
    async def open(cls, workers: int | None = None) -> PreviewBackend:
        """Start the workers and return when all are ready.

        Raises:
            BackendUnavailableError: espeakng-loader is not installed, or does not run here.
        """
        if importlib.util.find_spec("espeakng_loader") is None:
            raise BackendUnavailableError(
                "the embedded voice needs espeakng-loader: pip install 'qwen3-tts-live[preview]'"
            )
        backend = cls(workers)
        try:
            await asyncio.gather(*(backend._work(worker.start()) for worker in backend._workers))
        except BaseException:
            await backend.aclose()
            raise
        for worker in backend._workers:
            backend._idle.put_nowait(worker)
        return backend

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Speak `segment`; see `backend.Backend`."""
        if self._closed:
            raise ClosedError("the embedded voice was closed")
        voice = _ESPEAK_LANGUAGE[segment.language] + _ESPEAK_VARIANT[segment.voice or "default"]
        text = segment.text.translate(_BLANK)  # one character for one: offsets stay true
        worker = await self._idle.get()
        if self._closed:
            self._idle.put_nowait(worker)  # for the next who waits, to be told the same
            raise ClosedError("the embedded voice was closed")
        speech = _Speech(worker, json.dumps({"text": text, "voice": voice}).encode())
        speech.task = self._work(speech.run())
        # The worker is free again as soon as it has spoken: a consumer that is slow to take a
        # segment must not keep others waiting.
        speech.task.add_done_callback(lambda _: self._idle.put_nowait(worker))
        try:
            while (event := await speech.events.get()) is not None:
                if isinstance(event, SpeechError):
                    raise event
                yield event
        finally:
            await to_the_end(speech.stop())

    def _work(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="preview-worker")
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return task

    async def aclose(self) -> None:
        """End the workers, also those that are just being started."""
        self._closed = True
        at_work = tuple(self._at_work)
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)  # told to those who wait for them
        await asyncio.gather(*(worker.aclose() for worker in self._workers))


class _Speech:
    """One segment being spoken by one worker, into an unbounded queue.

    The queue holds at most one segment, which the front end keeps to a few sentences.
    """

    def __init__(self, worker: _Worker, request: bytes) -> None:
        self.events: asyncio.Queue[BackendEvent | SpeechError | None] = asyncio.Queue()
        self.task: asyncio.Task[None]
        self._worker = worker
        self._request = request

    async def run(self) -> None:
        try:
            async for event in self._worker.speak(self._request):
                self.events.put_nowait(event)
        except BackendError as error:
            self.events.put_nowait(error)
        except asyncio.CancelledError:
            self.events.put_nowait(ClosedError("the embedded voice was closed"))
            raise
        else:
            self.events.put_nowait(None)

    async def stop(self) -> None:
        """Return when the worker is no longer at it."""
        if not self.task.done():
            self._worker.ask_to_stop()
            await asyncio.wait([self.task], timeout=_STOP_SECONDS)
        if not self.task.done():
            await self._worker.aclose()  # stuck: the next request starts a new process
            await asyncio.wait([self.task])


class _Worker:
    """One worker process, started again when it has died."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", wire.WORKER_MODULE, stdin=PIPE, stdout=PIPE
            )
            async with asyncio.timeout(_START_SECONDS):
                kind, payload = await self._receive()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            await self.aclose()
            raise BackendUnavailableError(
                f"the embedded voice's process did not start: {error!r}"
            ) from error
        if kind != wire.READY:
            await self.aclose()
            raise BackendUnavailableError(f"the embedded voice: {payload.decode()}")

    async def speak(self, request: bytes) -> AsyncGenerator[BackendEvent, None]:
        """Send a request and yield what comes back until it is done."""
        if self._process is None or self._process.returncode is not None:
            await self.start()
        try:
            first = await self._ask(request)
        except _PIPE_BROKEN:  # it died while it was idle, and its end was not noticed yet
            await self.aclose()
            await self.start()
            first = None
        try:
            answer = first or await self._ask(request)
            while (event := _decode(*answer)) is not None:
                yield event
                answer = await self._receive()
        except _PIPE_BROKEN as error:
            await self.aclose()
            raise BackendCrashedError(
                "the embedded voice's process died while it spoke; it will be started again"
            ) from error

    def ask_to_stop(self) -> None:
        """Ask for an early end of the current request; never waits."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(wire.LENGTH.pack(0))

    async def aclose(self) -> None:
        """End the process. Does nothing if there is none."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.kill()  # it holds nothing that a gentler end would save
        await process.wait()

    async def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send `request` and return the first message of its answer."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(wire.LENGTH.pack(len(request)) + request)
        await self._process.stdin.drain()
        return await self._receive()

    async def _receive(self) -> tuple[bytes, bytes]:
        if self._process is None or self._process.stdout is None:
            raise OSError("the process was ended")
        header = await self._process.stdout.readexactly(wire.HEADER.size)
        kind, size = wire.HEADER.unpack(header)
        return kind, await self._process.stdout.readexactly(size)


def _decode(kind: bytes, payload: bytes) -> BackendEvent | None:
    if kind == wire.PCM:
        return Pcm(np.frombuffer(payload, dtype="<i2").astype(np.int16, copy=False))
    if kind == wire.WORD_PLACED:
        return Word(*wire.WORD.unpack(payload))
    if kind == wire.DONE:
        return None
    raise BackendError(f"the embedded voice: {payload.decode()}")
