"""The LLM's context holds what was heard: a whole reply, or what came before an interruption."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import InterruptionFrame, OutputAudioRawFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.tts_service import TextAggregationMode
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams

from fakes import CHUNK, ScriptedBackend
from pipecat_call import calling, spaced, turn
from pipecat_qwen3_tts import Qwen3TTSService
from qwen3_tts_live.backend import BackendEvent, Pcm, Segment, Word
from qwen3_tts_live.session import LiveSynthesizer

TOKEN, SENTENCE = TextAggregationMode.TOKEN, TextAggregationMode.SENTENCE


def contents(context: LLMContext) -> list[str]:
    return [str(message["content"]) for message in context.messages if isinstance(message, dict)]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("Hello, world! It's $5.99 (really). Dr. Smith said: go.", TOKEN),
        ("Hello, world! It's $5.99 (really). Dr. Smith said: go.", SENTENCE),
        ("你好！今天天气很好，我们去公园散步吧。", TOKEN),
        ("안녕하세요. 오늘은 날씨가 좋네요.", TOKEN),
        ("안녕하세요. 오늘은 날씨가 좋네요.", SENTENCE),
        ("Ciao! Come stai? Bene, grazie.", TOKEN),
    ],
)
async def test_a_reply_that_was_heard_is_in_the_context_as_it_was_written(
    text: str, mode: TextAggregationMode
) -> None:
    context = LLMContext()
    assistant = LLMContextAggregatorPair(context).assistant()
    async with LiveSynthesizer(ScriptedBackend()) as engine:
        service = Qwen3TTSService(engine=engine, max_lead=600.0, text_aggregation_mode=mode)
        async with calling(service, assistant) as call:
            await call.send(*turn(*text))
            await call.until(lambda: contents(context))
        assert contents(context) == [text]


class Exact(ScriptedBackend):
    """Says where its words are: a character takes a chunk."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        for word in re.finditer(r"\S+\s*", segment.text):
            yield Word(word.start(), word.end(), word.start() * CHUNK, word.end() * CHUNK)
            yield Pcm(np.full(len(word[0]) * CHUNK, 1000, np.int16))


class Speaker(BaseOutputTransport):
    """A transport that plays in real time, and counts what it has played."""

    def __init__(self) -> None:
        params = TransportParams(audio_out_enabled=True, audio_out_10ms_chunks=2)
        super().__init__(params)
        self.played = 0
        self._free_at = 0.0

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        clock = asyncio.get_running_loop().time
        self._free_at = max(self._free_at, clock()) + len(frame.audio) / 2 / frame.sample_rate
        await asyncio.sleep(self._free_at - clock())
        self.played += int(np.count_nonzero(np.frombuffer(frame.audio, np.int16)))
        return True


@pytest.mark.parametrize("mode", [TOKEN, SENTENCE])
async def test_an_interruption_leaves_what_was_heard_give_or_take_a_word(
    mode: TextAggregationMode,
) -> None:
    text = "One two three four. Five six seven eight. Nine ten eleven twelve."
    context, speaker = LLMContext(), Speaker()
    assistant = LLMContextAggregatorPair(context).assistant()
    async with LiveSynthesizer(Exact()) as engine:
        service = Qwen3TTSService(engine=engine, text_aggregation_mode=mode)
        async with calling(service, speaker, assistant) as call:
            await call.send(*turn(*spaced(text)))
            await call.until(lambda: speaker.played > 28 * CHUNK)
            await call.send(InterruptionFrame())
            await call.until(lambda: contents(context))
            # A character takes a chunk.
            heard = len(text[: speaker.played // CHUNK].split())
            (said,) = contents(context)
            assert text.startswith(said)
            assert abs(len(said.split()) - heard) <= 1
