"""How many listeners one server process keeps supplied at real time, with an engine that costs nothing.

The server runs in a process of its own, on a backend that makes 80 ms of silence at once whenever it
is asked, so that what is measured is the server: sockets, sessions, pacing. Each listener takes audio
at the rate at which it would play, over one shared WebSocket or over HTTP, and counts an underrun
whenever the audio that is due has not come. The server measures how late its event loop wakes.

    python benchmarks/capacity.py --websockets 256 --https 512 --seconds 30
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncGenerator

import aiohttp
import numpy as np
from report import circumstances, percentiles, write

from qwen3_tts_live import AudioChunk, SessionOptions, open_synthesizer
from qwen3_tts_live.backend import BackendEvent, Pcm, Segment
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits
from qwen3_tts_live.synthesizer import Synthesizer

CHUNK = 1920  # samples: 80 ms
RATE = 24_000
TICK = 0.01  # seconds between looks at the event loop's lag


class Silence:
    """Makes a chunk a character, at once."""

    name = "silence"
    languages = ("English",)
    voices = ("none",)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Make it."""
        for _ in segment.text:
            await asyncio.sleep(0)
            yield Pcm(np.zeros(CHUNK, np.int16))

    async def aclose(self) -> None:
        """Nothing to release."""


async def serve() -> None:
    """Serve until SIGTERM; print the port first, the event loop's lag last."""
    from qwen3_tts_server.app import Server
    from qwen3_tts_server.options import ServerOptions

    limits = SessionLimits(max_sessions=4096, max_utterances=4096)
    options = ServerOptions(host="127.0.0.1", port=0, drain_timeout=0.1)
    stopping, lags = asyncio.Event(), []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with LiveSynthesizer(Silence(), limits) as synthesizer:
        server = Server(options)
        print(await server.start(), flush=True)
        server.open(synthesizer)
        while not stopping.is_set():
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            lags.append(1000 * (time.perf_counter() - before - TICK))
        await server.stop()
    print(json.dumps({"lag_ms": percentiles(lags), "cpu_seconds": time.process_time()}))


class Listener:
    """Plays what comes, in simulation."""

    def __init__(self) -> None:
        self.played = self.started = 0.0
        self.underruns = 0
        self.late_ms = 0.0

    async def play(self, seconds: float) -> None:
        """Take `seconds` of audio that has come, and wait until they would have been played."""
        now = time.perf_counter()
        self.started = self.started or now
        due = self.started + self.played
        if now > due + TICK:  # the listener's own loop is as coarse as that
            self.underruns += 1
            self.late_ms = max(self.late_ms, 1000 * (now - due))
            self.started += now - due
        self.played += seconds
        # Half a second in hand, as a player has.
        await asyncio.sleep(max(0.0, self.started + self.played - 0.5 - time.perf_counter()))


async def websocket(synthesizer: Synthesizer, text: str, one: Listener) -> None:
    """Listen over the shared WebSocket."""
    session = await synthesizer.open_session(SessionOptions(language="en"))
    async for event in session.utter(text):
        if isinstance(event, AudioChunk):
            await one.play(event.seconds)


async def http(client: aiohttp.ClientSession, text: str, name: str, one: Listener) -> None:
    """Listen over HTTP."""
    async with client.post("/tts/stream", json={"text": text, "client_id": name}) as response:
        response.raise_for_status()
        while data := await response.content.read(2 * CHUNK):
            await one.play(len(data) / 2 / RATE)


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Run the server and the listeners; return the numbers."""
    server = await asyncio.create_subprocess_exec(sys.executable, __file__, "--serve", stdout=-1)
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    text = "x" * int(options.seconds * RATE / CHUNK)
    listeners = [Listener() for _ in range(options.websockets + options.https)]
    connector = aiohttp.TCPConnector(limit=0)
    synthesizer = await open_synthesizer(f"ws://127.0.0.1:{port}")
    async with (
        synthesizer,
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        for number, one in enumerate(listeners):
            over_ws = number < options.websockets
            group.create_task(
                websocket(synthesizer, text, one)
                if over_ws
                else http(client, text, f"c{number}", one)
            )
            await asyncio.sleep(1.0 / len(listeners))  # they do not all call in one instant
    server.terminate()
    said = json.loads((await server.communicate())[0])
    return {
        "websocket_sessions": options.websockets,
        "http_streams": options.https,
        "seconds_each": options.seconds,
        "underruns": sum(one.underruns for one in listeners),
        "longest_underrun_ms": round(max(one.late_ms for one in listeners), 1),
        "shortest_speech_s": round(min(one.played for one in listeners), 2),
        "server_event_loop_lag_ms": said["lag_ms"],
        "server_cpu_seconds": round(said["cpu_seconds"], 1),
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--websockets", type=int, default=256)
    parser.add_argument("--https", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of speech, each")
    parser.add_argument("--name", default="capacity", help="of the result (default %(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    numbers = asyncio.run(measure(options))
    where = circumstances("qwen3-tts-live", "aiohttp")
    path = write(options.name, {"what": "listeners at real time", **numbers, **where})
    print(path.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
