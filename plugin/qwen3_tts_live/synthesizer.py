"""THE SEAM: what every way of speaking looks like to those who use it.

    async with await open_synthesizer("preview:") as synthesizer:
        session = await synthesizer.open_session(SessionOptions(language="English"))
        utterance = session.utter()
        utterance.push_text("Hel"); utterance.push_text("lo."); utterance.end_input()
        async for event in utterance:      # Mark | AudioChunk | Finished; raises a SpeechError
            ...
        report = await session.interrupt()

A **session** is one client's conversation. Its utterances play in the order in which they were
made and never overlap; sessions run in parallel. An **utterance** is one turn, whose text may
still be arriving while it speaks. Adapters and servers know nothing of what is behind this
module; what is behind it knows nothing of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk
from qwen3_tts_live.engine.metrics import EngineMetrics
from qwen3_tts_live.text.languages import AUTO
from qwen3_tts_live.text.settings import NormalizerSettings

__all__ = [
    "EngineMetrics",
    "Event",
    "Finished",
    "InterruptReport",
    "Mark",
    "Recording",
    "Session",
    "SessionOptions",
    "Synthesizer",
    "SynthesizerInfo",
    "SynthesizerStatus",
    "Utterance",
    "VoiceLibrary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a session speaks.

    Attributes:
        voice: one of the synthesizer's voices; None for its default.
        language: a name, ISO code or locale of one of the ten languages, or Auto.
        instruct: how to say it, in words, for models that follow instructions.
        seed: fixes the random draws of a backend that has any; None draws anew each time.
        max_lead: seconds of audio that may wait for the consumer before the work is parked;
            None for no limit (files). More wastes work on an interruption; below about 0.2 s
            a busy event loop makes gaps.
        normalizer: how written text becomes spoken text; None for the defaults.
    """

    voice: str | None = None
    language: str = AUTO
    instruct: str | None = None
    seed: int | None = None
    max_lead: float | None = 3.0
    normalizer: NormalizerSettings | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Ties a slice of the input to the audio in which it is heard; comes before that audio.

    The `text` of all marks of an utterance joins to exactly what was pushed. `start` and `end`
    are samples from the utterance's start. `exact` is false where they are an estimate.
    """

    utterance_id: str
    text: str
    start: int
    end: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of an utterance that did not fail.

    `samples` counts the audio that was delivered before it. `queue_seconds` is the time from
    the utterance's making to the start of its synthesis, `ttfb_seconds` from its first text to
    its first chunk, `ttfa_seconds` to its first sample above -50 dBFS, as a player that begins
    with the first chunk sounds it; None where that never came. `synthesis_seconds` is the time
    that its audio was waited for: without that of its text and of its consumer. None where it
    is synthesized elsewhere.
    """

    utterance_id: str
    reason: Literal["completed", "interrupted"]
    samples: int
    queue_seconds: float | None
    ttfb_seconds: float | None
    ttfa_seconds: float | None = None
    synthesis_seconds: float | None = None


Event: TypeAlias = AudioChunk | Mark | Finished


@dataclass(frozen=True, slots=True)
class InterruptReport:
    """What an interrupt ended.

    `stopped` is the id of the utterance that played, if one did; `flushed` are those behind it.
    `generated` and `delivered` count samples of all of them together: made, and taken by the
    consumers.
    """

    session_id: str
    stopped: tuple[str, ...]
    flushed: tuple[str, ...]
    generated: int
    delivered: int

    @property
    def generated_ms(self) -> int:
        """Milliseconds of audio that had been made."""
        return self.generated * 1000 // SAMPLE_RATE

    @property
    def delivered_ms(self) -> int:
        """Milliseconds of audio that consumers had taken."""
        return self.delivered * 1000 // SAMPLE_RATE


class Utterance(Protocol):
    """One turn of a session. Iterate it once, for its events.

    As a context manager it is cancelled on the way out, unless it is over. Cancelling the task
    that iterates, leaving the loop early, or dropping the last reference cancels it too.
    """

    @property
    def id(self) -> str:
        """Unique in the synthesizer."""
        ...

    def push_text(self, text: str) -> None:
        """Add text. Does nothing once the utterance is over (an interrupt may come first).

        Raises:
            TextTooLongError: the utterance's text is longer than the limit.
            RuntimeError: called after `end_input()`.
        """
        ...

    def end_input(self) -> None:
        """Say that no more text comes. May be called twice."""
        ...

    def cancel(self) -> None:
        """Stop this utterance alone; never waits. Its iteration ends as interrupted."""
        ...

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Session(Protocol):
    """One client's conversation: a voice, a language and a queue of utterances."""

    @property
    def id(self) -> str:
        """Unique in the synthesizer."""
        ...

    @property
    def queued(self) -> int:
        """Utterances that are not over: the one that is played and those behind it."""
        ...

    def utter(self, text: str | None = None, *, options: SessionOptions | None = None) -> Utterance:
        """Queue an utterance.

        Args:
            text: the whole text; None to push it in pieces.
            options: for this utterance alone, instead of the session's.

        Raises:
            InvalidRequestError: unknown voice or language, or the text is too long.
            OverloadedError: the session's queue or the synthesizer is full.
            ClosedError: the session was closed.
        """
        ...

    async def interrupt(self) -> InterruptReport:
        """Stop what plays and flush what waits.

        When it returns, nothing of the utterances made before the call is computed any more,
        and none of their chunks will be delivered. Utterances made after the call are not
        touched. Takes at most one step of the backend and never waits for a consumer.
        """
        ...

    async def aclose(self) -> None:
        """Interrupt and forget the session. May be called twice."""
        ...


#: A whole file of a usual format, or samples of shape (n,) or (n, channels) with their rate.
Recording: TypeAlias = bytes | tuple[NDArray[np.float32] | NDArray[np.int16], int]


class VoiceLibrary(Protocol):
    """Voices that come and go while the synthesizer is open."""

    @property
    def names(self) -> tuple[str, ...]:
        """The voices that can be removed; those of the model itself are not among them."""
        ...

    async def add(self, name: str, recording: Recording, *, text: str | None = None) -> None:
        """Clone a voice and keep it; when this returns, sessions can speak with it by name.

        Args:
            name: a-z, 0-9, - and _, up to 64 of them.
            recording: how the voice sounds.
            text: what the recording says, word for word: closer to the voice, slower to start.

        Raises:
            VoiceExistsError: the name is taken.
            InvalidRequestError: the name, the recording or the text is not usable.
            StorageError: the voice could not be stored.
            ClosedError: the synthesizer was closed.
        """
        ...

    async def remove(self, name: str) -> None:
        """Forget a voice. What was asked for before goes on with it to its end.

        Raises:
            UnknownVoiceError: there is none of that name.
            VoiceExistsError: the engine cannot do without it.
            StorageError: its file could not be removed.
        """
        ...


@dataclass(frozen=True, slots=True)
class SynthesizerInfo:
    """What a synthesizer can do: the model's name, its languages and its voices, as of now."""

    model: str
    languages: tuple[str, ...]
    voices: tuple[str, ...]
    sample_rate: int = SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SynthesizerStatus:
    """What it does at the moment. `active` utterances are being synthesized, `queued` wait.

    `engine` says what the engine in this process does, where there is one.
    """

    sessions: int
    active: int
    queued: int
    engine: EngineMetrics | None = None


class Synthesizer(Protocol):
    """Something that speaks: an embedded voice, an engine in this process, a server far away."""

    @property
    def info(self) -> SynthesizerInfo:
        """What it can do."""
        ...

    @property
    def status(self) -> SynthesizerStatus:
        """What it does now."""
        ...

    @property
    def voices(self) -> VoiceLibrary | None:
        """Its voices as far as they can be added and removed; None where it cannot clone."""
        ...

    async def open_session(
        self, options: SessionOptions | None = None, *, session_id: str | None = None
    ) -> Session:
        """Return the open session of that id (with new options, if given), else a new one.

        Raises:
            InvalidRequestError: unknown voice or language.
            CapacityError: too many sessions are open.
            ClosedError: the synthesizer was closed.
        """
        ...

    def get_session(self, session_id: str) -> Session | None:
        """Return the open session of that id, if there is one."""
        ...

    async def aclose(self) -> None:
        """Close every session and release everything. May be called twice."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...
