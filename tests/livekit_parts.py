"""What tests of the LiveKit plugin share: an engine, a listener, and what a listener has heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from livekit.agents import tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString
from numpy.typing import NDArray


@dataclass
class Heard:
    """Everything that came out of a stream."""

    events: list[tts.SynthesizedAudio] = field(default_factory=list)

    @property
    def samples(self) -> NDArray[np.int16]:
        pieces = [np.frombuffer(event.frame.data, np.int16) for event in self.events]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    @property
    def seconds(self) -> float:
        return sum(event.frame.duration for event in self.events)

    @property
    def voices(self) -> set[int]:
        """The sample values of a scripted backend: they say which texts were heard."""
        return set(self.samples.tolist()) - {0}

    @property
    def words(self) -> list[TimedString]:
        return [
            word
            for event in self.events
            for word in event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
        ]

    @property
    def text(self) -> str:
        return "".join(self.words)


async def listen(stream: tts.SynthesizeStream | tts.ChunkedStream) -> Heard:
    """Take all that a stream has, and close it."""
    heard = Heard()
    async with stream:
        async for event in stream:
            heard.events.append(event)
    return heard


def say(speaker: tts.TTS, *pieces: str, **options: object) -> tts.SynthesizeStream:
    """Return a stream that was given all its text."""
    stream = speaker.stream(**options)  # type: ignore[arg-type] # conn_options at most
    for piece in pieces:
        stream.push_text(piece)
    stream.end_input()
    return stream


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for `condition`; fail if it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
