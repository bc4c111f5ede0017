"""The embedded voice on the real eSpeak NG: languages, words, stopping, a worker that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import numpy as np
import psutil
import pytest
import pytest_asyncio

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.backend import BackendEvent, Pcm, Segment, Word
from qwen3_tts_live.backends.preview import PreviewBackend
from qwen3_tts_live.errors import BackendCrashedError, BackendUnavailableError, ClosedError

pytestmark = pytest.mark.asyncio(loop_scope="module")  # in which the workers live

HELLO = {
    "Chinese": "你好，世界。",
    "English": "Hello, world.",
    "Japanese": "こんにちは、せかい。",
    "Korean": "안녕하세요, 세계.",
    "German": "Hallo, schöne Welt.",
    "French": "Bonjour, tout le monde.",
    "Russian": "Привет, мир.",
    "Portuguese": "Olá, mundo.",
    "Spanish": "Hola, señor mundo.",
    "Italian": "Ciao, perché no?",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[PreviewBackend]:
    """One for all tests; one that kills its workers has them replaced."""
    backend = await PreviewBackend.open(workers=2)
    yield backend
    await backend.aclose()


async def speak(backend: PreviewBackend, text: str, **settings: str) -> list[BackendEvent]:
    segment = Segment(**{"text": text, "language": "English"} | settings)
    return [event async for event in backend.synthesize(segment)]


def audio(events: list[BackendEvent]) -> np.ndarray:
    return np.concatenate([event.samples for event in events if isinstance(event, Pcm)])


def workers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if any("preview_worker" in argument for argument in child.cmdline())
    ]


async def test_each_of_the_ten_languages_is_audible(backend: PreviewBackend) -> None:
    assert set(backend.languages) == set(HELLO)
    spoken = {
        name: audio(await speak(backend, text, language=name)) for name, text in HELLO.items()
    }
    for name, samples in spoken.items():
        assert 0.4 * SAMPLE_RATE < len(samples) < 4 * SAMPLE_RATE, name
        assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 500, name
    assert len({samples.tobytes() for samples in spoken.values()}) == 10


async def test_words_are_announced_before_their_audio_and_cover_the_text(
    backend: PreviewBackend,
) -> None:
    text = "It's 3.5 miles, isn't it?"
    events = await speak(backend, text)
    position = covered = heard_until = 0
    for event in events:
        if isinstance(event, Word):
            assert event.text_start == covered
            assert event.start == heard_until
            assert event.start >= position
            covered, heard_until = event.text_end, event.end
        else:
            position += len(event.samples)
    assert covered == len(text)
    assert heard_until == position


async def test_a_word_sounds_where_its_mark_says(backend: PreviewBackend) -> None:
    """Silence is where the pause is: the loud samples of a word lie inside its mark."""
    events = await speak(backend, "One. Two")
    samples = np.abs(audio(events).astype(int))
    words = [event for event in events if isinstance(event, Word)]
    for word in words:
        assert samples[word.start : word.end].max() > 2000
    pause = samples[words[-1].start - SAMPLE_RATE // 10 : words[-1].start]
    assert pause.max() < 500


async def test_voices_differ(backend: PreviewBackend) -> None:
    spoken = {voice: audio(await speak(backend, "Hello.", voice=voice)) for voice in backend.voices}
    assert len({samples.tobytes() for samples in spoken.values()}) == len(backend.voices)


async def test_the_first_audio_comes_before_the_last_is_made(backend: PreviewBackend) -> None:
    events = backend.synthesize(Segment(text="word " * 400, language="English"))
    while not isinstance(await anext(events), Pcm):
        pass
    assert backend._idle.qsize() == 1, "the worker had already finished"
    assert len([event async for event in events]) > 400


async def test_closing_the_generator_stops_the_worker(backend: PreviewBackend) -> None:
    """The bound is a promise, 20 ms; all but one of the rounds may wait for a processor."""
    took = []
    for _ in range(10):
        events = backend.synthesize(Segment(text="and on and on " * 500, language="English"))
        await anext(events)
        started = time.perf_counter()
        await events.aclose()
        took.append(time.perf_counter() - started)
        assert backend._idle.qsize() == 2
    assert min(took) < 0.02


async def test_characters_that_cannot_be_spoken_do_no_harm(backend: PreviewBackend) -> None:
    text = "a\0b \ud800 c\x1b[0m \uffff 🎉" + "<voice name='x'>" + "[[xx]]"
    assert len(audio(await speak(backend, text)))


async def test_more_segments_than_workers_all_get_their_turn(backend: PreviewBackend) -> None:
    spoken = await asyncio.gather(*(speak(backend, "Hello, hello.") for _ in range(20)))
    lengths = [len(audio(events)) for events in spoken]
    assert max(lengths) - min(lengths) < SAMPLE_RATE // 100


async def test_a_slow_consumer_does_not_hold_a_worker(backend: PreviewBackend) -> None:
    unread = [backend.synthesize(Segment(text="Hello.", language="English")) for _ in range(4)]
    for events in unread:
        await anext(events)
    assert len(audio(await speak(backend, "I am not kept waiting.")))
    for events in unread:
        await events.aclose()


async def test_a_worker_that_dies_fails_its_segment_and_is_replaced(
    backend: PreviewBackend,
) -> None:
    events = backend.synthesize(Segment(text="and on and on " * 3000, language="English"))
    await anext(events)
    for worker in workers():
        os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(BackendCrashedError) as caught:
        async for _ in events:
            pass
    assert caught.value.retryable
    spoken = await asyncio.gather(*(speak(backend, "We are back.") for _ in range(4)))
    assert all(len(audio(events)) for events in spoken)
    assert len(workers()) == 2


async def test_a_worker_that_died_while_idle_costs_nobody_anything(backend: PreviewBackend) -> None:
    for worker in workers():
        os.kill(worker.pid, signal.SIGKILL)
    # Nothing waited in between: their end is found by asking them.
    spoken = await asyncio.gather(*(speak(backend, "As if nothing happened.") for _ in range(4)))
    assert all(len(audio(events)) for events in spoken)
    assert len(workers()) == 2


async def test_closing_while_a_worker_starts_leaves_no_process_and_tells_who_waits() -> None:
    before = set(psutil.Process().children())
    backend = await PreviewBackend.open(workers=1)
    [first] = set(workers()) - before
    os.kill(first.pid, signal.SIGKILL)
    waiting = [asyncio.create_task(speak(backend, "Hello.")) for _ in range(3)]
    while set(psutil.Process().children()) <= before | {first}:
        await asyncio.sleep(0.001)  # until the process that replaces it is there
    await backend.aclose()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [ClosedError] * 3
    assert set(psutil.Process().children()) <= before


async def test_closing_leaves_no_process_and_refuses_more() -> None:
    before = set(workers())
    backend = await PreviewBackend.open(workers=2)
    assert len(set(workers()) - before) == 2
    await backend.aclose()
    await backend.aclose()
    assert set(workers()) == before
    with pytest.raises(ClosedError):
        await speak(backend, "Hello.")


async def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match="pip install"):
        await PreviewBackend.open()


async def test_a_worker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(BackendUnavailableError, match="did not start"):
        await PreviewBackend.open(workers=1)
