"""A synthesizer that is a qwen3-tts-live server: `ws://`, `wss://`, `unix:`.

Keeps the promises of `synthesizer.py` on this side of the wire: `push_text()` and `cancel()` never
wait, an interrupt silences at once whatever is still on its way, and consumers get the utterances
of a session in order. Knows nothing about sockets (`connection.py`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from qwen3_tts_live import wire
from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk, PcmSamples
from qwen3_tts_live.checks import checked_options
from qwen3_tts_live.connection import Connection, Settings, connected
from qwen3_tts_live.errors import (
    BackendError,
    ClosedError,
    ConnectionLostError,
    InvalidRequestError,
    QueueFullError,
    SpeechError,
)
from qwen3_tts_live.remote_voices import RemoteVoices
from qwen3_tts_live.synthesizer import (
    InterruptReport,
    Mark,
    SessionOptions,
    SynthesizerInfo,
    SynthesizerStatus,
)
from qwen3_tts_live.turn import BaseTurn, LiveUtterance
from qwen3_tts_live.wire_options import info_of, options_on_the_wire

__all__ = ["RemoteSession", "RemoteSynthesizer", "RemoteTurn"]

# How much of the lead a consumer may take before the server is told: with less, the messages cost
# more than the audio; with more, the server waits while the client runs dry.
_REPORT_EVERY = 0.25


class RemoteTurn(BaseTurn):
    """An utterance that a server speaks.

    Args:
        session: whose it is.
        max_lead: of its options.
    """

    def __init__(self, session: RemoteSession, max_lead: float | None) -> None:
        self._connection = session.connection
        self.number = self._connection.new_number()
        max_text = self._connection.hello.limits.max_text
        super().__init__(f"utterance-{self.number}", max_text, time.monotonic)
        self._session = session
        self._report_every = None if max_lead is None else _REPORT_EVERY * max_lead * SAMPLE_RATE
        self._reported = 0
        self._report_is_due = False

    def cancel(self) -> None:
        """Silence it here, and ask the server to stop it."""
        if not self.over:
            self.interrupt()
            self._connection.send(wire.Cancel(utterance=self.number))
        self._session.ended(self)

    def interrupt(self) -> None:
        """Drop what waits, and whatever of it is still on its way."""
        self._connection.forget(self.number)
        super().interrupt()

    def _text_came(self, text: str) -> None:
        # Half of a surrogate pair is no text, and JSON cannot carry it.
        sound = text.encode("utf-8", "replace").decode("utf-8")
        self._connection.send(wire.Text(utterance=self.number, text=sound))

    def _text_ended(self) -> None:
        self._connection.send(wire.End(utterance=self.number))

    # ------------------------------------------------------------ what the server says

    def audio(self, offset: int, samples: PcmSamples) -> None:
        """Take audio."""
        if offset == self.generated:
            self.put(AudioChunk(self.id, offset, samples))
        else:
            self.failed(BackendError(f"audio is missing: {offset} follows {self.generated}"))

    def mark(self, mark: wire.Mark) -> None:
        """Take a mark."""
        self.put(Mark(self.id, mark.text, mark.start, mark.end, mark.exact))

    def done(self, done: wire.Done) -> None:
        """Take the end."""
        if done.queue_seconds is not None:
            self.started_at = self.made_at + done.queue_seconds
        if done.reason == "completed":
            self.finish()
        else:  # someone else interrupted the session
            self.interrupt()
            self._session.ended(self)

    def failed(self, error: SpeechError) -> None:
        """Take the error that ends it."""
        self._connection.forget(self.number)
        self._session.failed()
        self.fail(error)

    # ------------------------------------------------------------ what the consumer took

    def report_taken(self) -> None:
        """Tell the server what the consumer took, once that is worth a message."""
        every, new = self._report_every, self.delivered - self._reported
        if every is None or not new or self._report_is_due:
            return
        if new >= every or (self.complete and self.delivered == self.generated):
            self._report_is_due = True
            self._connection.send_later(self._taken)

    def _taken(self) -> str:
        # Made when the socket takes it, so that it says the latest.
        self._report_is_due = False
        self._reported = self.delivered
        return wire.Taken(utterance=self.number, samples=self.delivered).dump()


class RemoteSession:
    """A session of a server; see `synthesizer.Session` for what it promises."""

    def __init__(
        self,
        connection: Connection,
        session_id: str,
        forget: Callable[[RemoteSession], None],
    ) -> None:
        self.id = session_id
        self.connection = connection
        self._options = SessionOptions()
        self._forget = forget
        self._number = connection.new_number()
        self._opened_in = 0  # the connection's generation
        self._turns: deque[RemoteTurn] = deque()  # not over, in the order in which they were made
        self._closed = False

    @property
    def queued(self) -> int:
        """Utterances that are not over."""
        return len(self._turns)

    async def open(self, options: SessionOptions) -> None:
        """Open it at the server, or give it new options.

        Raises:
            SpeechError: what the server, or the connection, has against it.
        """
        # The voice is the server's to judge: it may have been added a moment ago.
        known = checked_options(replace(options, voice=None), info_of(self.connection.hello))
        self._options = replace(known, voice=options.voice)
        await self.connection.ready()
        self._opened_in = self.connection.generation
        await self.connection.ask(self._open_message, wire.Opened)

    def utter(
        self, text: str | None = None, *, options: SessionOptions | None = None
    ) -> LiveUtterance[RemoteTurn]:
        """Queue an utterance; see the protocol."""
        if self._closed:
            raise ClosedError("the session was closed; open it again")
        if self.queued >= self.connection.hello.limits.max_queued:
            raise QueueFullError(
                f"the session has {self.queued} utterances waiting; interrupt it or wait",
                retry_after=1.0,
            )
        chosen = options and checked_options(options, info_of(self.connection.hello))
        wanted = None if chosen is None else options_on_the_wire(chosen)
        turn = RemoteTurn(self, (chosen or self._options).max_lead)
        if text is not None:
            turn.check_length(text)
        self._turns.append(turn)
        self._open_again()
        self.connection.listen(turn.number, turn)
        message = wire.Utter(session=self._number, utterance=turn.number, options=wanted)
        self.connection.send(message)
        if text is not None:
            turn.push_text(text)
            turn.end_input()
        self._advance()
        return LiveUtterance(turn, self._taken)

    async def interrupt(self) -> InterruptReport:
        """Stop what plays and flush what waits; see the protocol.

        Without a connection, or if it breaks meanwhile, there is nobody to tell: the server stops
        what nobody listens to by itself.
        """
        turns = self._silence()
        told: wire.Interrupted | None = None
        with suppress(ConnectionLostError):
            self._open_again()
            told = await self.connection.ask(self._interrupt_message, wire.Interrupted)
        return self._report(turns, told)

    async def aclose(self) -> None:
        """Interrupt and forget the session."""
        if self._closed:
            return
        self._closed = True
        self._forget(self)
        self._silence()
        if self._opened_in == self.connection.generation:
            with suppress(ConnectionLostError):  # then it is closed all the same
                await self.connection.ask(self._close_message, wire.Closed)

    # ------------------------------------------------------------ for its utterances

    def ended(self, turn: RemoteTurn) -> None:
        """Take an utterance out of the queue."""
        if turn in self._turns:
            self._turns.remove(turn)
            self._advance()

    def failed(self) -> None:
        """Open it again before the next utterance: the server may have lost it."""
        self._opened_in = 0

    # ------------------------------------------------------------ inside

    def _taken(self, turn: RemoteTurn) -> None:
        turn.report_taken()
        if turn.over:
            self.ended(turn)

    def _advance(self) -> None:
        if self._turns:
            self._turns[0].deliver()

    def _silence(self) -> list[RemoteTurn]:
        turns = list(self._turns)
        self._turns.clear()
        for turn in turns:
            turn.interrupt()
        return turns

    def _open_again(self) -> None:
        """See that the server knows the session, on a new connection too."""
        if self._opened_in != self.connection.generation:
            self._opened_in = self.connection.generation
            # What is wrong with it comes back with the first utterance.
            self.connection.send(self._open_message(self.connection.new_number()))

    def _report(self, turns: list[RemoteTurn], told: wire.Interrupted | None) -> InterruptReport:
        stopped = () if told is None else told.stopped
        named = () if told is None else (*stopped, *told.flushed)
        # What was sent to its end is here, and nothing that the server could stop any more.
        generated = sum(turn.generated for turn in turns if turn.number not in named)
        begun = int(bool(turns) and (turns[0].generated > 0 or turns[0].number in stopped))
        return InterruptReport(
            session_id=self.id,
            stopped=tuple(turn.id for turn in turns[:begun]),
            flushed=tuple(turn.id for turn in turns[begun:]),
            generated=generated + (0 if told is None else told.generated),
            delivered=sum(turn.delivered for turn in turns),
        )

    def _open_message(self, request: int) -> wire.Open:
        options = options_on_the_wire(self._options)
        return wire.Open(request=request, session=self._number, id=self.id, options=options)

    def _interrupt_message(self, request: int) -> wire.Interrupt:
        return wire.Interrupt(request=request, session=self._number)

    def _close_message(self, request: int) -> wire.Close:
        return wire.Close(request=request, session=self._number)


class RemoteSynthesizer:
    """The synthesizer of a server; see `synthesizer.Synthesizer` for what it promises.

    `status` counts what was asked for here, not what the server does for others.
    """

    def __init__(self, connection: Connection, held: AsyncExitStack) -> None:
        self._connection = connection
        self._held = held
        self._voices = RemoteVoices(connection)
        self._sessions: dict[str, RemoteSession] = {}
        self._closed = False

    @classmethod
    async def open(
        cls, address: str, *, api_key: str | None = None, settings: Settings | None = None
    ) -> RemoteSynthesizer:
        """Connect to a server.

        Args:
            address: `ws://HOST:PORT`, `wss://HOST`, either with a path in front of the server's
                own if a proxy has put it there, or `unix:/path.sock`.
            api_key: one of the server's keys, if it asks for one.
            settings: how patient to be.

        Raises:
            BackendUnavailableError: nobody answers, or not in this protocol.
            OverloadedError: the server is loading or stopping.
            AuthenticationError: the server wants a key, and not ours.
        """
        async with AsyncExitStack() as held:
            using = connected(address, api_key, settings or Settings())
            connection = await held.enter_async_context(using)
            return cls(connection, held.pop_all())

    @property
    def info(self) -> SynthesizerInfo:
        """What the server can do, as it last said: it says so again when voices come or go."""
        return info_of(self._connection.hello)

    @property
    def voices(self) -> RemoteVoices | None:
        """The server's voices as far as they can be added and removed; None where it cannot."""
        return None if self._connection.hello.added is None else self._voices

    @property
    def status(self) -> SynthesizerStatus:
        """What was asked of the server here and is not over."""
        queues = [session.queued for session in self._sessions.values()]
        active = sum(queue > 0 for queue in queues)
        return SynthesizerStatus(len(queues), active, sum(queues) - active)

    async def open_session(
        self, options: SessionOptions | None = None, *, session_id: str | None = None
    ) -> RemoteSession:
        """Return the open session of that id, or a new one; see the protocol."""
        if self._closed:
            raise ClosedError("the synthesizer was closed")
        known = None if session_id is None else self._sessions.get(session_id)
        if known is not None:
            if options is not None:
                await known.open(options)
            return known
        if session_id and not re.fullmatch(wire.SESSION_ID, session_id):
            raise InvalidRequestError(
                "a server's session has an id of 1 to 128 printable ASCII characters, no spaces"
            )
        # Nobody can guess it, and so nobody interrupt it over HTTP.
        name = session_id or f"session-{secrets.token_hex(8)}"
        session = RemoteSession(self._connection, name, self._forget)
        await session.open(options or SessionOptions())
        self._sessions[name] = session
        return session

    def get_session(self, session_id: str) -> RemoteSession | None:
        """Return the session of that id, if it was opened here and is open."""
        return self._sessions.get(session_id)

    async def aclose(self) -> None:
        """Close every session, and hang up unless others use the connection."""
        self._closed = self._voices.closed = True
        await asyncio.gather(*(session.aclose() for session in list(self._sessions.values())))
        await self._held.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _forget(self, session: RemoteSession) -> None:
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
