"""How many listeners one server process keeps supplied at real time, with an engine that costs nothing.

The server runs in a process of its own, on a backend that makes 80 ms of silence at once whenever it
is asked, so that what is measured is the server: sockets, sessions, pacing, text. Listeners take
audio at the rate at which it is played (benchmarks/listeners.py); audio that has not come when it is
due is an underrun. The kernel says when it came, so a slow load program makes no underruns. The
server measures how late its event loop wakes. `--floor` serves the same bytes over HTTP from a bare
aiohttp handler instead: no text, no sessions, no pacing but the socket's.

    python benchmarks/capacity.py --websockets 256 --https 512
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from aiohttp import web
from listeners import Listener, play
from report import circumstances, percentiles, write

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.backend import BackendEvent, Pcm, Segment
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits

logger = logging.getLogger(__name__)

CHUNK = 1920  # samples: 80 ms
TICK = 0.01  # seconds between looks at the event loop's lag
PER_SECOND = 15  # characters spoken, as by a person
SENTENCE = "It is quiet on the line and nobody says a word, so we wait for a minute. "


class Silence:
    """Makes as much silence as saying the text would take, at once."""

    name = "silence"
    languages = ("English",)
    voices = ("none",)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Make it."""
        for _ in range(round(len(segment.text) / PER_SECOND * SAMPLE_RATE / CHUNK)):
            await asyncio.sleep(0)
            yield Pcm(np.zeros(CHUNK, np.int16))

    async def aclose(self) -> None:
        """Nothing to release."""


@asynccontextmanager
async def ours() -> AsyncIterator[int]:
    """Run the server; yields its port."""
    from qwen3_tts_server.app import Server
    from qwen3_tts_server.options import ServerOptions

    limits = SessionLimits(max_sessions=4096, max_utterances=4096)
    async with LiveSynthesizer(Silence(), limits) as synthesizer:
        server = Server(ServerOptions(host="127.0.0.1", port=0, drain_timeout=0.1))
        port = await server.start()
        gc.collect()  # as `serve` does
        gc.freeze()
        server.open(synthesizer)
        yield port
        await server.stop()


@asynccontextmanager
async def floor() -> AsyncIterator[int]:
    """Run a handler that writes silence and does nothing else; yields its port."""

    async def stream(request: web.Request) -> web.StreamResponse:
        text = (await request.json())["text"]
        response = web.StreamResponse(headers={"Content-Type": "audio/l16;rate=24000"})
        await response.prepare(request)
        for _ in range(round(len(text) / PER_SECOND * SAMPLE_RATE / CHUNK)):
            await response.write(bytes(2 * CHUNK))
        return response

    app = web.Application()
    app.router.add_post("/tts/stream", stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


async def serve(bare: bool) -> None:
    """Serve until SIGTERM; say the port first, the event loop's lag last."""
    stopping, lags = asyncio.Event(), []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with floor() if bare else ours() as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        started = time.process_time()
        while not stopping.is_set():
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            lags.append(1000 * (time.perf_counter() - before - TICK))
        spent = time.process_time() - started
    sys.stdout.write(json.dumps({"lag_ms": percentiles(lags), "cpu_seconds": spent}))


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Run the server and the listeners; return the numbers."""
    command = [sys.executable, __file__, "--serve", *(["--floor"] if options.floor else [])]
    text = SENTENCE * round(options.seconds * PER_SECOND / len(SENTENCE))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        own, stolen = time.process_time(), stolen_seconds()
        listeners = play(port, text, options.websockets, options.https, options.ramp)
        own, stolen = time.process_time() - own, stolen_seconds() - stolen
        server.terminate()
        said = json.loads(server.communicate()[0])
    return {
        "server": "bare aiohttp" if options.floor else "qwen3-tts-live",
        "websocket_sessions": options.websockets,
        "http_streams": options.https,
        "begun_within_s": options.ramp,
        **heard(listeners),
        "server_event_loop_lag_ms": said["lag_ms"],
        "server_cpu_seconds": round(said["cpu_seconds"], 1),
        "server_cpu_us_a_chunk": round(
            1e6 * said["cpu_seconds"] / sum(one.samples / CHUNK for one in listeners), 1
        ),
        "load_program_cpu_seconds": round(own, 1),
        "cpu_seconds_of_others": round(stolen, 1),
    }


def stolen_seconds() -> float:
    """Return the time for which this virtual machine was ready and others ran (Linux)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def heard(listeners: list[Listener]) -> dict[str, object]:
    """Return what the listeners have to say."""
    return {
        "shortest_speech_s": round(min(one.seconds for one in listeners), 2),
        "longest_speech_s": round(max(one.seconds for one in listeners), 2),
        "underruns": sum(one.underruns for one in listeners),
        "longest_underrun_ms": round(1000 * max(one.longest for one in listeners), 1),
        "first_byte_ms": percentiles([1000 * one.first_byte for one in listeners]),
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--websockets", type=int, default=256, help="sessions (default %(default)s)"
    )
    parser.add_argument("--https", type=int, default=512, help="streams (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of speech, each")
    parser.add_argument("--ramp", type=float, default=20.0, help="seconds in which they all begin")
    parser.add_argument("--floor", action="store_true", help="a bare aiohttp handler, HTTP only")
    parser.add_argument("--name", help="write the result under this name")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.serve:
        asyncio.run(serve(options.floor))
        return 0
    numbers = measure(options)
    logger.info(json.dumps(numbers, indent=2))
    if options.name:
        where = circumstances("qwen3-tts-live", "aiohttp")
        logger.info("%s", write(options.name, {"what": "listeners at real time"} | numbers | where))
    return 0


if __name__ == "__main__":
    sys.exit(main())
