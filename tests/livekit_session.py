"""A LiveKit agent without an account: an LLM that says what it is told, and sinks for its voice."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.llm import LLM, ChatChunk, ChatMessage, ChoiceDelta, LLMStream
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities, TextOutput
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput
from livekit.agents.voice.transcription.synchronizer import TranscriptSynchronizer
from livekit.plugins import qwen3_tts
from numpy.typing import NDArray

from qwen3_tts_live import SAMPLE_RATE

TICK = SAMPLE_RATE // 50  # samples: 20 ms


class ScriptedLLM(LLM):
    """Writes `text`, a word at a time."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text

    def chat(self, *, chat_ctx: Any, tools: Any = None, conn_options: Any, **_: Any) -> LLMStream:
        return _ScriptedStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _ScriptedStream(LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedLLM)
        for word in re.findall(r"\S+\s*", self._llm.text):
            await asyncio.sleep(0)
            delta = ChoiceDelta(role="assistant", content=word)
            self._event_ch.send_nowait(ChatChunk(id="scripted", delta=delta))


class Loudspeaker(AudioOutput):
    """Plays in real time, and remembers what was heard."""

    def __init__(self) -> None:
        capabilities = AudioOutputCapabilities(pause=False)
        super().__init__(label="Loudspeaker", capabilities=capabilities, sample_rate=SAMPLE_RATE)
        self.heard = bytearray()  # of all turns
        self.words: list[TimedString] = []  # of this turn, heard or not
        self.position = 0.0  # seconds of this turn that were heard
        self.dropped = 0.0  # seconds that LiveKit had, and an interruption threw away
        self._waiting = bytearray()
        self._complete = False
        self._playing: asyncio.Task[None] | None = None

    @property
    def playing(self) -> bool:
        return self._playing is not None

    @property
    def words_heard(self) -> float:
        """Words of this turn whose end was heard."""
        return sum(word.end_time <= self.position for word in self.words)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._playing is None:
            self.words, self.position, self._complete = [], 0.0, False
            self.on_playback_started(created_at=time.time())
            self._playing = asyncio.create_task(self._play())
        self._waiting += bytes(frame.data)
        self.words += frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])

    def flush(self) -> None:
        super().flush()
        self._complete = True

    def clear_buffer(self) -> None:
        if self._playing is not None:
            self.dropped = len(self._waiting) / 2 / SAMPLE_RATE
            self._waiting.clear()
            self._playing.cancel()
            self._finish(interrupted=True)

    async def _play(self) -> None:
        tick_at = time.perf_counter()
        while self._waiting or not self._complete:
            played = self._waiting[: 2 * TICK]
            del self._waiting[: 2 * TICK]
            self.heard += played
            self.position += len(played) / 2 / SAMPLE_RATE
            tick_at += 0.02
            await asyncio.sleep(max(0.0, tick_at - time.perf_counter()))
        self._finish(interrupted=False)

    def _finish(self, *, interrupted: bool) -> None:
        self._playing = None
        self.on_playback_finished(playback_position=self.position, interrupted=interrupted)


class Captions(TextOutput):
    """The transcript that the user sees."""

    def __init__(self) -> None:
        super().__init__(label="Captions", next_in_chain=None)
        self.lines = [""]

    async def capture_text(self, text: str) -> None:
        self.lines[-1] += text

    def flush(self) -> None:
        self.lines.append("")


@asynccontextmanager
async def agent(
    speaker: qwen3_tts.TTS, llm: ScriptedLLM, sink: AudioOutput
) -> AsyncIterator[AgentSession[None]]:
    """A session that speaks into `sink` what `llm` writes."""
    session: AgentSession[None] = AgentSession(
        llm=llm,
        tts=speaker,
        vad=None,
        stt=None,
        aec_warmup_duration=None,
        use_tts_aligned_transcript=True,
        turn_handling={"turn_detection": None},
    )
    synchronized = TranscriptSynchronizer(next_in_chain_audio=sink, next_in_chain_text=Captions())
    session.output.audio = synchronized.audio_output  # before start(), which looks
    session.output.transcription = synchronized.text_output
    await session.start(Agent(instructions="Speak."))
    try:
        yield session
    finally:
        await session.aclose()
        await synchronized.aclose()


def said(session: AgentSession[None]) -> list[str]:
    """What the agent believes that it has said: its messages in the history."""
    return [
        item.text_content or ""
        for item in session.history.items
        if isinstance(item, ChatMessage) and item.role == "assistant"
    ]


class _Publication:
    sid = "TR_test"

    async def wait_for_subscription(self) -> None:
        return


class _Room:
    """All that RoomIO's sink asks of a room."""

    def __init__(self) -> None:
        self.local_participant = self
        self.track: rtc.LocalAudioTrack | None = None

    async def publish_track(self, track: rtc.LocalAudioTrack, options: object) -> _Publication:
        self.track = track
        return _Publication()


class Track:
    """RoomIO's own sink on a real audio track, and somebody who listens to the track."""

    def __init__(self) -> None:
        self.positions: list[float] = []  # seconds of each turn that were played
        self.loud_at: list[float] = []  # when a frame with sound in it was heard
        room = _Room()
        self.sink = _ParticipantAudioOutput(
            room,  # type: ignore[arg-type] # only its local_participant is used
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            track_publish_options=rtc.TrackPublishOptions(),
        )
        self.sink.on(
            "playback_finished", lambda event: self.positions.append(event.playback_position)
        )
        self._room = room

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Track]:
        await self.sink.start()
        assert self._room.track is not None
        stream = rtc.AudioStream.from_track(
            track=self._room.track, sample_rate=SAMPLE_RATE, num_channels=1
        )
        reading = asyncio.create_task(self._listen(stream))
        try:
            yield self
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            await stream.aclose()  # else its native thread goes on after the loop
            await self.sink.aclose()

    async def _listen(self, stream: rtc.AudioStream) -> None:
        async for event in stream:
            samples: NDArray[np.int16] = np.frombuffer(event.frame.data, np.int16)
            if np.abs(samples.astype(np.int32)).max() > 500:
                self.loud_at.append(time.perf_counter())
