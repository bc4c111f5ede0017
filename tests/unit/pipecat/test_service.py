"""The service in a real pipeline, on an engine that does what the test says."""

from __future__ import annotations

from itertools import groupby

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSTextFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import run_test

from fakes import ScriptedBackend
from pipecat_qwen3_tts import Qwen3TTSService
from qwen3_tts_live.session import LiveSynthesizer

PARAMS = PipelineParams(audio_out_sample_rate=24_000)


def turn(*tokens: str) -> list[Frame]:
    texts = [LLMTextFrame(token) for token in tokens]
    return [LLMFullResponseStartFrame(), *texts, LLMFullResponseEndFrame()]


async def test_a_turn_comes_in_order() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        down, up = await run_test(
            Qwen3TTSService(engine=synthesizer),
            pipeline_params=PARAMS,
            frames_to_send=turn("Hello ", "there. ", "How are ", "you?"),
        )
    order = [kind for kind, _ in groupby(type(frame).__name__ for frame in down)]
    assert order[:4] == [
        "LLMFullResponseStartFrame",
        "TTSStartedFrame",
        "AggregatedTextFrame",
        "TTSAudioRawFrame",
    ]
    assert order[-2:] == ["TTSStoppedFrame", "LLMFullResponseEndFrame"]
    words = [frame.text for frame in down if isinstance(frame, TTSTextFrame)]
    assert words == ["Hello", "there.", "How", "are", "you?"]
    assert not up
