"""One session of a WebSocket connection: the wire on one side, the seam on the other.

Owns the order in which things are done and the pacing by what the client has taken. Knows nothing
about how messages are read or written.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from qwen3_tts_live import wire
from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk
from qwen3_tts_live.errors import (
    ClosedError,
    InvalidRequestError,
    OverloadedError,
    SpeechError,
)
from qwen3_tts_live.synthesizer import (
    Event,
    Finished,
    Mark,
    Session,
    SessionOptions,
    Utterance,
)
from qwen3_tts_server.access import session_id
from qwen3_tts_server.logs import named
from qwen3_tts_server.problems import REQUEST_ID
from qwen3_tts_server.streaming import PIECE, in_time
from qwen3_tts_server.text import chosen_normalizer, read_chosen

if TYPE_CHECKING:
    from qwen3_tts_server.websocket import Peer

__all__ = ["PeerSession", "Speaking", "Told"]

#: What a session does in order.
Told: TypeAlias = (
    wire.Open | wire.Utter | wire.Text | wire.End | wire.Cancel | wire.Interrupt | wire.Close
)

# Of a client's lead, this part is kept here and the rest is sent ahead: what is with the client
# bridges the network's hiccups, what is here keeps the engine from being parked at every report.
_KEPT = 0.25
# Seconds: the most that is kept here, and what is for a client that takes all it can read.
_MOST_KEPT = 3.0
# Messages of a session that may wait while it does one; a client that sends more waits with them.
_WAITING = 256


class PeerSession:
    """A session of a connection: does what it is told, one thing after another.

    Args:
        peer: the connection.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.inbox: asyncio.Queue[Told] = asyncio.Queue(_WAITING)
        self.room = asyncio.Event()  # set when the client has taken something
        self._name = ""  # while it is open: what the client calls it
        self._id: str | None = None  # and the seam
        self._options = wire.Options()
        self._failure: SpeechError = ClosedError("the session is not open; open it first")
        self._speaking: set[Speaking] = set()

    async def run(self) -> None:
        """Do what comes, until the session is closed."""
        while True:
            message = await self.inbox.get()
            match message:
                case wire.Open():
                    await self._open(message)
                case wire.Utter():
                    await self._utter(message)
                case wire.Text() | wire.End() | wire.Cancel():
                    if speaking := self.peer.speaking(message.utterance):
                        await speaking.tell(message)
                case wire.Interrupt():
                    await self._interrupt(message)
                case wire.Close():
                    await self._close(message)
                    return

    @property
    def outstanding(self) -> int:
        """Samples sent that the client has not taken."""
        return sum(speaking.sent - speaking.taken for speaking in self._speaking)

    def forget(self, speaking: Speaking) -> None:
        """Take an utterance off the list."""
        self._speaking.discard(speaking)
        self.peer.forget(speaking)
        self.room.set()

    async def leave(self) -> None:
        """The connection is over, and so is what it says about this session."""
        if self._id is not None:
            seam_id, self._id = self._id, None
            await self.peer.api.let_go(seam_id)

    # ------------------------------------------------------------ what it is told

    async def _open(self, message: wire.Open) -> None:
        try:
            if self._name and message.id not in (None, self._name):
                raise InvalidRequestError(f"the session is open as {self._name}; close it first")
            name = message.id or self._name or f"ws-{secrets.token_hex(8)}"
            seam_id = session_id(self.peer.request, name)
            options = self._for_the_seam(message.options)
            await self.peer.api.synthesizer().open_session(options, session_id=seam_id)
        except SpeechError as error:
            self._failure = error
            name = self.peer.request[REQUEST_ID]
            answer = wire.error_message(error, request=message.request, request_id=name)
            await self.peer.send(answer)
            return
        if self._id is None:
            self._name, self._id = name, seam_id
            self.peer.api.hold(seam_id)
        self._options = message.options
        await self.peer.greet(self.peer.api.hello())  # so that it knows all that others may use
        opened = wire.Opened(request=message.request, session=message.session, id=name)
        await self.peer.send(opened)

    async def _utter(self, message: wire.Utter) -> None:
        speaking = self.peer.speaking(message.utterance)
        if speaking is None:
            return
        self._speaking.add(speaking)
        wanted = message.options or self._options
        account = speaking.account
        account.asks(wanted, self._id or "")
        with named(account.request_id):
            try:
                utterance = await self._utterance(wanted)
            except SpeechError as error:
                account.ended("refused", error.code)
                await speaking.fail(error)
            else:
                speaking.begin(utterance, wanted.max_lead)

    async def _utterance(self, wanted: wire.Options) -> Utterance:
        if self._id is None:
            raise self._failure
        if self.peer.api.streams.draining:
            raise OverloadedError("the server is shutting down", retry_after=5.0)
        options = self._for_the_seam(wanted)
        # It may have been closed meanwhile: for being silent, or by another connection.
        session = await self.peer.api.synthesizer().open_session(session_id=self._id)
        return session.utter(options=options)

    async def _interrupt(self, message: wire.Interrupt) -> None:
        started = time.monotonic()
        speaking = list(self._speaking)
        session = self._seam_session()
        report = None if session is None else await session.interrupt()
        for one in speaking:
            await one.stop()
        number = {one.utterance_id: one.number for one in speaking}
        stopped: tuple[int, ...] = ()
        flushed: tuple[int, ...] = ()
        if report is not None:
            self.peer.api.metrics.interrupted(report, time.monotonic() - started)
            # Others may have utterances in the session, whose numbers mean nothing here.
            stopped, flushed = (
                tuple(number[one] for one in ids if one in number)
                for ids in (report.stopped, report.flushed)
            )
        await self.peer.send(
            wire.Interrupted(
                request=message.request,
                session=message.session,
                stopped=stopped,
                flushed=flushed,
                generated=0 if report is None else report.generated,
                sent=sum(one.sent for one in speaking),
            )
        )

    async def _close(self, message: wire.Close) -> None:
        if session := self._seam_session():
            await session.aclose()
        for one in list(self._speaking):
            await one.stop()
        self.peer.forget_session(self)
        await self.leave()
        await self.peer.send(wire.Closed(request=message.request, session=message.session))

    def _seam_session(self) -> Session | None:
        return None if self._id is None else self.peer.api.synthesizer().get_session(self._id)

    def _for_the_seam(self, options: wire.Options) -> SessionOptions:
        return SessionOptions(
            voice=options.voice,
            language=options.language,
            instruct=options.instruct,
            seed=options.seed,
            max_lead=_kept(options.max_lead),
            normalizer=chosen_normalizer(
                read_chosen(options.normalize), self.peer.api.options.text
            ),
        )


class Speaking:
    """An utterance of a connection, until nothing of it will be sent and all that was is taken.

    Attributes:
        ended: its end was sent; nothing follows.
        sent: samples.
        taken: samples, as far as the client has said.
        account: what is counted and logged of it.
    """

    def __init__(self, session: PeerSession, number: int) -> None:
        self.session = session
        self.number = number
        self.ended = False
        self.sent = self.taken = 0
        self._utterance: Utterance | None = None
        self._input_ended = False
        self._window: float | None = None  # samples that may be outstanding
        peer = session.peer
        self.account = peer.api.log.utterance(peer.request, number)

    @property
    def utterance_id(self) -> str:
        """What the seam calls it."""
        return "" if self._utterance is None else self._utterance.id

    def begin(self, utterance: Utterance, max_lead: float | None) -> None:
        """Send what `utterance` says, at most `max_lead` seconds ahead of the client."""
        self._utterance = utterance
        if max_lead is not None:
            self._window = (max_lead - _kept(max_lead)) * SAMPLE_RATE
        self.session.peer.start(partial(self._run, utterance))

    async def tell(self, message: wire.Text | wire.End | wire.Cancel) -> None:
        """Do what the client says."""
        if self._utterance is None:
            return
        match message:
            case wire.Cancel():
                self._utterance.cancel()
                await self.stop()
            case wire.End():
                self._input_ended = True
                self._utterance.end_input()
            case wire.Text():
                try:
                    if self._input_ended:
                        raise InvalidRequestError("its text had ended; queue another utterance")
                    self._utterance.push_text(message.text)
                    self.account.text(message.text)
                except SpeechError as error:
                    await self.fail(error)

    def client_took(self, samples: int) -> None:
        """Note how many samples the client has taken, all together."""
        self.taken = max(self.taken, min(samples, self.sent))
        self.session.room.set()
        if self.ended and self.taken == self.sent:
            self.session.forget(self)

    def abandon(self) -> None:
        """Stop it: nobody is there to hear it."""
        self.account.ended("left")  # unless it has ended
        if self._utterance is not None:
            self._utterance.cancel()

    async def fail(self, error: SpeechError) -> None:
        """End it with an error."""
        self.account.ended("failed", error.code)
        self.abandon()
        name = self.account.request_id
        await self._end(wire.error_message(error, utterance=self.number, request_id=name))
        self.session.forget(self)

    async def stop(self) -> None:
        """End it as interrupted, now that it is."""
        await self._end(wire.Done(utterance=self.number, reason="interrupted", samples=self.sent))
        self.session.forget(self)

    async def _end(self, message: wire.Done | wire.Error) -> None:
        if not self.ended:
            self.ended = True
            self.session.peer.ended()
            await self.session.peer.send(message)

    # ------------------------------------------------------------ sending

    async def _run(self, utterance: Utterance) -> None:
        api = self.session.peer.api
        try:
            with api.streams.open():
                async with utterance:
                    await in_time(self._send(utterance), api.options.max_stream_seconds)
        except SpeechError as error:
            await self.fail(error)
        except (ConnectionError, asyncio.CancelledError):
            self.account.ended("left")
            raise

    async def _send(self, utterance: Utterance) -> None:
        await self._has_room()
        async for event in utterance:
            await self._pass_on(event)
            await self._has_room()

    async def _has_room(self) -> None:
        """Wait until the client has taken enough of what was sent.

        The next event is asked for only then: what was not asked for, the session here counts
        as waiting, and parks the engine for.
        """
        session = self.session
        while self._window is not None and not self.ended and session.outstanding >= self._window:
            session.room.clear()
            await session.room.wait()

    async def _pass_on(self, event: Event) -> None:
        peer = self.session.peer
        match event:
            case AudioChunk():
                self.account.handed_out(len(event.samples))
                data = event.data
                for start in range(0, len(data), PIECE):
                    piece = data[start : start + PIECE]
                    frame = wire.pack_audio(self.number, event.offset + start // 2, piece)
                    await peer.send_in_turn(self, frame, len(piece) // 2)
            case Mark():
                mark = wire.Mark(
                    utterance=self.number,
                    text=event.text,
                    start=event.start,
                    end=event.end,
                    exact=event.exact,
                )
                await peer.send_in_turn(self, mark.dump())
            case Finished():
                self.account.finished(event)
                await self._finish(event)

    async def _finish(self, finished: Finished) -> None:
        if finished.reason == "interrupted":
            await self.stop()
            return
        await self._end(
            wire.Done(
                utterance=self.number,
                reason=finished.reason,
                samples=self.sent,
                queue_seconds=finished.queue_seconds,
                ttfb_seconds=finished.ttfb_seconds,
                ttfa_seconds=finished.ttfa_seconds,
            )
        )
        if self._window is None or self.taken == self.sent:
            self.session.forget(self)


def _kept(max_lead: float | None) -> float:
    """Return how much of a lead is kept here, in seconds."""
    return _MOST_KEPT if max_lead is None else min(_KEPT * max_lead, _MOST_KEPT)
