"""The service in a real pipeline, on an engine that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData, TTSUsageMetricsData
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.tts_service import TextAggregationMode
from pipecat.tests.utils import run_test
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory

from fakes import CHUNK, ScriptedBackend, voice_of
from pipecat_call import Call, calling, spaced, turn
from pipecat_qwen3_tts import Qwen3TTSService
from qwen3_tts_live.audio import Resampler
from qwen3_tts_live.session import LiveSynthesizer

PARAMS = PipelineParams(audio_out_sample_rate=24_000)
TOKEN, SENTENCE = TextAggregationMode.TOKEN, TextAggregationMode.SENTENCE


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def engine(backend: ScriptedBackend) -> AsyncIterator[LiveSynthesizer]:
    async with LiveSynthesizer(backend) as synthesizer:
        yield synthesizer


def speaking(engine: LiveSynthesizer, **options: Any) -> Qwen3TTSService:
    """A service that does not wait for its audio to be heard, unless told to."""
    return Qwen3TTSService(engine=engine, **{"max_lead": 600.0, **options})


def kinds(frames: list[Frame]) -> list[str]:
    """The kinds of frames in their order, runs of the same kind once, without metrics."""
    names = [type(frame).__name__ for frame in frames if not isinstance(frame, MetricsFrame)]
    return [name for name, _ in groupby(name for name in names if "Progress" not in name)]


def voices(call: Call) -> list[int]:
    """The values that the audio's samples have, in order: who was heard."""
    samples = np.frombuffer(call.audio(), np.int16)
    return [int(value) for value, _ in groupby(samples)]


# ------------------------------------------------------------------ turns


async def test_sentences_come_in_the_order_of_pipecats_own_services(
    engine: LiveSynthesizer,
) -> None:
    service = speaking(engine, text_aggregation_mode=SENTENCE)
    down, up = await run_test(
        service, pipeline_params=PARAMS, frames_to_send=turn("Go ", "on. ", "Why?")
    )
    assert kinds(list(down)) == [
        "LLMFullResponseStartFrame",
        "AggregatedTextFrame",
        "TTSStartedFrame",
        "AggregatedTextFrame",  # Pipecat announces the next sentence when it hands it over
        *["TTSAudioRawFrame", "TTSTextFrame"] * 3,
        "TTSAudioRawFrame",
        "TTSStoppedFrame",
        "LLMFullResponseEndFrame",
    ]
    assert not up


@pytest.mark.parametrize("mode", [TOKEN, SENTENCE])
async def test_each_turn_is_one_context_that_starts_and_stops_once(
    engine: LiveSynthesizer, mode: TextAggregationMode
) -> None:
    replies = ["Hello there. How are you?", "Fine.", "One more, with a comma; and so on."]
    async with calling(speaking(engine, text_aggregation_mode=mode)) as call:
        for reply in replies:
            await call.send(*turn(*spaced(reply)))
        await call.heard(LLMFullResponseEndFrame, 3)
        contexts = [frame.context_id for frame in call.all(TTSStartedFrame)]
        assert len(set(contexts)) == 3
        assert [frame.context_id for frame in call.all(TTSStoppedFrame)] == contexts
        order = [
            context for context, _ in groupby(f.context_id for f in call.all(TTSAudioRawFrame))
        ]
        assert order == contexts
        assert " ".join(call.words()) == " ".join(replies)
    assert not call.up


async def test_tokens_reach_the_engine_as_they_come(
    engine: LiveSynthesizer, backend: ScriptedBackend
) -> None:
    async with calling(speaking(engine)) as call:
        await call.send(*turn(*spaced("First, a clause. Then a second one, unfinished"))[:-1])
        await call.until(lambda: any("clause" in text for text in backend.started))
        await call.heard(TTSAudioRawFrame)
        assert not call.all(TTSStoppedFrame)
        await call.send(LLMFullResponseEndFrame())
        await call.heard(TTSStoppedFrame)


async def test_speech_within_a_reply_waits_for_the_reply(engine: LiveSynthesizer) -> None:
    async with calling(speaking(engine)) as call:
        await call.send(LLMFullResponseStartFrame(), LLMTextFrame("One moment. "))
        await call.heard(TTSAudioRawFrame)
        await call.send(TTSSpeakFrame("Beep."))
        await call.send(LLMTextFrame("Here it is."), LLMFullResponseEndFrame())
        await call.heard(TTSStoppedFrame, 2)
        assert " ".join(call.words()) == "One moment. Here it is. Beep."


async def test_silent_turns_do_no_harm(engine: LiveSynthesizer, backend: ScriptedBackend) -> None:
    service = speaking(engine)
    async with calling(service) as call:
        for count, text in enumerate(["👍", "...", "* -", "…", "Hello."], 1):
            await call.send(*turn(text))
            await call.heard(TTSStoppedFrame, count)
        assert service.is_usable
        assert backend.started == ["Hello."]
        assert set(voices(call)) == {0, voice_of("Hello.")}
    assert not call.up


async def test_a_silent_last_sentence_ends_the_turn_at_once(engine: LiveSynthesizer) -> None:
    async with calling(speaking(engine, text_aggregation_mode=SENTENCE)) as call:
        await call.send(*turn("Hello. ", "👍 👍"))
        await call.heard(LLMFullResponseEndFrame)
        assert len(call.all(TTSStoppedFrame)) == 1


async def test_first_audio_may_take_longer_than_pipecats_usual_patience(
    engine: LiveSynthesizer, backend: ScriptedBackend
) -> None:
    backend.free = False
    async with calling(speaking(engine)) as call:
        await call.send(*turn("Late."))
        await call.until(lambda: backend.running)
        # The base class's default, after which it would take the turn for silent.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.2):
                await call.heard(TTSStoppedFrame)
        backend.permit(5)
        await call.heard(TTSStoppedFrame)
        assert len(call.audio()) == 2 * 5 * CHUNK
    assert not call.up


async def test_a_reply_that_never_ends_does_not_hold_up_the_end_of_the_call(
    engine: LiveSynthesizer,
) -> None:
    async with calling(speaking(engine)) as call:
        await call.send(LLMFullResponseStartFrame(), LLMTextFrame("Good bye"))
        await call.heard(TTSStartedFrame)
    assert len(call.audio()) == 2 * len("Good bye") * CHUNK
    assert len(call.all(TTSStoppedFrame)) == 1


# ------------------------------------------------------------------ settings


def settings(**changes: Any) -> TTSUpdateSettingsFrame:
    return TTSUpdateSettingsFrame(delta=Qwen3TTSService.Settings(**changes))


def options_of(backend: ScriptedBackend, word: str) -> tuple[str | None, str, str | None]:
    (segment,) = [segment for segment in backend.segments if word in segment.text]
    return segment.voice, segment.language, segment.instruct


async def test_settings_hold_for_the_text_behind_them_even_within_a_reply(
    engine: LiveSynthesizer, backend: ScriptedBackend
) -> None:
    first = Qwen3TTSService.Settings(voice="Anna", language=Language.EN_US)
    start, *texts, end = turn("One. ", "Two. ", "Three. ", "四。", "Five.")
    async with calling(speaking(engine, settings=first)) as call:
        await call.send(start, *texts[:2], settings(voice="bert"), texts[2])
        await call.send(settings(language=Language.ZH_CN, instruct="Softly."), texts[3])
        await call.send(settings(language="en", voice=None, instruct=None), texts[4], end)
        await call.heard(TTSStoppedFrame)
        assert len(call.all(TTSStartedFrame)) == 1
        assert call.words() == ["One.", "Two.", "Three.", "四。", "Five."]
    assert options_of(backend, "One") == options_of(backend, "Two") == ("anna", "English", None)
    assert options_of(backend, "Three") == ("bert", "English", None)
    assert options_of(backend, "四") == ("bert", "Chinese", "Softly.")
    assert options_of(backend, "Five") == ("anna", "English", None)  # the default


async def test_settings_hold_for_the_replies_behind_them(
    engine: LiveSynthesizer, backend: ScriptedBackend
) -> None:
    async with calling(speaking(engine, text_aggregation_mode=SENTENCE)) as call:
        await call.send(*turn("One. ", "Two."), settings(voice="bert"), *turn("Three."))
        await call.heard(TTSStoppedFrame, 2)
    assert options_of(backend, "Two")[0] == "anna"  # the default
    assert options_of(backend, "Three")[0] == "bert"


async def test_a_change_the_engine_cannot_make_is_refused_and_costs_nothing(
    engine: LiveSynthesizer, backend: ScriptedBackend
) -> None:
    service = speaking(engine, settings=Qwen3TTSService.Settings(voice="anna"))
    async with calling(service) as call:
        await call.send(settings(voice="nobody"), settings(language="tlh"), settings(model="big"))
        await call.until(lambda: len(call.up) == 2)
        await call.send(*turn("Still me."))
        await call.heard(TTSStoppedFrame)
        assert service.is_usable
        assert (service.settings.voice, service.settings.model) == ("anna", "scripted")
    assert {frame.category for frame in call.up} == {ErrorCategory.APPLICATION}
    assert [segment.voice for segment in backend.segments] == ["anna"]


async def test_every_language_of_pipecat_that_the_engine_has_is_taken_without_a_warning(
    engine: LiveSynthesizer,
) -> None:
    warnings: list[str] = []
    sink = logger.add(lambda message: warnings.append(str(message)), level="WARNING")
    async with calling(speaking(engine)) as call:
        for language in Language:
            if language.value.split("-")[0] in {"en", "zh"}:
                await call.send(settings(language=language), *turn("Hi. 你好。"))
        await call.send(*turn("The end."))
        await call.until(lambda: "end." in call.words())
    logger.remove(sink)
    assert not warnings
    assert not call.up


# ------------------------------------------------------------------ audio and metrics


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
async def test_audio_has_the_pipelines_rate_and_not_a_sample_less(
    engine: LiveSynthesizer, rate: int
) -> None:
    async with calling(speaking(engine), sample_rate=rate) as call:
        await call.send(*turn("Hello there, you."))
        await call.heard(TTSStoppedFrame)
        assert {frame.sample_rate for frame in call.all(TTSAudioRawFrame)} == {rate}
        made = np.full(len("Hello there, you.") * CHUNK, voice_of("Hello there, you."), np.int16)
        wanted = made if rate == 24_000 else Resampler(24_000, rate).push(made, last=True)
        heard = np.frombuffer(call.audio(), np.int16)
        assert len(heard) == len(wanted)
        assert np.allclose(heard, wanted, atol=2)  # rounded at other places


async def test_the_service_says_how_long_it_took_and_how_much_it_said(
    engine: LiveSynthesizer,
) -> None:
    service = speaking(engine)
    async with calling(service) as call:
        await call.send(*turn("Hello ", "there."))
        await call.heard(TTSStoppedFrame)
        every = [data for frame in call.all(MetricsFrame) for data in frame.data]
        found = [data for data in every if data.processor == service.name]
        (usage,) = [data for data in found if isinstance(data, TTSUsageMetricsData)]
        assert usage.value == len("Hello there.")
        times = [data.value for data in found if isinstance(data, TTFBMetricsData) and data.value]
        assert len(times) == 1
        assert 0 < times[0] < 60
        assert usage.model == "scripted"
