"""The engine's side of the plugin: a synthesizer on its event loop, and what is being spoken.

All of this runs on the engine's loop. Knows the seam; knows nothing of LiveKit, nor of who listens
on which loop: what a speaker has to say goes out through the one function that it was given.

**A session for each speech.** A session plays its utterances one after another, and LiveKit has
several streams at once that must not wait for each other: the next segment's while this one still
plays, preemptive ones whose text may never end, those of other rooms. So a speech has a session to
itself for as long as it lasts. Sessions that have gone silent are kept for the next speech: that
saves a round trip to a server, and a session has learnt how fast its voice speaks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from qwen3_tts_live.audio import AudioChunk
from qwen3_tts_live.errors import BackendUnavailableError, ClosedError, SpeechError
from qwen3_tts_live.synthesizer import (
    Event,
    Finished,
    InterruptReport,
    Session,
    SessionOptions,
    Synthesizer,
    SynthesizerInfo,
    Utterance,
)

__all__ = ["Begun", "Heard", "Host", "Request", "Speaker", "Stopped"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A stop takes one step of an engine and a round trip; after this long nobody will answer.
_STOP_SECONDS = 5.0
# A room has two or three streams at once, and a burst of them must not fill a server with sessions.
_MAX_IDLE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How one speech is to be made.

    Attributes:
        options: the voice and so on.
        lead: seconds that audio may be handed on before it is played; None for no limit.
        timeout: seconds that the engine may take to open, and between two signs of life once it
            has all the text.
    """

    options: SessionOptions
    lead: float | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Begun:
    """The engine has taken the speech on, after `seconds`; `reused` if a session was at hand."""

    seconds: float
    reused: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine no longer works on a speech that was cancelled, `seconds` after it was told."""

    seconds: float
    report: InterruptReport


Heard: TypeAlias = Begun | Event | Stopped | Exception


class Host:
    """A synthesizer and its idle sessions.

    Args:
        open_: opens the synthesizer; called again when that was lost.
        load_timeout: seconds that a speech waits for that, before its own time begins to count;
            None where nothing is loaded, and opening is part of a speech's time.
    """

    def __init__(
        self,
        open_: Callable[[], Coroutine[Any, Any, Synthesizer]],
        load_timeout: float | None = None,
    ) -> None:
        self.info: SynthesizerInfo | None = None
        self._open = open_
        self._load_timeout = load_timeout
        self._opening: asyncio.Task[Synthesizer] | None = None
        self._prewarming = False
        self._idle: list[Session] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.speakers: set[Speaker] = set()
        self.closed = False

    async def synthesizer(self) -> Synthesizer:
        """Return the synthesizer; the first caller opens it, and giving up does not stop that."""
        synthesizer = await asyncio.shield(self._begin_opening())
        self.info = synthesizer.info
        return synthesizer

    async def loaded(self) -> None:
        """Wait for a model that is loaded in this process, which can take minutes.

        Raises:
            BackendUnavailableError: it took too long, and goes on.
            SpeechError: it cannot be loaded.
        """
        if self._load_timeout is None or (opening := self._begin_opening()).done():
            return
        limit = f"{self._load_timeout:g} s"
        logger.info("speech waits for the model to be loaded, %s at most", limit)
        try:
            async with asyncio.timeout(self._load_timeout):
                await asyncio.shield(opening)
        except TimeoutError:
            raise BackendUnavailableError(
                f"the model is still being loaded after {limit}"
            ) from None

    def _begin_opening(self) -> asyncio.Task[Synthesizer]:
        if self.closed:
            raise ClosedError("the TTS was closed")
        opening = self._opening
        if opening is None or (opening.done() and _failed(opening)):
            opening = self._opening = self.spawn(self._open())
        return opening

    async def begin(self, options: SessionOptions) -> tuple[Session, Utterance, bool]:
        """Return a session of its own for an utterance, the utterance, and if it was idle."""
        while self._idle:
            session = self._idle.pop()
            try:
                return session, self._utter(session, options), True
            except ClosedError:  # it was idle for too long, or its server has gone
                logger.debug("an idle session was closed; taking another")
        opening = self.spawn(self._new_session())
        try:
            session = await asyncio.shield(opening)
        except asyncio.CancelledError:  # in the middle of a round trip: the next speech takes it
            opening.add_done_callback(self._keep)
            raise
        return session, self._utter(session, options), False

    def _utter(self, session: Session, options: SessionOptions) -> Utterance:
        try:
            return session.utter(options=options)
        except ClosedError:
            raise
        except SpeechError:  # refused: the session is as good as before
            self.give_back(session)
            raise

    async def _new_session(self) -> Session:
        try:
            return await (await self.synthesizer()).open_session()
        except ClosedError:
            if self.closed:
                raise
            self._opening = None  # somebody closed it: open another
            return await (await self.synthesizer()).open_session()

    def _keep(self, opening: asyncio.Task[Session]) -> None:
        if not _failed(opening):
            self.give_back(opening.result())

    def prewarm(self) -> None:
        """Open the synthesizer and a session, unless that was done or is being done."""
        if not (self._prewarming or self._idle or self.speakers):
            self._prewarming = True
            _ = self.spawn(self._prewarm())

    async def _prewarm(self) -> None:
        try:
            self.give_back(await self._new_session())
        except (SpeechError, OSError) as error:  # the first stream will say so, and try again
            logger.warning("the engine could not be opened in advance: %s", error)
        finally:
            self._prewarming = False

    def give_back(self, session: Session) -> None:
        """Keep a session that has nothing to say any more."""
        if self.closed or len(self._idle) >= _MAX_IDLE:
            self.discard(session)
        else:
            self._idle.append(session)

    def discard(self, session: Session) -> None:
        """Close a session that cannot be relied on, without waiting for it."""
        _ = self.spawn(self._discard(session))

    async def _discard(self, session: Session) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await session.aclose()
        except (SpeechError, OSError) as error:
            logger.debug("a session did not close: %r", error)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that the host keeps until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def release(self) -> None:
        """Stop all speech and close the sessions, without waiting for that."""
        self.closed = True
        for speaker in list(self.speakers):
            speaker.cancel()
        while self._idle:
            self.discard(self._idle.pop())

    async def aclose(self, *, owned: bool) -> None:
        """Stop all speech; close the synthesizer too if it is `owned`."""
        self.release()
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            opening.cancel()
        # A server that has fallen silent answers none of it: so all at once.
        ends = {task for task in self._tasks if task is not opening}
        if owned and opening is not None and opening.done() and not _failed(opening):
            ends.add(self.spawn(opening.result().aclose()))
        if ends:
            await asyncio.wait(ends, timeout=2 * _STOP_SECONDS)


class Speaker:
    """One speech, from its first text to its end.

    Args:
        host: whose synthesizer speaks.
        request: how.
        tell: takes what there is to hear. Returns False when nobody listens any more.
    """

    def __init__(self, host: Host, request: Request, tell: Callable[[Heard], bool]) -> None:
        self._host = host
        self._request = request
        self._tell = tell
        self._text: list[str] = []  # that came before the utterance was there
        self._ended = False
        self._session: Session | None = None
        self._utterance: Utterance | None = None
        self._limit: asyncio.Timeout | None = None  # while an event is waited for
        self._task: asyncio.Task[None] | None = None
        self._over = self._stopping = False
        self._played_until = 0.0

    def start(self) -> None:
        """Begin to speak."""
        self._task = self._host.spawn(self._run())
        self._host.speakers.add(self)
        self._task.add_done_callback(lambda _: self._host.speakers.discard(self))

    def push_text(self, text: str) -> None:
        """Add text."""
        if self._utterance is None:
            self._text.append(text)
            return
        try:
            self._utterance.push_text(text)
        except SpeechError as error:
            self._tell(error)
            if self._task is not None:
                self._task.cancel()

    def end_input(self) -> None:
        """Say that no more text comes; from here on the engine must not fall silent."""
        self._ended = True
        if self._utterance is not None:
            self._utterance.end_input()
        if self._limit is not None:
            self._limit.reschedule(self._deadline())

    def cancel(self) -> None:
        """Stop. What the engine says about it is told when it has stopped."""
        if self._over or self._stopping or self._task is None:
            return
        self._stopping = True
        if self._session is None:
            self._task.cancel()
        else:
            _ = self._host.spawn(self._interrupt(self._session, self._task))

    async def _interrupt(self, session: Session, task: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                report = await session.interrupt()
        except (SpeechError, OSError) as error:
            logger.debug("the engine did not confirm a stop: %r", error)
            self._host.discard(session)
        else:
            self._host.give_back(session)
            self._tell(Stopped(loop.time() - asked_at, report))
        task.cancel()  # it may be waiting for the time to hand on what it has

    async def _run(self) -> None:
        try:
            await self._speak()
        except asyncio.CancelledError:
            self._tell(ClosedError("the speech was cancelled"))
            raise
        except (SpeechError, OSError) as error:  # a TimeoutError is an OSError
            self._tell(error)
        except Exception as error:
            logger.exception("a speech failed")
            self._tell(error)
        finally:
            self._over = True
            if self._utterance is not None:
                self._utterance.cancel()

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        await self._host.loaded()
        async with asyncio.timeout(self._request.timeout):
            session, utterance, reused = await self._host.begin(self._request.options)
        self._session, self._utterance = session, utterance
        try:
            self._tell(Begun(loop.time() - asked_at, reused))
            for text in self._text:
                utterance.push_text(text)
            if self._ended:
                utterance.end_input()
            await self._relay(utterance)
        except BaseException:
            if not self._stopping:
                self._host.discard(session)
            raise
        if not self._stopping:
            self._host.give_back(session)

    async def _relay(self, utterance: Utterance) -> None:
        events = aiter(utterance)
        while (event := await self._next(events)) is not None:
            self._over = isinstance(event, Finished)
            if not self._tell(event):
                self.cancel()
                return
            if isinstance(event, AudioChunk) and self._request.lead is not None:
                await self._pace(event, self._request.lead)

    async def _next(self, events: AsyncIterator[Event]) -> Event | None:
        async with asyncio.timeout_at(self._deadline()) as self._limit:
            try:
                event: Event | None = await anext(events, None)
            finally:
                self._limit = None
        return event

    def _deadline(self) -> float | None:
        # Before the text has ended the engine may have nothing to say for as long as the LLM, or
        # a tool that it waits for, takes.
        if not self._ended:
            return None
        return asyncio.get_running_loop().time() + self._request.timeout

    async def _pace(self, chunk: AudioChunk, lead: float) -> None:
        """Wait until what was handed on is played but for `lead` seconds.

        LiveKit takes whatever it is given: nothing behind the stream pushes back. What is not
        handed on fills the session's own lead, and there the engine is parked.
        """
        now = asyncio.get_running_loop().time()
        self._played_until = max(self._played_until, now) + chunk.seconds
        await asyncio.sleep(self._played_until - now - lead)


def _failed(opening: asyncio.Task[Any]) -> bool:
    return opening.cancelled() or opening.exception() is not None
