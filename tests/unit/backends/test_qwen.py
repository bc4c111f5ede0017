"""The Qwen3-TTS backend on a fake model: what it asks of the engine, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fake_runner import FRAME, FakeRunner, value
from fakes import settle
from qwen3_tts_live.backend import Pcm, Segment
from qwen3_tts_live.backends.qwen import LoadedQwen, QwenBackend
from qwen3_tts_live.backends.qwen_options import QwenOptions
from qwen3_tts_live.engine.engine import Engine
from qwen3_tts_live.errors import InvalidRequestError, UnknownVoiceError
from qwen3_tts_live.model.contract import Prompt, Sampling
from qwen3_tts_live.voices.voice import ModelType, Voice, VoiceRegistry

CLONE = Voice(name="reference", embedding=np.zeros(8, np.float32))
IN_CONTEXT = Voice(
    name="anna",
    embedding=np.ones(8, np.float32),
    codes=np.zeros((2, 16), np.int64),
    ref_text="Hi",
)
SPEAKERS = [
    Voice(name="Vivian", speaker_id=3065),
    Voice(name="Eric", speaker_id=2875, dialect="sichuan_dialect"),
]


@dataclass(frozen=True)
class FakeModel:
    """A checkpoint whose tokens are characters."""

    model_type: ModelType = "base"
    takes_instruct: bool = False
    hidden_size: int = 8
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7, top_k=20))
    languages: dict[str, int] = field(
        default_factory=lambda: {"chinese": 2055, "english": 2050, "sichuan_dialect": 2062}
    )

    def tokenize(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def tokenize_instruct(self, text: str) -> list[int]:
        return [1, *self.tokenize(text), 2]


class Runner(FakeRunner):
    """Remembers what it was asked for."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []

    def start(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        super().start(slot, prompt, sampling)
        self.prompts.append(prompt)
        self.samplings.append(sampling)


BASE = FakeModel()
CUSTOM = FakeModel(model_type="custom_voice", takes_instruct=True)
DESIGN = FakeModel(model_type="voice_design", takes_instruct=True)
VOICES: dict[ModelType, Sequence[Voice]] = {
    "base": [CLONE, IN_CONTEXT],
    "custom_voice": SPEAKERS,
    "voice_design": [],
}


@asynccontextmanager
async def opened(
    runner: Runner, model: FakeModel = BASE, **options: Any
) -> AsyncIterator[QwenBackend]:
    voices = VoiceRegistry(model.model_type, 8, VOICES[model.model_type], model.languages)
    loaded = LoadedQwen(name="tiny", model=model, voices=voices, runner=runner)
    engine = await Engine.open(lambda: runner)
    try:
        yield QwenBackend(loaded, engine, QwenOptions(**options))
    finally:
        await engine.aclose()
    assert runner.rows == {}


def segment(text: str = "Hello", language: str = "English", **more: Any) -> Segment:
    return Segment(text=text, language=language, **more)


async def heard(events: AsyncIterator[Any]) -> list[int]:
    """One sample a frame."""
    chunks = [event.samples async for event in events if isinstance(event, Pcm)]
    return list(np.concatenate(chunks)[::FRAME]) if chunks else []


async def asked(model: FakeModel, wanted: Segment, **options: Any) -> tuple[Prompt, Sampling]:
    """Return what the runner is asked for when `wanted` is spoken."""
    runner = Runner()
    async with opened(runner, model, **options) as backend:
        await heard(backend.synthesize(wanted))
    return runner.prompts[0], runner.samplings[0]


def frames(text: str) -> list[int]:
    return [value(ord(text[0]), n) for n in range(len(text))]


# ---------------------------------------------------------------- what is asked of the model


async def test_a_segment_is_spoken_without_the_white_space_around_it() -> None:
    async with opened(Runner()) as backend:
        assert await heard(backend.synthesize(segment("\n Hello \n"))) == frames("Hello")
        assert await heard(backend.synthesize(segment(" \n "))) == []


@pytest.mark.parametrize(
    ("model", "layout"), [(BASE, "track"), (CUSTOM, "prefill"), (DESIGN, "prefill")]
)
async def test_the_text_is_laid_out_as_officially_unless_told_otherwise(
    model: FakeModel, layout: str
) -> None:
    assert (await asked(model, segment()))[0].layout == layout
    assert (await asked(model, segment(), text_layout="track"))[0].layout == "track"


async def test_a_clone_speaks_with_its_embedding_and_in_context_with_its_reference() -> None:
    prompt, _ = await asked(BASE, segment())
    assert prompt.speaker_embedding is CLONE.embedding
    assert prompt.reference_codes is None and list(prompt.reference_text_ids) == []
    prompt, _ = await asked(BASE, segment("Hello there", voice="anna"))
    assert prompt.speaker_embedding is IN_CONTEXT.embedding
    assert prompt.reference_codes is IN_CONTEXT.codes
    assert prompt.reference_text_ids == BASE.tokenize("Hi")


@pytest.mark.parametrize(
    ("voice", "language", "expected"),
    [("vivian", "Chinese", 2055), ("eric", "Chinese", 2062), ("vivian", "Auto", None)],
)
async def test_speaker_and_language_become_the_checkpoints_ids(
    voice: str, language: str, expected: int | None
) -> None:
    prompt, _ = await asked(CUSTOM, segment(language=language, voice=voice))
    assert prompt.language_id == expected
    assert prompt.speaker_id == {"vivian": 3065, "eric": 2875}[voice]


async def test_an_instruction_of_the_segment_replaces_that_of_the_options() -> None:
    prompt, _ = await asked(DESIGN, segment(), instruct="low")
    assert prompt.instruct_ids == [1, *DESIGN.tokenize("low"), 2]
    prompt, _ = await asked(DESIGN, segment(instruct=" high "), instruct="low")
    assert prompt.instruct_ids == [1, *DESIGN.tokenize("high"), 2]
    prompt, _ = await asked(DESIGN, segment(instruct=""), instruct="low")
    assert prompt.instruct_ids == ()


async def test_what_the_checkpoint_cannot_do_is_refused() -> None:
    async with opened(Runner()) as backend:
        for wrong, clue in (
            (segment(instruct="whisper"), "no instructions"),
            (segment(voice="nobody"), "reference, anna"),
            (segment(language="Korean"), "does not speak Korean"),
            (segment(extra={"speed": 2}), "unknown sampling setting"),
        ):
            with pytest.raises(InvalidRequestError, match=clue):
                await heard(backend.synthesize(wrong))
    for options in ({"instruct": "whisper"}, {"speaker": "nobody"}):
        with pytest.raises(InvalidRequestError):
            await asked(BASE, segment(), **options)


async def test_settings_come_from_the_segment_then_the_options_then_the_checkpoint() -> None:
    _, sampling = await asked(BASE, segment(extra={"top_p": 0.5}), top_p=0.9, temperature=1.1)
    assert (sampling.top_p, sampling.temperature, sampling.top_k) == (0.5, 1.1, 20)
    _, sampling = await asked(BASE, segment(), greedy=True)
    assert sampling.greedy


async def test_a_seed_comes_from_the_segment_or_the_options_and_is_drawn_otherwise() -> None:
    assert (await asked(BASE, segment(seed=5), seed=7))[1].seed == 5
    assert (await asked(BASE, segment(), seed=7))[1].seed == 7
    assert 0 <= (await asked(BASE, segment(seed=-1)))[1].seed < 1 << 63
    drawn = {(await asked(BASE, segment()))[1].seed for _ in range(3)}
    assert len(drawn) == 3


async def test_it_says_what_it_can_do_with_the_default_voice_first() -> None:
    async with opened(Runner(), CUSTOM, speaker="ERIC") as backend:
        assert backend.voices == ("Eric", "Vivian")
        assert backend.languages == ("Chinese", "English")
        assert backend.name == "tiny"
    async with opened(Runner(), DESIGN) as backend:
        assert backend.voices == ()


async def test_a_voice_that_is_not_there_is_refused_by_its_name() -> None:
    with pytest.raises(UnknownVoiceError, match="Vivian, Eric"):
        await asked(CUSTOM, segment(), speaker="bob")


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_stopped_segment_has_no_frame_computed_after_the_step_in_flight(how: str) -> None:
    runner = Runner(slots=1, endless=True)
    waiting, permits = threading.Semaphore(0), threading.Semaphore(0)

    def hold() -> None:
        waiting.release()
        permits.acquire()

    runner.before_decode = hold
    async with opened(runner) as backend:
        events = backend.synthesize(segment())
        first = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(waiting.acquire)
        if how == "close":
            permits.release()
            await first  # the first chunk is out, and the second frame is being decoded
            await asyncio.to_thread(waiting.acquire)
            ending: asyncio.Future[Any] = asyncio.ensure_future(events.aclose())
        else:
            first.cancel()
            ending = first
        await settle()
        assert not ending.done()  # the work has not ended yet
        decoded = len(runner.batches)
        permits.release()
        await asyncio.wait([ending])
        assert runner.rows == {}
        assert len(runner.batches) == decoded + 1
        permits.release(1000)
        assert (await heard(backend.synthesize(segment("again", voice="anna"))))[0] == value(97, 0)


async def test_a_guard_that_cuts_a_runaway_ends_the_segment_well() -> None:
    runner = Runner(endless=True)
    async with opened(runner, max_frames=20) as backend:
        assert len(await heard(backend.synthesize(segment()))) == 20
        assert backend.metrics.ended == {"max_frames": 1}


async def test_what_a_slow_consumer_does_not_take_is_not_made() -> None:
    runner = Runner(endless=True)
    async with (
        opened(runner, max_ahead=0.4) as backend,
        aclosing(backend.synthesize(segment())) as slow,
    ):
        await anext(slow)
        await heard(backend.synthesize(segment("other")))
        assert sum(72 in batch for batch in runner.batches) < 10  # the lead, and one chunk


# ---------------------------------------------------------------- text that still arrives


async def pieces(texts: Iterable[str]) -> AsyncIterator[str]:
    for text in texts:
        await asyncio.sleep(0)
        yield text


@pytest.mark.parametrize("layout", ["track", "prefill"])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_text_in_any_pieces_is_spoken_as_the_whole_text(layout: str, size: int) -> None:
    text = "Hello there, it is me. 你好,世界。"
    cut = [text[n : n + size] for n in range(0, len(text), size)]
    async with opened(Runner(), text_layout=layout) as backend:
        whole = await heard(backend.synthesize(segment(text)))
        live = backend.synthesize_live(segment(cut[0]), pieces(cut[1:]))
        assert await heard(live) == whole == frames(text)


async def test_certain_words_are_spoken_before_the_rest_is_known() -> None:
    async with opened(Runner()) as backend:
        more: asyncio.Queue[str] = asyncio.Queue()

        async def arriving() -> AsyncIterator[str]:
            while text := await more.get():
                yield text

        events = backend.synthesize_live(segment("Hello there"), arriving())
        first = await anext(events)
        assert isinstance(first, Pcm) and first.samples[0] == value(72, 0)
        for text in (" you.", ""):
            more.put_nowait(text)
        rest = await heard(events)
        assert [first.samples[0], *rest] == frames("Hello there you.")


async def test_where_the_text_breaks_off_the_error_comes_out_and_the_slot_is_free() -> None:
    async def broken() -> AsyncIterator[str]:
        yield " there"
        raise ZeroDivisionError("the text broke off")

    runner = Runner(slots=1)
    async with opened(runner) as backend:
        with pytest.raises(ZeroDivisionError):
            await heard(backend.synthesize_live(segment("Hello"), broken()))
        assert runner.rows == {}
        assert await heard(backend.synthesize(segment())) == frames("Hello")


@pytest.mark.parametrize("ended_by", ["closing", "a guard"])
async def test_text_is_no_longer_taken_when_the_speech_is_over(ended_by: str) -> None:
    given_up = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                await asyncio.sleep(0)
                yield " more"
        finally:
            given_up.set()

    async with (
        opened(Runner(), max_frames=10 if ended_by == "a guard" else 1000) as backend,
        aclosing(backend.synthesize_live(segment("Hello"), endless())) as events,
    ):
        if ended_by == "closing":
            await anext(events)
        else:
            assert len(await heard(events)) == 10
    assert given_up.is_set()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "live-text"]
