"""The far end of a peer connection: hears what is said, and can be made to speak.

Times are counted in received frames of 20 ms, not on the clock, so a slow machine changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import aiohttp
import numpy as np
import pytest
from aioice.ice import get_host_addresses
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

LOUD = 300.0  # root mean square of 16-bit samples; silence is below 1, a voice around 3000
SECOND = 50  # frames

#: For every test that connects over UDP.
needs_a_network_address = pytest.mark.skipif(
    not get_host_addresses(use_ipv4=True, use_ipv6=True),
    reason="WebRTC cannot connect: this machine has no address but the loopback's, which ICE "
    "ignores; `ip addr add 10.9.9.1/32 dev lo` is enough",
)


class Microphone(MediaStreamTrack):
    """Sends silence, and speech when there is some: 48 kHz mono, 20 ms a frame, in real time."""

    kind = "audio"
    rate, frame = 48_000, 960

    def __init__(self) -> None:
        super().__init__()
        self._speech = np.zeros(0, np.int16)
        self._sent = 0
        self._start: float | None = None
        self.started_at = self.ended_at = 0.0

    def say(self, samples: np.ndarray) -> None:
        """Speak from the next frame on."""
        self._speech = samples
        self.started_at = 0.0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        self._start = self._start or now
        await asyncio.sleep(max(0.0, self._start + self._sent / self.rate - now))
        part, self._speech = np.split(self._speech, [self.frame])
        if len(part):
            self.ended_at = time.monotonic()
            self.started_at = self.started_at or self.ended_at
        part = np.pad(part, (0, self.frame - len(part)))
        frame = AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
        frame.pts = self._sent
        self._sent += self.frame
        return frame


class Listener:
    """One peer.

    Attributes:
        loudness: of each received frame, and `times`, when it came.
        messages: what came over the data channel, parsed.
    """

    def __init__(self) -> None:
        self.loudness: list[float] = []
        self.times: list[float] = []
        self.messages: list[dict[str, Any]] = []
        self.microphone = Microphone()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._hearing: asyncio.Task[None] | None = None
        self._channel = self._connection.createDataChannel("chat")
        self._channel.on("message", self._message)
        self._connection.addTrack(self.microphone)
        self._connection.on("track", self._listen)

    @classmethod
    @asynccontextmanager
    async def connected(cls, offer_url: str) -> AsyncIterator[Listener]:
        """Post an offer, take the answer, wait until the data channel is open."""
        self = cls()
        connection = self._connection
        try:
            await connection.setLocalDescription(await connection.createOffer())
            offer = {"sdp": connection.localDescription.sdp, "type": "offer"}
            async with (
                aiohttp.ClientSession() as client,
                client.post(offer_url, json=offer) as response,
            ):
                assert response.status == 200, await response.text()
                answer = await response.json()
            description = RTCSessionDescription(answer["sdp"], answer["type"])
            await connection.setRemoteDescription(description)
            await self.until(lambda: self._channel.readyState == "open")
            yield self
        finally:
            await connection.close()
            if self._hearing is not None:
                await self._hearing

    def send(self, message: dict[str, Any]) -> None:
        """Send a JSON message over the data channel."""
        self._channel.send(json.dumps(message))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the other end does; the test's timeout is the limit.

        Raises:
            ConnectionError: the other end is gone, so it will never do it.
        """
        while not condition():
            if self._connection.connectionState in ("failed", "closed"):
                raise ConnectionError(f"the connection is {self._connection.connectionState}")
            await asyncio.sleep(0.01)

    async def until_message(self, kind: str) -> dict[str, Any]:
        """Wait for a message of that type; take it and those before it."""
        await self.until(lambda: any(message["type"] == kind for message in self.messages))
        while (message := self.messages.pop(0))["type"] != kind:
            pass
        return message

    async def until_loud(self, seconds: float = 0.3) -> None:
        """Wait until that much of what comes from now on was loud."""
        start, wanted = len(self.loudness), seconds * SECOND
        await self.until(lambda: sum(x > LOUD for x in self.loudness[start:]) >= wanted)

    async def until_quiet(self, seconds: float = 1.0) -> float:
        """Wait for that much silence in a row; return the time when the last sound came."""
        start, wanted = len(self.loudness), round(seconds * SECOND)

        def quiet() -> bool:
            last = self.loudness[start:][-wanted:]
            return len(last) == wanted and max(last) <= LOUD

        await self.until(quiet)
        loud = (i for i, x in enumerate(self.loudness) if x > LOUD)
        return self.times[max(loud, default=0)]

    def _message(self, text: str) -> None:
        if text.startswith("{"):
            self.messages.append(json.loads(text))

    def _listen(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._hearing = asyncio.create_task(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:  # the connection was closed
                return
            assert isinstance(frame, AudioFrame)
            samples = frame.to_ndarray().astype(np.float64)
            self.loudness.append(float(np.sqrt(np.mean(samples**2))))
            self.times.append(time.monotonic())
