"""Sessions on a backend: the queue, interrupt-and-flush, pacing, limits.

Pure asyncio: knows nothing about models, torch, HTTP or frameworks. A session has one runner
task while it has something to say, and none while it is silent. Each utterance has a runner of
its own, one after another, in the context (`contextvars`) in which it was made, so that what is
logged for it can be told from the rest; consumers take them in the same order. Whatever ends one
early (interrupt, cancel, a vanished consumer) goes through `_discard`: the turns leave the queue
at once, and if one of them was being made, the runner is cancelled, which closes the backend's
generator. The next utterance starts when that has really ended.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk
from qwen3_tts_live.backend import Backend, Pcm, Segment, Word
from qwen3_tts_live.checks import checked_options
from qwen3_tts_live.engine.metrics import EngineMetrics
from qwen3_tts_live.errors import (
    BackendError,
    CapacityError,
    ClosedError,
    QueueFullError,
    SpeechError,
)
from qwen3_tts_live.marks import SegmentMarks, SpeechRate
from qwen3_tts_live.synthesizer import (
    InterruptReport,
    SessionOptions,
    SynthesizerInfo,
    SynthesizerStatus,
    VoiceLibrary,
)
from qwen3_tts_live.text.front_end import TextSegment
from qwen3_tts_live.turn import LiveUtterance
from qwen3_tts_live.utterance import Timer, Turn

__all__ = ["LiveSession", "LiveSynthesizer", "SessionLimits"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What a synthesizer accepts before it says no.

    Attributes:
        max_sessions: sessions that may be open at once.
        max_queued: utterances of one session that are not over.
        max_utterances: utterances of all sessions that are not over.
        max_text: characters of one utterance.
        idle_timeout: seconds after which a session with nothing to say is closed; None: never.
    """

    max_sessions: int = 1024
    max_queued: int = 32
    max_utterances: int = 1024
    max_text: int = 100_000
    idle_timeout: float | None = None


class LiveSession:
    """A session on a backend; see `synthesizer.Session` for what it promises."""

    def __init__(self, owner: LiveSynthesizer, session_id: str, options: SessionOptions) -> None:
        self.id = session_id
        self.options = options
        self.closed = False
        self.idle_since = owner.clock()
        self._owner = owner
        self._turns: deque[Turn] = deque()  # not over, in the order in which they were made
        self._making: Turn | None = None
        self._runner: asyncio.Task[None] | None = None
        self._room = asyncio.Event()  # set when a consumer has taken something
        self._rate = SpeechRate()

    @property
    def queued(self) -> int:
        """Utterances that are not over."""
        return len(self._turns)

    @property
    def active(self) -> bool:
        """Whether an utterance is being made."""
        return self._making is not None

    def utter(
        self, text: str | None = None, *, options: SessionOptions | None = None
    ) -> LiveUtterance[Turn]:
        """Queue an utterance; see the protocol."""
        self._owner.admit(self)
        chosen = self._owner.checked(options or self.options)
        # By name, so that an utterance keeps its voice when another becomes the default.
        voice = chosen.voice or next(iter(self._owner.info.voices), None)
        turn = Turn(
            self._owner.new_id("utterance"),
            replace(chosen, voice=voice),
            max_text=self._owner.limits.max_text,
            clock=self._owner.clock,
            timer=self._owner.timer or asyncio.get_running_loop().call_later,
            stop=lambda turn: self._discard([turn]),
        )
        if text is not None:
            turn.push_text(text)
            turn.end_input()
        self._turns.append(turn)
        self._advance()
        return LiveUtterance(turn, self._taken)

    async def interrupt(self) -> InterruptReport:
        """Stop what plays and flush what waits; see the protocol."""
        turns = list(self._turns)
        # Only the head of the queue can have been heard: what was made ahead behind it was not.
        begun = int(bool(turns) and (turns[0].generated > 0 or turns[0] is self._making))
        self._discard(turns)
        await self._stopped()
        return InterruptReport(
            session_id=self.id,
            stopped=tuple(turn.id for turn in turns[:begun]),
            flushed=tuple(turn.id for turn in turns[begun:]),
            generated=sum(turn.generated for turn in turns),
            delivered=sum(turn.delivered for turn in turns),
        )

    def close(self) -> None:
        """Forget the session and stop its work, without waiting for that to end."""
        self.closed = True
        self._owner.forget(self)
        self._discard(list(self._turns))

    async def aclose(self) -> None:
        """Interrupt and forget the session."""
        self.close()
        await self._stopped()

    # ------------------------------------------------------------ the queue

    def _discard(self, turns: Collection[Turn]) -> None:
        live = [turn for turn in turns if not turn.over]
        for turn in live:
            turn.interrupt()
        self._turns = deque(turn for turn in self._turns if turn not in turns)
        # Once only: a second cancellation would cut the backend's clean-up short.
        if self._making in live and self._runner is not None:
            self._runner.cancel()
        self._advance()

    def _taken(self, turn: Turn) -> None:
        self._room.set()
        if turn.over and turn in self._turns:
            self._turns.remove(turn)
            self._advance()

    def _advance(self) -> None:
        """Open the head of the queue to its consumer, and see that the rest is being made."""
        if self._turns:
            self._turns[0].deliver()
            turn = next((turn for turn in self._turns if not turn.complete), None)
            if self._runner is None and turn is not None:
                self._runner = asyncio.create_task(
                    self._run(turn), name=f"speak-{self.id}", context=turn.context
                )
                self._runner.add_done_callback(self._runner_ended)
        self._room.set()
        self.idle_since = self._owner.clock()

    def _runner_ended(self, runner: asyncio.Task[None]) -> None:
        self._runner = None
        self._making = None
        if not runner.cancelled() and (error := runner.exception()) is not None:
            logger.error("clean-up of backend %s failed", self._owner.info.model, exc_info=error)
        self._advance()

    async def _stopped(self) -> None:
        # Only what is being stopped is waited for: a turn made in the meantime may already
        # have been given the next runner.
        if self._runner is not None and self._runner.cancelling():
            await asyncio.wait([self._runner])

    # ------------------------------------------------------------ the runner

    async def _run(self, turn: Turn) -> None:
        if turn.complete:
            return  # it was discarded before this began
        self._making = turn
        try:
            await self._speak(turn)
        except SpeechError as error:
            turn.fail(error)
        except Exception as error:
            logger.exception("backend %s failed", self._owner.info.model)
            failure = BackendError(f"the backend failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            turn.fail(failure)
        else:
            turn.finish()
        self._making = None

    async def _speak(self, turn: Turn) -> None:
        while (segment := await turn.next_segment()) is not None:
            await self._has_room(turn, 0)
            marks = SegmentMarks(turn.id, segment, turn.generated, self._rate)
            if segment.spoken:
                await self._synthesize(turn, segment, marks)
            for mark in marks.finish(turn.generated):
                turn.put(mark)

    async def _synthesize(self, turn: Turn, segment: TextSegment, marks: SegmentMarks) -> None:
        options = turn.options
        request = Segment(
            text=segment.spoken,
            language=segment.language,
            voice=options.voice,
            instruct=options.instruct,
            seed=options.seed,
        )
        clock = self._owner.clock
        asked = clock()
        async with aclosing(self._owner.backend.synthesize(request)) as events:
            async for event in events:
                turn.synthesis_seconds += clock() - asked
                if isinstance(event, Word):
                    for mark in marks.word(event):
                        turn.put(mark)
                elif len(event.samples):
                    await self._deliver(turn, event, marks)
                asked = clock()
        turn.synthesis_seconds += clock() - asked

    async def _deliver(self, turn: Turn, pcm: Pcm, marks: SegmentMarks) -> None:
        for mark in marks.before(turn.generated, len(pcm.samples)):
            turn.put(mark)
        turn.put(AudioChunk(turn.id, turn.generated, pcm.samples))
        # Before the next chunk is asked for, so that a backend that is not asked can park.
        await self._has_room(turn, len(pcm.samples))

    async def _has_room(self, turn: Turn, samples: int) -> None:
        """Wait until `samples` more would not take what waits over the turn's lead."""
        lead = turn.options.max_lead
        while lead is not None:
            waiting = sum(turn.waiting for turn in self._turns)
            if not waiting or waiting + samples <= lead * SAMPLE_RATE:
                return
            self._room.clear()
            await self._room.wait()


class LiveSynthesizer:
    """Sessions on one backend; see `synthesizer.Synthesizer` for what it promises.

    Args:
        backend: what makes the sound; closed with the synthesizer.
        limits: what to accept.
        clock: seconds, rising; for idle time, stalled text and the timings in `Finished`.
        timer: calls back when text may have stalled; None for the event loop's own.
        engine: what the engine behind the backend does, for `status`, where there is one.
        voices: the backend's voices as far as they come and go; it closes them with itself.
    """

    def __init__(
        self,
        backend: Backend,
        limits: SessionLimits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        timer: Timer | None = None,
        engine: Callable[[], EngineMetrics | None] = lambda: None,
        voices: VoiceLibrary | None = None,
    ) -> None:
        self.backend = backend
        self.limits = limits or SessionLimits()
        self.clock = clock
        self.timer = timer
        self.voices = voices
        self._engine = engine
        self._sessions: dict[str, LiveSession] = {}
        self._numbers = itertools.count(1)
        self._closed = False

    @property
    def info(self) -> SynthesizerInfo:
        """What it can do, as of now: voices come and go."""
        return SynthesizerInfo(self.backend.name, self.backend.languages, self.backend.voices)

    @property
    def status(self) -> SynthesizerStatus:
        """What it does now."""
        active = sum(session.active for session in self._sessions.values())
        turns = sum(session.queued for session in self._sessions.values())
        queued = max(0, turns - active)
        return SynthesizerStatus(len(self._sessions), active, queued, self._engine())

    async def open_session(
        self, options: SessionOptions | None = None, *, session_id: str | None = None
    ) -> LiveSession:
        """Return the open session of that id, or a new one; see the protocol."""
        if self._closed:
            raise ClosedError("the synthesizer was closed")
        session = None if session_id is None else self._sessions.get(session_id)
        if session is not None:
            if options is not None:
                session.options = self.checked(options)
            return session
        self.evict_idle()
        if len(self._sessions) >= self.limits.max_sessions:
            raise CapacityError(
                f"{self.limits.max_sessions} sessions are open; close some or try later",
                retry_after=1.0,
            )
        checked = self.checked(options or SessionOptions())
        session = LiveSession(self, session_id or self.new_id("session"), checked)
        self._sessions[session.id] = session
        return session

    def get_session(self, session_id: str) -> LiveSession | None:
        """Return the open session of that id, if there is one."""
        return self._sessions.get(session_id)

    def evict_idle(self) -> int:
        """Close the sessions that have been silent for `idle_timeout`; return how many."""
        timeout = self.limits.idle_timeout
        if timeout is None:
            return 0
        oldest = self.clock() - timeout
        idle = [s for s in self._sessions.values() if not s.queued and s.idle_since <= oldest]
        for session in idle:
            session.close()
        return len(idle)

    async def aclose(self) -> None:
        """Close every session, then the backend."""
        self._closed = True
        await asyncio.gather(*(session.aclose() for session in list(self._sessions.values())))
        await self.backend.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # ------------------------------------------------------------ for its sessions

    def admit(self, session: LiveSession) -> None:
        """Raise unless one more utterance of `session` may be queued."""
        if session.closed:
            raise ClosedError("the session was closed; open it again")
        if session.queued >= self.limits.max_queued:
            raise QueueFullError(
                f"the session has {session.queued} utterances waiting; interrupt it or wait",
                retry_after=1.0,
            )
        if sum(s.queued for s in self._sessions.values()) >= self.limits.max_utterances:
            raise CapacityError(
                f"{self.limits.max_utterances} utterances are waiting or playing; try later",
                retry_after=1.0,
            )

    def checked(self, options: SessionOptions) -> SessionOptions:
        """Return `options` with names made canonical; raise what they get wrong."""
        return checked_options(options, self.info)

    def forget(self, session: LiveSession) -> None:
        """Take a closed session off the list."""
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]

    def new_id(self, kind: str) -> str:
        """Return an id that this synthesizer has not used."""
        return f"{kind}-{next(self._numbers)}"
