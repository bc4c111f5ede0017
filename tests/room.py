"""Somebody in a LiveKit room: hears the agent, speaks to it, sends it messages.

Times are `time.perf_counter()`. Knows nothing of the agent's parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from livekit import api, rtc

from hearing import LOUD, TICK, until
from qwen3_tts_live import SAMPLE_RATE
from qwen3_tts_live.audio import PcmSamples


class Guest:
    """A participant who hears one agent."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.heard: list[tuple[float, PcmSamples]] = []
        self.read: dict[str, list[str]] = {}  # what was transcribed, by who said it
        self._ears: asyncio.Task[None] | None = None
        self._readers: list[asyncio.Task[None]] = []
        self.room.on("track_subscribed", self._listen)
        self.room.register_text_stream_handler("lk.transcription", self._follow)

    def _listen(self, track: rtc.Track, *_: Any) -> None:
        self._ears = asyncio.create_task(self._hear(track))

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=10
        )
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).copy()
                self.heard.append((time.perf_counter(), samples))
        finally:
            await stream.aclose()

    def _follow(self, reader: rtc.TextStreamReader, speaker: str) -> None:
        self._readers.append(asyncio.create_task(self._read(reader, speaker)))

    async def _read(self, reader: rtc.TextStreamReader, speaker: str) -> None:
        text = await reader.read_all()
        self.read.setdefault(speaker, []).append(text)

    @property
    def agent(self) -> str:
        """The agent's identity."""
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return next(p.identity for p in self.room.remote_participants.values() if p.kind == kind)

    def loud(self, since: float = 0.0) -> list[float]:
        """Return when the frames came that are loud."""
        return [at for at, samples in self.heard if at > since and np.abs(samples).max() > LOUD]

    def voice(self, since: float = 0.0) -> PcmSamples:
        """Return what was heard."""
        return np.concatenate([samples for at, samples in self.heard if at > since])

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing was loud for that long; frames of silence must have come."""

        def is_quiet() -> bool:
            last = self.heard[-round(seconds * 100) :]
            return all(np.abs(samples).max() <= LOUD for _, samples in last)

        await until(is_quiet, f"the agent is silent for {seconds:g} s")

    async def call(self, method: str, payload: str = "") -> str:
        """Call a method of the agent."""
        return await self.room.local_participant.perform_rpc(
            destination_identity=self.agent, method=method, payload=payload
        )

    async def speak(self, samples: PcmSamples) -> None:
        """Say this into the room, in real time."""
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        published = await self.room.local_participant.publish_track(track, options)
        await published.wait_for_subscription()
        self.spoke = time.perf_counter()
        silence = np.zeros(SAMPLE_RATE, np.int16)  # a microphone does not end with the words
        for start in range(0, len(samples) + len(silence) - TICK, TICK):
            frame = np.concatenate([samples, silence])[start : start + TICK]
            await source.capture_frame(rtc.AudioFrame(frame.tobytes(), SAMPLE_RATE, 1, TICK))
        await source.wait_for_playout()
        await source.aclose()

    async def aclose(self) -> None:
        await self.room.disconnect()
        tasks = [task for task in (self._ears, *self._readers) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def guest_in(room: str, url: str, key: str, secret: str) -> AsyncIterator[Guest]:
    """Enter a room, which the server makes, and to which it sends an agent."""
    token = (
        api.AccessToken(key, secret)
        .with_identity("guest")
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .to_jwt()
    )
    guest = Guest()
    await guest.room.connect(url, token)
    try:
        yield guest
    finally:
        await guest.aclose()
