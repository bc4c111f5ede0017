"""Load a server on this machine with many clients, and say how it held.

It starts a server of its own (another process, on the loopback address), or takes the port of
one that runs. Each request is read as a player would: the playout simulation starts the clock
at the first byte and counts an underrun whenever the clock passes the audio that has come.

Two ways to arrive. Closed loop (default): all clients at the same instant, round after round.
Open loop (`--rate`): requests arrive at random times, whether or not earlier ones are done, as
callers do; a server that is too slow cannot slow them down. In the end clients interrupt long
requests, and the time to the reply is taken. Bounded in clients, requests and time; it stops by
itself.

    python benchmarks/load.py
    python benchmarks/load.py --rate 2 --requests 60 --serve "--model-path DIR --ref-audio FILE"
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import numpy as np
from report import circumstances, percentiles, write

from qwen3_tts_live.audio import first_audible
from qwen3_tts_live.playout import Playout

BYTES_A_SECOND = 48_000
SENTENCE = "Thank you for calling, I have found your order and it will arrive tomorrow morning."
LONG = SENTENCE + (" " + SENTENCE) * 100
LIMIT = 300.0  # seconds, for the whole run


@dataclass
class Spoken:
    """What one request's listener would have heard."""

    ttfb: float = 0.0
    ttfa: float | None = None
    wall: float = 0.0
    playout: Playout = field(default_factory=Playout)


async def listen(client: aiohttp.ClientSession, name: str) -> Spoken:
    """Speak one sentence and play it in simulation."""
    spoken = Spoken()
    sent = time.perf_counter()
    async with client.post("/tts/stream", json={"text": SENTENCE, "client_id": name}) as response:
        response.raise_for_status()
        size = 0  # bytes so far; a sample may come in two pieces
        async for data in response.content.iter_any():
            now = time.perf_counter()
            if not size:
                spoken.ttfb = now - sent
            if spoken.ttfa is None and audible(data):
                spoken.ttfa = now - sent
            spoken.playout.came((size + len(data)) // 2 - size // 2, now)
            size += len(data)
    spoken.wall = time.perf_counter() - sent
    if not spoken.playout.samples:
        raise RuntimeError("a request ended without audio")
    return spoken


def audible(data: bytes) -> bool:
    """Whether a listener hears anything in these samples; a model's first frame is often silent."""
    return first_audible(np.frombuffer(data[: len(data) // 2 * 2], "<i2")) is not None


async def interrupt(client: aiohttp.ClientSession, name: str) -> float:
    """Interrupt a long request once it plays; return the seconds to the reply."""
    async with client.post("/tts/stream", json={"text": LONG, "client_id": name}) as response:
        await response.content.readexactly(BYTES_A_SECOND // 10)
        started = time.perf_counter()
        async with client.post(f"/tts/interrupt?client_id={name}") as reply:
            report = await reply.json()
        took = time.perf_counter() - started
        if report["stopped"] != 1:
            raise RuntimeError(f"nothing was stopped: {report}")
        await response.read()
    return took


@asynccontextmanager
async def server(port: int | None, flags: str) -> AsyncIterator[int]:
    """Yield the port of a running server, one of our own with `flags` unless `port` is given."""
    if port is not None:
        yield port
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qwen3_tts_live", "serve", "--host", "127.0.0.1", "--port", "0"),
        *shlex.split(flags),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        while line := (await process.stderr.readline()).decode():
            if found := re.search(r"speaks at http://127\.0\.0\.1:(\d+)/", line):
                yield int(found[1])
                return
        raise RuntimeError("the server did not start")
    finally:
        process.terminate()
        await process.wait()


class Run:
    """What all requests of a run said."""

    def __init__(self) -> None:
        self.spoken: list[Spoken] = []
        self.interrupts: list[float] = []
        self.failures = 0

    async def listen(self, client: aiohttp.ClientSession, name: str) -> None:
        """Speak one sentence; count what comes of it."""
        try:
            self.spoken.append(await listen(client, name))
        except (aiohttp.ClientError, RuntimeError, TimeoutError) as error:
            self._failed(error)

    async def interrupt(self, client: aiohttp.ClientSession, name: str) -> None:
        """Interrupt a long request; count how long that took."""
        try:
            self.interrupts.append(await interrupt(client, name))
        except (aiohttp.ClientError, RuntimeError, TimeoutError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        print(f"  failed: {error!r}", file=sys.stderr)

    def numbers(self) -> dict[str, object]:
        """Return the figures."""
        spoken = self.spoken
        return {
            "requests": len(spoken) + len(self.interrupts) + self.failures,
            "failures": self.failures,
            "ttfb_ms": percentiles([1000 * one.ttfb for one in spoken]),
            "ttfa_ms": percentiles([1000 * one.ttfa for one in spoken if one.ttfa is not None]),
            "rtf_wall_by_audio": percentiles([one.wall / one.playout.seconds for one in spoken], 3),
            "underruns": sum(one.playout.underruns for one in spoken),
            "requests_with_underruns": sum(one.playout.underruns > 0 for one in spoken),
            "longest_underrun_ms": round(
                1000 * max((one.playout.longest for one in spoken), default=0)
            ),
            "interrupt_reply_ms": percentiles([1000 * took for took in self.interrupts]),
            "audio_seconds": round(sum(one.playout.seconds for one in spoken), 1),
        }


async def closed_loop(client: aiohttp.ClientSession, run: Run, clients: int, rounds: int) -> None:
    """All clients at the same instant, round after round."""
    names = [f"bench-{number}" for number in range(clients)]
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}: {clients} clients at once", file=sys.stderr)
        for work in (run.listen, run.interrupt):
            await asyncio.gather(*(work(client, name) for name in names))


async def open_loop(client: aiohttp.ClientSession, run: Run, rate: float, requests: int) -> None:
    """Requests at random times, `rate` a second on average (a Poisson process)."""
    print(f"{requests} requests, {rate:g} a second on average", file=sys.stderr)
    gaps = random.Random(0)
    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            group.create_task(run.listen(client, f"bench-{number}"))
            await asyncio.sleep(gaps.expovariate(rate))
    for number in range(min(requests, 20)):
        await run.interrupt(client, f"bench-{number}")


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Run everything; return the numbers."""
    run = Run()
    connector = aiohttp.TCPConnector(limit=0)
    async with server(options.port, options.serve) as at, asyncio.timeout(LIMIT):
        base = f"http://127.0.0.1:{at}"
        async with aiohttp.ClientSession(base, connector=connector) as client:
            await listen(client, "warm-up")
            if options.rate is None:
                await closed_loop(client, run, options.clients, options.rounds)
                arrivals = {"clients": options.clients, "rounds": options.rounds}
            else:
                await open_loop(client, run, options.rate, options.requests)
                arrivals = {"arrivals_a_second": options.rate}
    return {**arrivals, **run.numbers()}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64, help="at once (default 64, at most 512)")
    parser.add_argument("--rounds", type=int, default=5, help="at most 100 (default 5)")
    parser.add_argument("--rate", type=float, help="open loop: arrivals a second, at most 100")
    parser.add_argument("--requests", type=int, default=60, help="open loop: at most 1000")
    parser.add_argument("--port", type=int, help="of a server that runs here (default: start one)")
    parser.add_argument("--serve", default="", help="flags for the server that is started")
    parser.add_argument(
        "--name", default="load-preview", help="of the result (default %(default)s)"
    )
    options = parser.parse_args()
    if not (0 < options.clients <= 512 and 0 < options.rounds <= 100):
        parser.error("--clients goes from 1 to 512, --rounds from 1 to 100")
    if not (0 < (options.rate or 1) <= 100 and 0 < options.requests <= 1000):
        parser.error("--rate goes up to 100, --requests from 1 to 1000")
    where = circumstances("qwen3-tts-live", "aiohttp", "espeakng-loader", "torch")
    numbers = asyncio.run(measure(options))
    path = write(options.name, {"what": "HTTP streaming under load", **numbers, **where})
    print(path.read_text())
    return 1 if numbers["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
