"""The smallest WebRTC demo: text from a page, speech back over one peer connection.

    pip install 'qwen3-tts-live[preview,webrtc]'
    python examples/agents/webrtc_speaker.py          # then open http://localhost:8090/

The page posts an offer to /offer once and keeps the connection. Over its data channel go

    {"type": "say", "text": ...}    queue a text; more than one play in order
    {"type": "interrupt"}           stop what plays and drop what waits

and back come {"type": "finished", ...}, {"type": "interrupted", ...} and {"type": "error", ...}.
Knows the engine only by its address: `--engine` takes every address of `open_synthesizer`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from qwen3_tts_live import (
    SAMPLE_RATE,
    AudioChunk,
    Finished,
    Session,
    SpeechError,
    Synthesizer,
    Utterance,
    open_synthesizer,
)

try:
    from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamError
    from av import AudioFrame
except ImportError as error:
    raise SystemExit("this demo needs: pip install 'qwen3-tts-live[preview,webrtc]'") from error

PAGE = Path(__file__).with_suffix(".html")
FRAME = SAMPLE_RATE // 50  # samples of 20 ms, what a packet holds
FRAME_BYTES = 2 * FRAME
# Bytes that wait in the track (0.1 s): less would make gaps on a busy event loop, more is
# audio that the session counts as heard although it was not.
WAITING = 5 * FRAME_BYTES
LATE = 0.2  # seconds: a track that is later than that starts counting anew
PATIENCE = 20.0  # seconds: a browser that has not connected by then never will

logger = logging.getLogger("webrtc_speaker")


class SpeechTrack(MediaStreamTrack):
    """An audio track that plays what is written to it, and silence when there is nothing."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pcm = bytearray()
        self._room = asyncio.Event()
        self._due: float | None = None
        self._sent = 0  # samples

    async def write(self, pcm: bytes) -> None:
        """Append 16-bit PCM at once, then wait until little of it is left."""
        self._pcm += pcm
        while len(self._pcm) > WAITING:
            self._room.clear()
            await self._room.wait()

    def clear(self) -> None:
        """Drop what waits, but for 20 ms that fade out: a wave that is cut off clicks."""
        tail = np.frombuffer(bytes(self._pcm[:FRAME_BYTES]), "<i2")
        self._pcm[:] = (tail * np.linspace(1, 0, len(tail))).astype("<i2").tobytes()
        self._room.set()

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms when their time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._tick()
        pcm = bytes(self._pcm[:FRAME_BYTES])
        del self._pcm[:FRAME_BYTES]
        self._room.set()
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(pcm.ljust(FRAME_BYTES, b"\0"))
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        frame.pts = self._sent
        self._sent += FRAME
        return frame

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._due is None or now - self._due > LATE:
            self._due = now  # frames that were missed are not sent in a burst
        wait = self._due - now
        self._due += FRAME / SAMPLE_RATE
        await asyncio.sleep(max(0.0, wait))


class Peer:
    """One browser: its connection, its session and what it has asked for."""

    def __init__(self, session: Session, patience: float) -> None:
        # No STUN server: only addresses of this network are offered, and nobody else is asked.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._session = session
        self._patience = patience
        self._track = SpeechTrack()
        self._channel: Any = None  # aiortc's, once the browser has opened it
        self._messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._utterances: asyncio.Queue[Utterance] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._arrived = asyncio.Event()
        self._gone = asyncio.Event()
        self.connection.addTrack(self._track)
        self.connection.on("datachannel", self._opened)
        self.connection.on("connectionstatechange", self._state_changed)

    async def answer(self, offer: RTCSessionDescription) -> RTCSessionDescription:
        """Accept an offer; the answer holds every address, so nothing needs to follow it."""
        await self.connection.setRemoteDescription(offer)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        self._answered.set()
        return self.connection.localDescription

    async def run(self) -> None:
        """Do what the browser asks for until it has gone; leave nothing open."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._obey()), group.create_task(self._speak())]
                await self._until_gone()
                for task in tasks:
                    task.cancel()
        finally:
            await self._session.aclose()
            await self.connection.close()

    def leave(self) -> None:
        """Make `run` end."""
        self._answered.set()
        self._arrived.set()
        self._gone.set()

    async def _until_gone(self) -> None:
        await self._answered.wait()  # it cannot connect before: that must not use up its time
        try:
            async with asyncio.timeout(self._patience):
                await self._arrived.wait()
        except TimeoutError:
            logger.warning("a browser got an answer and never connected; is UDP blocked?")
        else:
            await self._gone.wait()

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        self._arrived.set()
        channel.on("message", self._messages.put_nowait)
        channel.on("close", self.leave)

    def _state_changed(self) -> None:
        if self.connection.connectionState in ("failed", "closed"):
            self.leave()

    async def _obey(self) -> None:
        """Take the messages one after another, so that a text after an interrupt is spoken."""
        while True:
            match _parsed(await self._messages.get()):
                case {"type": "say", "text": str(text)}:
                    try:
                        self._utterances.put_nowait(self._session.utter(text))
                    except SpeechError as error:
                        self._tell("error", message=error.message)
                case {"type": "interrupt"}:
                    self._track.clear()  # silence first: a far engine may take a moment
                    report = await self._session.interrupt()
                    self._track.clear()  # what it had sent by then
                    self._tell(
                        "interrupted",
                        generated_ms=report.generated_ms,
                        delivered_ms=report.delivered_ms,
                    )
                case _:
                    self._tell("error", message='send {"type": "say", "text": "..."} as JSON')

    async def _speak(self) -> None:
        """Play the utterances in the order in which they were made."""
        while True:
            utterance = await self._utterances.get()
            try:
                async for event in utterance:
                    if isinstance(event, AudioChunk):
                        await self._track.write(event.data)
                    elif isinstance(event, Finished):
                        self._tell("finished", reason=event.reason)
            except SpeechError as error:
                self._tell("error", message=error.message)

    def _tell(self, kind: str, **fields: Any) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(json.dumps({"type": kind, **fields}))


def _parsed(message: str | bytes) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return None


class Speaker:
    """Answers offers, and owns the peers until they have gone."""

    def __init__(self, synthesizer: Synthesizer, patience: float) -> None:
        self.synthesizer = synthesizer
        self._patience = patience
        self._peers: dict[Peer, asyncio.Task[None]] = {}

    @property
    def peers(self) -> int:
        """Browsers that are connected or connecting."""
        return len(self._peers)

    async def offer(self, request: web.Request) -> web.Response:
        """Answer {"sdp": ..., "type": "offer"} in kind."""
        match _parsed(await request.read()):
            case {"sdp": str(sdp), "type": "offer"}:
                offer = RTCSessionDescription(sdp, "offer")
            case _:
                raise web.HTTPBadRequest(text='expected {"sdp": "...", "type": "offer"}')
        try:
            peer = Peer(await self.synthesizer.open_session(), self._patience)
        except SpeechError as error:
            raise web.HTTPServiceUnavailable(text=error.message) from error
        self._peers[peer] = asyncio.create_task(self._keep(peer))
        try:
            answer = await peer.answer(offer)
        except ValueError as error:  # what aiortc makes of an SDP that it cannot use
            peer.leave()
            raise web.HTTPBadRequest(text="cannot answer this SDP: is it audio?") from error
        return web.json_response({"sdp": answer.sdp, "type": answer.type})

    async def aclose(self) -> None:
        """Say goodbye to every peer."""
        for peer in self._peers:
            peer.leave()
        await asyncio.gather(*self._peers.values())

    async def _keep(self, peer: Peer) -> None:
        try:
            await peer.run()
        except Exception:
            logger.exception("a connection failed")
        finally:
            del self._peers[peer]


SPEAKER = web.AppKey("speaker", Speaker)


async def page(request: web.Request) -> web.FileResponse:
    """Serve the page."""
    return web.FileResponse(PAGE)


async def offer(request: web.Request) -> web.Response:
    """Answer a browser."""
    return await request.app[SPEAKER].offer(request)


def build(engine: str, patience: float = PATIENCE) -> web.Application:
    """Return the application, which opens `engine` when it starts and closes it when it stops.

    Args:
        engine: an address, as `open_synthesizer` takes it.
        patience: seconds within which a browser that got an answer has to connect.
    """

    async def speaker(app: web.Application) -> AsyncIterator[None]:
        async with await open_synthesizer(engine) as synthesizer:
            app[SPEAKER] = Speaker(synthesizer, patience)
            yield
            await app[SPEAKER].aclose()

    app = web.Application()
    app.cleanup_ctx.append(speaker)
    app.add_routes([web.get("/", page), web.post("/offer", offer)])
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """Read the flags and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description="A page that speaks over WebRTC and falls silent at once when told to."
    )
    parser.add_argument(
        "--engine",
        metavar="ADDRESS",
        default="preview:",
        help="what speaks: preview: (the embedded voice), qwen:PATH_OR_REPO_ID, ws://HOST:PORT "
        "or openai+http://HOST/v1 (default: %(default)s)",
    )
    parser.add_argument(
        "--host", default="localhost", help="where to listen (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8090, help="default: %(default)s")
    flags = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s")
    logging.getLogger("aioice").setLevel(logging.WARNING)
    ready = f"open http://{flags.host}:{flags.port}/ in a browser; Ctrl-C ends it"
    try:
        web.run_app(
            build(flags.engine),
            host=flags.host,
            port=flags.port,
            print=lambda banner: logger.info(ready),
        )
    except (SpeechError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
