"""What a session promises, one behaviour a test. All on a scripted backend: no time passes."""

from __future__ import annotations

import asyncio
import gc

import pytest

from fakes import CHUNK, FakeClock, FakeTimer, ScriptedBackend, settle, voice_of
from qwen3_tts_live.audio import AudioChunk
from qwen3_tts_live.errors import (
    BackendError,
    CapacityError,
    ClosedError,
    InvalidRequestError,
    QueueFullError,
    TextTooLongError,
    UnknownLanguageError,
    UnknownVoiceError,
)
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits
from qwen3_tts_live.synthesizer import Event, Finished, Mark, SessionOptions, Utterance
from qwen3_tts_live.text import NormalizerSettings

# Every sentence is a segment.
SHORT = NormalizerSettings(first_sentence=1, sentence=1)


async def listen(utterance: Utterance) -> list[Event]:
    return [event async for event in utterance]


def samples(events: list[Event]) -> int:
    return sum(len(event.samples) for event in events if isinstance(event, AudioChunk))


async def test_text_pushed_in_pieces_sounds_like_the_whole_text() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session()
        whole = await listen(session.utter("One two. Three four."))
        utterance = session.utter()
        for piece in ("On", "e two", ". Th", "ree four."):
            utterance.push_text(piece)
        utterance.end_input()
        pieces = await listen(utterance)
    assert samples(whole) == samples(pieces) == len("One two. Three four.") * CHUNK


async def test_speech_begins_while_the_text_is_still_arriving() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter()
        utterance.push_text("First. And th")
        events = aiter(utterance)
        seen = [await anext(events) for _ in range(3)]
        assert [type(event) for event in seen[:2]] == [Mark, AudioChunk]
        utterance.end_input()


async def test_what_is_complete_is_said_when_the_text_stalls() -> None:
    backend, clock, timer = ScriptedBackend(), FakeClock(), FakeTimer()
    async with LiveSynthesizer(backend, clock=clock, timer=timer) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter()
        await settle()
        assert timer.running == []  # there is no text that could stall
        utterance.push_text("Let me look that up.")
        clock.now += 0.05
        await settle()
        assert backend.started == []
        assert [round(handle.delay, 3) for handle in timer.running] == [0.15]
        timer.end()
        await settle()
        assert backend.started == ["Let me look that up."]
        assert timer.running == []  # it is asked for once
        utterance.push_text(" And it is")
        await settle()
        assert len(timer.running) == 1
        timer.end()
        await settle()
        assert backend.started == ["Let me look that up."]  # half a sentence waits
        utterance.push_text(" here.")
        utterance.end_input()
        await listen(utterance)
        assert backend.started == ["Let me look that up.", "And it is here."]
        assert timer.running == []


async def test_text_that_flows_is_not_cut_by_the_timer() -> None:
    backend, timer = ScriptedBackend(), FakeTimer()
    async with LiveSynthesizer(backend, timer=timer) as synthesizer:
        utterance = (await synthesizer.open_session()).utter()
        for token in ("OK", ".", " Let", " me", " see", "."):
            utterance.push_text(token)
            await settle()
        assert len(timer.running) == 1
        utterance.end_input()
        await listen(utterance)
    assert backend.started == ["OK. Let me see."]


async def test_a_slow_grammar_reads_in_a_thread_and_says_the_same() -> None:
    slow = SessionOptions(normalizer=NormalizerSettings(grammar="wetextprocessing"))
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session(slow)
        utterance = session.utter()
        for piece in ("Hello ", "there, ", "my friend. ", "How are you?"):
            utterance.push_text(piece)
        utterance.end_input()
        await listen(utterance)
    assert backend.started == ["Hello there, my friend.", "How are you?"]


async def test_a_session_chooses_how_its_text_becomes_speech() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        await listen(session.utter("**Hello** there."))
        plain = SessionOptions(normalizer=NormalizerSettings(enabled=False, markup=False))
        await listen(session.utter("**Hello** there.", options=plain))
    assert backend.started == ["Hello there.", "**Hello** there."]


async def test_utterances_play_in_the_order_in_which_they_were_made() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        heard: list[str] = []

        async def consume(utterance: Utterance) -> None:
            async for event in utterance:
                if isinstance(event, AudioChunk):
                    heard.append(event.utterance_id)

        utterances = [session.utter(text) for text in ("aaa", "bb", "cccc")]
        await asyncio.gather(*(consume(utterance) for utterance in reversed(utterances)))
    assert heard == [u.id for u, n in zip(utterances, (3, 2, 4), strict=True) for _ in range(n)]


async def test_sessions_speak_at_the_same_time() -> None:
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as synthesizer:
        sessions = [await synthesizer.open_session() for _ in range(3)]
        utterances = [session.utter("hello") for session in sessions]
        await settle()
        assert len(backend.running) == len(utterances) == 3


async def test_the_next_segment_is_made_before_the_last_one_was_heard() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(normalizer=SHORT))
        utterance = session.utter("One. Two. Three.")
        await settle(200)
        assert backend.started == ["One.", "Two.", "Three."]
        assert samples(await listen(utterance)) == len("One.Two.Three.") * CHUNK


async def test_an_interrupt_stops_what_plays_and_flushes_what_waits() -> None:
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        playing, *queued = [session.utter(text) for text in ("playing", "two", "three", "four")]
        events = aiter(playing)
        await settle()
        backend.permit(2)
        heard = [await anext(events) for _ in range(2)]
        await settle()

        report = await session.interrupt()

        assert backend.running == []
        assert report.stopped == (playing.id,)
        assert report.flushed == tuple(utterance.id for utterance in queued)
        assert report.generated == 2 * CHUNK
        assert report.delivered == samples(heard)
        rest = [event async for event in events]
        assert [type(event) for event in rest] == [Finished]
        for utterance in queued:
            (end,) = await listen(utterance)
            assert isinstance(end, Finished)
            assert (end.reason, end.samples) == ("interrupted", 0)
        backend.free = True
        assert samples(await listen(session.utter("next"))) == 4 * CHUNK


async def test_an_interrupt_returns_only_when_the_backend_has_really_stopped() -> None:
    backend = ScriptedBackend(free=False)
    backend.stopping.clear()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter("playing")
        await settle()
        interrupting = asyncio.create_task(session.interrupt())
        await settle()
        after = session.utter("after")
        await settle()
        assert not interrupting.done()
        assert backend.started == ["playing"]  # the next one waits for the slot, too
        backend.stopping.set()
        assert (await interrupting).stopped == (utterance.id,)
        await settle()
        assert backend.started == ["playing", "after"]
        backend.free = True
        backend.permit(9)
        assert samples(await listen(after)) == 5 * CHUNK


async def test_an_interrupt_twice_in_a_row_does_not_cut_the_clean_up_short() -> None:
    backend = ScriptedBackend(free=False)
    backend.stopping.clear()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter("playing")
        await settle()
        both = [asyncio.create_task(session.interrupt()) for _ in range(2)]
        await settle()
        utterance.cancel()
        await settle()
        assert [task.done() for task in both] == [False, False]
        assert len(backend.running) == 1
        backend.stopping.set()
        first, second = await asyncio.gather(*both)
        assert (first.stopped, second.stopped) == ((utterance.id,), ())


async def test_an_interrupt_never_waits_for_a_consumer() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=0.2))
        unread = session.utter("nobody takes this")
        await settle()
        report = await session.interrupt()
        assert report.stopped == (unread.id,)
        assert report.delivered == 0


async def test_an_interrupt_of_a_silent_session_reports_nothing() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session()
        report = await session.interrupt()
        assert (report.stopped, report.flushed, report.generated) == ((), (), 0)


async def test_text_pushed_after_an_interrupt_is_let_fall() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter()
        await session.interrupt()
        utterance.push_text("An LLM writes on for a moment. It cannot know.")
        utterance.end_input()
        await settle()
        assert backend.started == []
        assert [type(event) for event in await listen(utterance)] == [Finished]


async def test_no_more_audio_than_the_lead_waits_for_the_consumer() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=0.4))
        events = aiter(session.utter("x" * 100))
        await settle(300)
        assert backend.running[0].made == 5 * CHUNK  # 0.4 s
        taken = 0
        while taken < 3:
            taken += isinstance(await anext(events), AudioChunk)
        await settle()
        assert backend.running[0].made == 8 * CHUNK


async def test_a_lead_of_none_lets_the_work_run_ahead() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=None))
        utterance = session.utter("x" * 100)
        await settle(300)
        assert (backend.started, backend.running) == (["x" * 100], [])
        assert samples(await listen(utterance)) == 100 * CHUNK


async def test_cancelling_one_utterance_leaves_the_others_alone() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session()
        first, second, third = [session.utter(text) for text in ("one", "two", "three")]
        second.cancel()
        assert samples(await listen(first)) == 3 * CHUNK
        assert samples(await listen(second)) == 0
        assert samples(await listen(third)) == 5 * CHUNK


async def test_cancelling_the_consumer_stops_the_work() -> None:
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        consumer = asyncio.create_task(listen(session.utter("hello")))
        await settle()
        assert len(backend.running) == 1
        consumer.cancel()
        await settle()
        assert backend.running == []
        assert session.queued == 0


async def test_leaving_the_loop_early_stops_the_work() -> None:
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=0.2))
        async for event in session.utter("hello world, how are you"):
            if isinstance(event, AudioChunk):
                break
        gc.collect()
        await settle()
        assert backend.running == []


async def test_dropping_an_utterance_that_nobody_listens_to_stops_the_work() -> None:
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter("hello")
        await settle()
        assert len(backend.running) == 1
        del utterance
        gc.collect()
        await settle()
        assert backend.running == []


async def test_marks_join_to_the_input_and_come_before_their_audio() -> None:
    text = "  Hello, wörld…  你好。 ** 42!\n\n"
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=None))
        events = await listen(session.utter(text))
    position = 0
    for event in events:
        if isinstance(event, AudioChunk):
            assert event.offset == position
            position += len(event.samples)
        elif isinstance(event, Mark) and event.end > event.start:
            assert event.start >= position
    assert "".join(event.text for event in events if isinstance(event, Mark)) == text


async def test_text_with_nothing_to_say_ends_well_and_in_silence() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session()
        events = await listen(session.utter("… 🎉 !"))
    assert samples(events) == 0
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "completed"


async def test_a_backend_that_fails_ends_its_utterance_once_and_no_other() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(normalizer=SHORT))
        broken, well = session.utter("Fine. Then boom"), session.utter("still here")
        heard = []
        with pytest.raises(BackendError, match="ZeroDivisionError"):
            async for event in broken:
                heard.append(event)
        assert voice_of("Fine.") in {e.samples[0] for e in heard if isinstance(e, AudioChunk)}
        assert samples(await listen(well)) == len("still here") * CHUNK


async def test_an_utterance_can_be_iterated_once() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter("hello")
        await listen(utterance)
        with pytest.raises(RuntimeError, match="once"):
            aiter(utterance)


async def test_text_after_the_end_of_input_is_refused() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        utterance = (await synthesizer.open_session()).utter("hello")
        with pytest.raises(RuntimeError, match="end_input"):
            utterance.push_text("more")


# ------------------------------------------------------------------ limits and bad requests


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    limits = SessionLimits(max_queued=2)
    async with LiveSynthesizer(ScriptedBackend(), limits) as synthesizer:
        session, other = [await synthesizer.open_session() for _ in range(2)]
        waiting = [session.utter("hello") for _ in range(2)]
        with pytest.raises(QueueFullError) as caught:
            session.utter("one too many")
        assert caught.value.retryable
        assert caught.value.retry_after
        assert samples(await listen(other.utter("fine"))) == 4 * CHUNK
        await listen(waiting[0])
        session.utter("now there is room")


async def test_a_full_synthesizer_refuses_sessions_and_utterances() -> None:
    limits = SessionLimits(max_sessions=2, max_utterances=1)
    async with LiveSynthesizer(ScriptedBackend(), limits) as synthesizer:
        first, second = [await synthesizer.open_session() for _ in range(2)]
        with pytest.raises(CapacityError):
            await synthesizer.open_session()
        waiting = first.utter("hello")
        with pytest.raises(CapacityError):
            second.utter("hello")
        await listen(waiting)
        await listen(second.utter("hello"))


async def test_text_over_the_limit_is_refused_whole_or_in_pieces() -> None:
    async with LiveSynthesizer(ScriptedBackend(), SessionLimits(max_text=10)) as synthesizer:
        session = await synthesizer.open_session()
        with pytest.raises(TextTooLongError, match="10"):
            session.utter("x" * 11)
        assert session.queued == 0
        utterance = session.utter()
        utterance.push_text("x" * 10)
        with pytest.raises(TextTooLongError):
            utterance.push_text("x")


async def test_unknown_names_are_refused_with_the_known_ones() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        with pytest.raises(UnknownLanguageError, match="Chinese"):
            await synthesizer.open_session(SessionOptions(language="Klingon"))
        with pytest.raises(InvalidRequestError, match="does not speak German"):
            await synthesizer.open_session(SessionOptions(language="de"))
        session = await synthesizer.open_session()
        with pytest.raises(UnknownVoiceError, match="anna, bert"):
            session.utter("hi", options=SessionOptions(voice="carl"))
        with pytest.raises(InvalidRequestError, match="max_lead"):
            session.utter("hi", options=SessionOptions(max_lead=0))


async def test_an_idle_session_is_closed_and_a_busy_one_is_not() -> None:
    clock = FakeClock()
    limits = SessionLimits(idle_timeout=10, max_sessions=2)
    async with LiveSynthesizer(ScriptedBackend(free=False), limits, clock=clock) as synthesizer:
        idle = await synthesizer.open_session(session_id="idle")
        busy = await synthesizer.open_session(session_id="busy")
        utterance = busy.utter("hello")
        clock.now += 11
        await synthesizer.open_session(session_id="new")
        assert synthesizer.get_session("idle") is None
        assert synthesizer.get_session("busy") is busy
        with pytest.raises(ClosedError):
            idle.utter("too late")
        utterance.cancel()


async def test_a_session_is_found_again_by_its_id() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        session = await synthesizer.open_session(session_id="user_123")
        again = await synthesizer.open_session(SessionOptions(voice="bert"), session_id="user_123")
        assert again is session is synthesizer.get_session("user_123")
        assert session.options.voice == "bert"
        await session.aclose()
        assert synthesizer.get_session("user_123") is None


async def test_closing_the_synthesizer_ends_every_utterance_and_the_backend() -> None:
    backend = ScriptedBackend(free=False)
    synthesizer = LiveSynthesizer(backend)
    session = await synthesizer.open_session()
    utterance = session.utter("hello")
    await settle()
    await synthesizer.aclose()
    await synthesizer.aclose()
    assert (backend.running, backend.closed) == ([], True)
    assert [type(event) for event in await listen(utterance)] == [Finished]
    with pytest.raises(ClosedError):
        session.utter("too late")
    with pytest.raises(ClosedError):
        await synthesizer.open_session()
