"""The LLM's context holds a reply that was heard as it was written."""

from __future__ import annotations

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.tts_service import TextAggregationMode

from fakes import ScriptedBackend
from pipecat_call import calling, turn
from pipecat_qwen3_tts import Qwen3TTSService
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
        ("你好，世界。今天天气很好！我们走吧。", SENTENCE),
        ("我喜欢Python。它很好用。 Then we go. 再见。", TOKEN),
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
