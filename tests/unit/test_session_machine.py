"""Random schedules of everything that can be done to sessions, and what must hold in all of them.

Order is kept; no chunk of an utterance comes after the interrupt that ended it has returned; an
interrupt touches nothing that was made later; offsets are contiguous; the lead is kept; nothing
is left when all is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from fakes import CHUNK, FakeTimer, ScriptedBackend, settle
from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk
from qwen3_tts_live.session import LiveSession, LiveSynthesizer
from qwen3_tts_live.synthesizer import Event, Finished, Mark, SessionOptions
from qwen3_tts_live.turn import LiveUtterance
from qwen3_tts_live.utterance import Turn

SESSIONS = len(ScriptedBackend.voices)  # each session has its own, so its work can be told
LEAD = 4 * CHUNK / SAMPLE_RATE


class Listener:
    """Takes the events of one utterance, as many as it is allowed to."""

    def __init__(self, session: LiveSession, utterance: LiveUtterance[Turn]) -> None:
        self.session = session
        self.utterance = utterance
        self.events: list[Event] = []
        self.pushed = ""
        self.input_ended = self.cancelled = self.interrupted = False
        self.chunks_at_interrupt: int | None = None
        self.allowed = asyncio.Semaphore(0)
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async with self.utterance:
            events = aiter(self.utterance)
            while self.end is None:
                await self.allowed.acquire()
                self.events.append(await anext(events))

    @property
    def chunks(self) -> list[AudioChunk]:
        return [event for event in self.events if isinstance(event, AudioChunk)]

    @property
    def end(self) -> Finished | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Finished) else None


class Sessions(RuleBasedStateMachine):
    listeners = Bundle("listeners")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.all: list[Listener] = []
        self.log: list[tuple[LiveSession, Listener]] = []

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    @initialize()
    def open(self) -> None:
        async def work() -> None:
            self.backend = ScriptedBackend(free=False)
            self.synthesizer = LiveSynthesizer(self.backend, timer=FakeTimer())
            self.sessions = [
                await self.synthesizer.open_session(SessionOptions(voice=voice, max_lead=LEAD))
                for voice in self.backend.voices
            ]

        self.run(work())

    @rule(
        target=listeners,
        index=strategies.integers(0, SESSIONS - 1),
        text=strategies.sampled_from([None, "", "…", "abc", "One. Two.", "a" * 9]),
    )
    def utter(self, index: int, text: str | None) -> Listener:
        async def work() -> None:
            session = self.sessions[index]
            listener = Listener(session, session.utter(text))
            listener.pushed = text or ""
            listener.input_ended = text is not None
            self.all.append(listener)
            await settle()

        self.run(work())
        return self.all[-1]

    # A listener leaves the bundle when it is cancelled, so its handle is there in all rules.

    @rule(listener=listeners, text=strategies.sampled_from(["xyz", "Hi. ", "Bye! So ", "🎉"]))
    def push(self, listener: Listener, text: str) -> None:
        async def work() -> None:
            if not listener.input_ended:
                listener.utterance.push_text(text)
                listener.pushed += text
            await settle()

        self.run(work())

    @rule(listener=listeners)
    def end_input(self, listener: Listener) -> None:
        async def work() -> None:
            listener.utterance.end_input()
            listener.input_ended = True
            await settle()

        self.run(work())

    @rule(listener=listeners, count=strategies.integers(1, 8))
    def consume(self, listener: Listener, count: int) -> None:
        async def work() -> None:
            for _ in range(count):
                listener.allowed.release()
            await settle()

        self.run(work())

    @rule(count=strategies.integers(1, 6))
    def step(self, count: int) -> None:
        async def work() -> None:
            self.backend.permit(count)
            await settle()

        self.run(work())

    @rule()
    def let_or_forbid_the_backend_to_stop(self) -> None:
        async def work() -> None:
            stopping = self.backend.stopping
            if stopping.is_set():
                stopping.clear()
            else:
                stopping.set()
            await settle()

        self.run(work())

    @rule(index=strategies.integers(0, SESSIONS - 1))
    def interrupt(self, index: int) -> None:
        async def work() -> None:
            session = self.sessions[index]
            before = [one for one in self.all if one.session is session]
            unfinished = [one for one in before if one.end is None and not one.cancelled]
            running = list(self.backend.running)
            task = asyncio.create_task(session.interrupt())
            await settle()
            self.backend.stopping.set()
            report = await task
            ended = {*report.stopped, *report.flushed}
            assert ended <= {one.utterance.id for one in unfinished}
            assert report.delivered <= report.generated
            mine = [run for run in running if run.segment.voice == session.options.voice]
            assert not [run for run in mine if run in self.backend.running]
            for one in unfinished:
                one.interrupted = True
                one.chunks_at_interrupt = len(one.chunks)
            await settle()

        self.run(work())

    @rule(listener=consumes(listeners), kind=strategies.sampled_from(["cancel", "consumer"]))
    def cancel(self, listener: Listener, kind: str) -> None:
        async def work() -> None:
            listener.cancelled = listener.input_ended = True
            if kind == "cancel":
                listener.utterance.cancel()
            else:
                listener.task.cancel()
            await settle()

        self.run(work())

    @invariant()
    def offsets_are_contiguous(self) -> None:
        for listener in self.all:
            position = 0
            for event in listener.events:
                if isinstance(event, AudioChunk):
                    assert event.offset == position
                    position += len(event.samples)
                elif isinstance(event, Mark):
                    assert event.start >= position or event.end == event.start

    @invariant()
    def nothing_comes_after_an_interrupt(self) -> None:
        for listener in self.all:
            if listener.chunks_at_interrupt is not None:
                assert len(listener.chunks) == listener.chunks_at_interrupt

    @invariant()
    def order_is_kept(self) -> None:
        for session in getattr(self, "sessions", []):
            mine = [one for one in self.all if one.session is session]
            begun = [index for index, one in enumerate(mine) if one.chunks]
            for earlier in mine[: begun[-1]] if begun else []:
                over = earlier.end is not None or earlier.cancelled or earlier.interrupted
                assert over, "a later utterance was heard before an earlier one had ended"

    @invariant()
    def the_lead_is_kept(self) -> None:
        for session in getattr(self, "sessions", []):
            assert sum(turn.waiting for turn in session._turns) <= LEAD * SAMPLE_RATE

    def teardown(self) -> None:
        async def work() -> None:
            if not hasattr(self, "sessions"):
                return
            self.backend.stopping.set()
            self.backend.free = True
            for listener in self.all:
                listener.utterance.end_input()
                for _ in range(200):
                    listener.allowed.release()
            # An upper bound, not a wait: each round lets all that runs finish a segment.
            for _ in range(100):
                self.backend.permit(20)
                await settle()
                if all(listener.task.done() for listener in self.all):
                    break
            for listener in self.all:
                self.check_end(listener)
            assert self.backend.running == []
            assert [session.queued for session in self.sessions] == [0] * SESSIONS
            await self.synthesizer.aclose()
            await settle()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not others, others

        try:
            self.run(work())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.run(settle())
            self.run(self.loop.shutdown_asyncgens())
            self.loop.close()

    def check_end(self, listener: Listener) -> None:
        if listener.cancelled and listener.task.cancelled():
            return
        assert listener.end is not None
        if listener.interrupted or listener.cancelled:
            return
        assert listener.end.reason == "completed"
        assert listener.end.samples == CHUNK * sum(
            len(text.strip())
            for text in self.spoken_parts(listener.pushed)
            if any(char.isalnum() for char in text)
        )
        marks = "".join(event.text for event in listener.events if isinstance(event, Mark))
        assert marks == listener.pushed

    @staticmethod
    def spoken_parts(text: str) -> list[str]:
        from qwen3_tts_live.text.front_end import TextFrontEnd

        front_end = TextFrontEnd()
        return [part.spoken for part in (*front_end.push(text), *front_end.end())]


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=100, stateful_step_count=30)
