"""A LiveKit `AgentSession` from the LLM's words to what is heard, with interruptions."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from livekit.plugins import qwen3_tts

from fakes import ScriptedBackend, voice_of
from livekit_parts import listen, until
from livekit_session import Loudspeaker, ScriptedLLM, Track, agent, said
from qwen3_tts_live.backends.preview import PreviewBackend
from qwen3_tts_live.session import LiveSynthesizer

pytestmark = pytest.mark.alone

logger = logging.getLogger(__name__)

REPLY = (
    "The quick brown fox jumps over the lazy dog. Then it runs across the long green field, past "
    "the old mill, over the river and far away into the distant hills. And it never comes back. "
)


@pytest.fixture
async def speaker() -> AsyncIterator[qwen3_tts.TTS]:
    async with LiveSynthesizer(await PreviewBackend.open(1)) as synthesizer:
        speaker = qwen3_tts.TTS(engine=synthesizer)
        await listen(speaker.synthesize("Ready."))
        yield speaker
        await speaker.aclose()


def words(text: str) -> int:
    return len(re.findall(r"\w+", text))


async def test_the_history_holds_what_was_heard_within_one_word(speaker: qwen3_tts.TTS) -> None:
    costs: list[qwen3_tts.InterruptedMetrics] = []
    speaker.on("interrupted", costs.append)
    sink = Loudspeaker()
    async with agent(speaker, ScriptedLLM(REPLY), sink) as session:
        for turn, after in enumerate((0.5, 0.8, 1.1)):
            handle = session.generate_reply(user_input="Go on.")
            # Until it plays again, the position is the last turn's.
            await until(lambda: sink.playing and sink.position >= after)  # noqa: B023
            await session.interrupt()
            await handle
            history = said(session)[turn]
            assert REPLY.startswith(history)
            assert abs(words(history) - sink.words_heard) <= 1
        await until(lambda: len(costs) == 3)
        # The engine was parked: it made no more than the lead beyond what was heard.
        assert all(cost.generated < 1.2 + 3.0 + 1.0 for cost in costs)


async def test_a_whole_reply_is_in_the_history_character_for_character(
    speaker: qwen3_tts.TTS,
) -> None:
    text = "One  two, three… four. 你好，世界。 "
    sink = Loudspeaker()
    async with agent(speaker, ScriptedLLM(), sink) as session:
        await session.say(text)
        assert said(session) == [text]


async def test_an_interruption_before_the_first_sound_leaves_nothing(
    speaker: qwen3_tts.TTS,
) -> None:
    sink = Loudspeaker()
    async with agent(speaker, ScriptedLLM(REPLY), sink) as session:
        for _ in range(3):
            handle = session.generate_reply(user_input="Go on.")
            await session.interrupt()
            await handle
        assert said(session) == []
        assert sink.heard == b""
        await session.say("Only this.")
        assert said(session) == ["Only this."]


async def test_a_hundred_rapid_interruptions_let_no_sample_of_a_turn_into_the_next() -> None:
    sink = Loudspeaker()
    backend = ScriptedBackend()
    async with LiveSynthesizer(backend) as synthesizer:
        speaker = qwen3_tts.TTS(engine=synthesizer)
        async with agent(speaker, ScriptedLLM(), sink) as session:
            for turn in range(100):
                name = "abcdefghij"[turn // 10] + "klmnopqrst"[turn % 10]
                heard = len(sink.heard)
                handle = session.say(f"Turn {name} begins and does not end. " * 5)
                if turn % 4:  # each fourth is interrupted before anything is heard
                    await until(lambda: len(sink.heard) > heard)  # noqa: B023
                await session.interrupt()
                await handle
                mine = {voice_of(text) for text in backend.started if f"Turn {name} " in text}
                assert set(np.frombuffer(sink.heard[heard:], np.int16).tolist()) <= mine | {0}
        await until(lambda: not backend.running)
        assert len(backend.started) >= 75
        assert synthesizer.status.active == synthesizer.status.queued == 0
        assert synthesizer.status.sessions <= 4
        await speaker.aclose()


async def test_a_real_track_falls_silent_and_the_history_holds_what_it_played(
    speaker: qwen3_tts.TTS,
) -> None:
    timeline = (await listen(speaker.synthesize(REPLY))).words
    async with Track().open() as track, agent(speaker, ScriptedLLM(REPLY), track.sink) as session:
        for turn, after in enumerate((0.5, 0.9)):
            track.loud_at.clear()
            handle = session.generate_reply(user_input="Go on.")
            await until(lambda: track.loud_at)
            await asyncio.sleep(after)
            asked_at = time.perf_counter()
            await session.interrupt()
            await handle
            await asyncio.sleep(0.4)  # what comes in this time would be heard
            last_sound = track.loud_at[-1] - asked_at
            logger.info("last sound %.1f ms after interrupt()", 1000 * last_sound)
            # Within 5 ms on a quiet machine; a late reader on a busy one makes it look like more.
            assert last_sound < 0.2
            played = sum(word.end_time <= track.positions[turn] for word in timeline)
            assert REPLY.startswith(said(session)[turn])
            assert abs(words(said(session)[turn]) - played) <= 1
