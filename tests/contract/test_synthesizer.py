"""One suite for every implementation of the seam: what `synthesizer.py` promises, on each of them.

A new implementation joins by a line in `IMPLEMENTATIONS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest
import pytest_asyncio

from fakes import ScriptedBackend
from qwen3_tts_live import (
    SAMPLE_RATE,
    AudioChunk,
    Finished,
    Mark,
    QwenOptions,
    SessionOptions,
    Synthesizer,
    Utterance,
    open_synthesizer,
)
from qwen3_tts_live.errors import ClosedError, UnknownLanguageError, UnknownVoiceError
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Event
from serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")  # in which the synthesizers live

LONG = "This is a sentence of a long speech. " * 40


Opened: TypeAlias = AbstractAsyncContextManager[Synthesizer]


@asynccontextmanager
async def scripted(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with LiveSynthesizer(ScriptedBackend()) as opened:
        yield opened


@asynccontextmanager
async def preview(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with await open_synthesizer("preview:") as opened:
        yield opened


@asynccontextmanager
async def qwen(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    folder = request.getfixturevalue("checkpoint_at")(model_type="custom_voice", ends=True)
    async with await open_synthesizer(f"qwen:{folder}", qwen=QwenOptions(greedy=True)) as opened:
        yield opened


@asynccontextmanager
async def ws(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with (
        scripted(request) as behind,
        serving(behind) as address,
        await open_synthesizer(address) as opened,
    ):
        yield opened


@asynccontextmanager
async def unix(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    path = request.getfixturevalue("tmp_path_factory").mktemp("unix") / "s"
    async with (
        preview(request) as behind,
        serving(behind, port=None, unix=path) as address,
        await open_synthesizer(address) as opened,
    ):
        yield opened


@asynccontextmanager
async def openai(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with (
        scripted(request) as behind,
        serving(behind) as address,
        await open_synthesizer(f"openai+{address.replace('ws:', 'http:')}/v1") as opened,
    ):
        yield opened


IMPLEMENTATIONS: dict[str, Callable[[pytest.FixtureRequest], Opened]] = {
    "scripted": scripted,
    "preview": preview,
    "qwen": qwen,
    "ws": ws,  # a server on the scripted backend
    "openai": openai,  # the same, through its /v1/audio/speech
    "unix": unix,  # a server on the embedded voice
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=IMPLEMENTATIONS)
async def synthesizer(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    """One of each kind for all tests: no session may leave anything behind for those after it."""
    async with IMPLEMENTATIONS[request.param](request) as opened:
        yield opened


async def listen(utterance: Utterance) -> list[Event]:
    return [event async for event in utterance]


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Mark)]


def same_speech(one: list[Event], other: list[Event]) -> bool:
    """Whether the same was said. Not bit by bit: eSpeak NG's flutter runs on between segments."""
    lengths = [len(pcm(events)) // 2 for events in (one, other)]
    return texts(one) == texts(other) and abs(lengths[0] - lengths[1]) < SAMPLE_RATE // 100


def pcm(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, AudioChunk))


async def test_chunks_join_without_a_gap_and_the_end_counts_them(synthesizer: Synthesizer) -> None:
    session = await synthesizer.open_session()
    events = await listen(session.utter("Hello there. How are you?"))
    position = 0
    for event in events:
        if isinstance(event, AudioChunk):
            assert event.offset == position
            assert event.samples.dtype == "int16"
            position += len(event.samples)
    assert position > SAMPLE_RATE // 2
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.samples) == ("completed", position)


@pytest.mark.parametrize(
    "text", ["Hello, there.  How are you?\n", "你好，world。 3.5 🎉", " ", "…"]
)
async def test_marks_join_to_exactly_the_input(synthesizer: Synthesizer, text: str) -> None:
    session = await synthesizer.open_session()
    events = await listen(session.utter(text))
    marks = [event for event in events if isinstance(event, Mark)]
    assert "".join(texts(events)) == text
    assert [mark.start for mark in marks] == sorted(mark.start for mark in marks)


async def test_any_cut_of_the_text_says_the_same(synthesizer: Synthesizer) -> None:
    session = await synthesizer.open_session()
    text = "One, two. Three and four! Five?"
    whole = await listen(session.utter(text))
    utterance = session.utter()
    for character in text:
        utterance.push_text(character)
    utterance.end_input()
    assert same_speech(await listen(utterance), whole)


async def test_an_interrupt_silences_the_session_and_nothing_else(synthesizer: Synthesizer) -> None:
    options = SessionOptions(max_lead=0.5)
    session, other = [await synthesizer.open_session(options) for _ in range(2)]
    playing, *queued = [session.utter(LONG) for _ in range(4)]
    elsewhere = asyncio.create_task(listen(other.utter("I go on.")))
    events = aiter(playing)
    heard = 0
    while heard < SAMPLE_RATE // 2:
        event = await anext(events)
        heard += len(event.samples) if isinstance(event, AudioChunk) else 0

    report = await session.interrupt()

    assert report.stopped == (playing.id,)
    assert report.flushed == tuple(utterance.id for utterance in queued)
    assert report.delivered == heard <= report.generated
    rest = [event async for event in events]
    assert [type(event) for event in rest] == [Finished]
    for utterance in queued:
        assert pcm(await listen(utterance)) == b""
    assert pcm(await listen(session.utter("I speak again.")))
    assert pcm(await elsewhere)


async def test_an_interrupt_before_the_first_audio_works_too(synthesizer: Synthesizer) -> None:
    session = await synthesizer.open_session()
    utterances = [session.utter(LONG) for _ in range(3)]
    await session.interrupt()
    for utterance in utterances:
        (end,) = await listen(utterance)
        assert isinstance(end, Finished)
        assert end.reason == "interrupted"
    assert (await session.interrupt()).stopped == ()


async def test_fifty_rapid_rounds_end_with_a_session_that_speaks(synthesizer: Synthesizer) -> None:
    session = await synthesizer.open_session()
    for _ in range(50):
        utterances = [session.utter(LONG) for _ in range(3)]
        await session.interrupt()
        del utterances
    assert pcm(await listen(session.utter("Still here.")))
    assert synthesizer.status.active == synthesizer.status.queued == 0


async def test_sessions_of_several_clients_speak_at_once(synthesizer: Synthesizer) -> None:
    sessions = [await synthesizer.open_session() for _ in range(8)]
    text = "All of us say the same thing."
    spoken = await asyncio.gather(*(listen(session.utter(text)) for session in sessions))
    assert all(pcm(events) and same_speech(events, spoken[0]) for events in spoken)


async def test_wrong_names_are_refused_before_anything_is_queued(synthesizer: Synthesizer) -> None:
    session = await synthesizer.open_session()
    with pytest.raises(UnknownLanguageError):
        session.utter("Hello.", options=SessionOptions(language="Klingon"))
    with pytest.raises(UnknownVoiceError):
        session.utter("Hello.", options=SessionOptions(voice="nobody"))
    assert session.queued == 0


async def test_a_closed_session_refuses_and_its_utterances_end(synthesizer: Synthesizer) -> None:
    session = await synthesizer.open_session(session_id="gone")
    utterance = session.utter(LONG)
    await session.aclose()
    assert isinstance((await listen(utterance))[-1], Finished)
    assert synthesizer.get_session("gone") is None
    with pytest.raises(ClosedError):
        session.utter("Hello.")


async def test_what_it_says_of_itself_is_usable(synthesizer: Synthesizer) -> None:
    info = synthesizer.info
    assert info.sample_rate == SAMPLE_RATE
    for language in info.languages:
        await synthesizer.open_session(SessionOptions(language=language))
    for voice in info.voices:
        session = await synthesizer.open_session(SessionOptions(voice=voice))
        assert pcm(await listen(session.utter("Hello.")))
