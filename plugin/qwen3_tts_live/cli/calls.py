"""Calls in simulation: callers who listen to one reply after another and then talk over the last.

Each takes audio as fast as it is played, as a phone does. Knows nothing about what is behind the
synthesizer, nor about who asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from qwen3_tts_live.audio import SAMPLE_RATE, AudioChunk, first_audible
from qwen3_tts_live.errors import SpeechError
from qwen3_tts_live.playout import Playout
from qwen3_tts_live.synthesizer import Session, SessionOptions, Synthesizer, Utterance

__all__ = ["REPLIES", "Calls", "Heard"]

#: What agents say, more or less.
REPLIES = (
    "Thank you for calling. I have found your order, and it will arrive tomorrow before noon.",
    "Sure! That is $42.50 for two tickets. Shall I send them to the address that we have?",
    "I am sorry to hear that. Let me see what I can do. One moment, please.",
    "The appointment is on March 3rd at 9:30. Is there anything else that I can help you with?",
    "It depends. Most people take the first train, since it is cheaper, and rarely late.",
)
# Seconds of audio that a caller's device has in hand.
_IN_HAND = 0.3


@dataclass
class Heard:
    """What all callers of a run heard.

    Attributes:
        first_audio: seconds from a reply's text to its first audible sample, of each reply.
        interrupts: seconds until an interrupt had stopped what was said, of each call.
        underruns: how often there was silence inside a reply because audio was late.
        longest: seconds; the longest of those.
        seconds: of speech, all together.
        errors: what failed.
    """

    first_audio: list[float] = field(default_factory=list)
    interrupts: list[float] = field(default_factory=list)
    underruns: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)


class Calls:
    """A number of calls at once.

    Args:
        synthesizer: what speaks.
        options: of each call's session.
        replies: what is said in turn; each call begins with another one.
        clock: seconds, rising.
        sleep: waits for seconds of that clock.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        options: SessionOptions,
        replies: Sequence[str] = REPLIES,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._synthesizer = synthesizer
        self._options = options
        self._replies = replies
        self._clock = clock
        self._sleep = sleep

    async def hold(self, calls: int, seconds: float, *, ramp: float = 2.0) -> Heard:
        """Hold `calls` calls of `seconds` each, which begin within `ramp` seconds."""
        heard = Heard()
        async with asyncio.TaskGroup() as group:
            for number in range(calls):
                group.create_task(self._call(heard, number, ramp * number / calls, seconds))
        return heard

    async def _call(self, heard: Heard, number: int, begins: float, seconds: float) -> None:
        await self._sleep(begins)
        hangs_up = self._clock() + seconds
        try:
            session = await self._synthesizer.open_session(self._options)
            try:
                while self._clock() < hangs_up:
                    reply = self._replies[number % len(self._replies)]
                    number += 1
                    await self._listen(heard, session, session.utter(reply), hangs_up)
            finally:
                await session.aclose()
        except SpeechError as error:
            heard.errors.append(error.message)

    async def _listen(
        self, heard: Heard, session: Session, utterance: Utterance, hangs_up: float
    ) -> None:
        asked, playout, silent = self._clock(), Playout(), True
        async for event in utterance:
            if not isinstance(event, AudioChunk):
                continue
            playout.came(len(event.samples), self._clock())
            if silent and (at := first_audible(event.samples)) is not None:
                silent = False
                began = playout.due - playout.seconds
                heard.first_audio.append(began - asked + (event.offset + at) / SAMPLE_RATE)
            await self._sleep(max(0.0, playout.due - _IN_HAND - self._clock()))
            if self._clock() >= hangs_up:
                asked = self._clock()
                await session.interrupt()
                heard.interrupts.append(self._clock() - asked)
        heard.underruns += playout.underruns
        heard.longest = max(heard.longest, playout.longest)
        heard.seconds += playout.seconds
        await self._sleep(max(0.0, min(playout.due, hangs_up) - self._clock()))
