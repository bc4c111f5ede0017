"""Load a server on this machine with many clients at once, and say how it held.

It starts a server of its own (another process, on the loopback address), or takes the port of
one that runs. Each client sends one request a round and reads it as a player would: the playout
simulation starts the clock at the first byte and counts an underrun whenever the clock passes
the audio that has come. Then the clients interrupt long requests, and the time to the reply is
taken. Bounded in clients, rounds and time; it stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from report import circumstances, percentiles, write

BYTES_A_SECOND = 48_000
SENTENCE = "Thank you for calling, I have found your order and it will arrive tomorrow morning."
LONG = SENTENCE + (" " + SENTENCE) * 100
LIMIT = 300.0  # seconds, for the whole run


@dataclass
class Spoken:
    """What one request's listener would have heard."""

    ttfb: float = 0.0
    audio: float = 0.0
    wall: float = 0.0
    underruns: int = 0
    gaps: list[float] = field(default_factory=list)


async def listen(client: aiohttp.ClientSession, name: str) -> Spoken:
    """Speak one sentence and play it in simulation."""
    spoken = Spoken()
    sent = time.perf_counter()
    async with client.post("/tts/stream", json={"text": SENTENCE, "client_id": name}) as response:
        response.raise_for_status()
        started = ends = 0.0
        async for data in response.content.iter_any():
            now = time.perf_counter()
            if not started:
                started = ends = now
                spoken.ttfb = now - sent
            elif now > ends:
                spoken.underruns += 1
                spoken.gaps.append(now - ends)
                ends = now
            ends += len(data) / BYTES_A_SECOND
            spoken.audio += len(data) / BYTES_A_SECOND
    spoken.wall = time.perf_counter() - sent
    if not spoken.audio:
        raise RuntimeError("a request ended without audio")
    return spoken


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
async def server(port: int | None) -> AsyncIterator[int]:
    """Yield the port of a running server, one of our own unless `port` is given."""
    if port is not None:
        yield port
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qwen3_tts_live", "serve", "--host", "127.0.0.1", "--port", "0"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        while line := (await process.stderr.readline()).decode():
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                yield int(found[1])
                return
        raise RuntimeError("the server did not start")
    finally:
        process.terminate()
        await process.wait()


async def run(clients: int, rounds: int, port: int | None) -> dict[str, object]:
    """Run all rounds; return the numbers."""
    names = [f"bench-{number}" for number in range(clients)]
    failures = 0
    spoken: list[Spoken] = []
    interrupts: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with server(port) as at, asyncio.timeout(LIMIT):
        base = f"http://127.0.0.1:{at}"
        async with aiohttp.ClientSession(base, connector=connector) as client:
            await listen(client, "warm-up")
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}: {clients} clients at once", file=sys.stderr)
                for what, into in ((listen, spoken), (interrupt, interrupts)):
                    work = (what(client, name) for name in names)
                    for one in await asyncio.gather(*work, return_exceptions=True):
                        if isinstance(one, BaseException):
                            failures += 1
                            print(f"  failed: {one!r}", file=sys.stderr)
                        else:
                            into.append(one)  # type: ignore[arg-type]  # by its own kind
    audio = sum(one.audio for one in spoken)
    return {
        "clients": clients,
        "rounds": rounds,
        "requests": 2 * clients * rounds,
        "failures": failures,
        "ttfb_ms": percentiles([1000 * one.ttfb for one in spoken]),
        "rtf_wall_by_audio": percentiles([one.wall / one.audio for one in spoken], 3),
        "underruns": sum(one.underruns for one in spoken),
        "longest_underrun_ms": round(
            1000 * max((g for one in spoken for g in one.gaps), default=0)
        ),
        "interrupt_reply_ms": percentiles([1000 * took for took in interrupts]),
        "audio_seconds": round(audio, 1),
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="at once (default 64, at most 512)")
    parser.add_argument("--rounds", type=int, default=5, help="at most 100 (default 5)")
    parser.add_argument("--port", type=int, help="of a server that runs here (default: start one)")
    parser.add_argument(
        "--name", default="load-preview", help="of the result (default %(default)s)"
    )
    arguments = parser.parse_args()
    if not (0 < arguments.clients <= 512 and 0 < arguments.rounds <= 100):
        parser.error("--clients goes from 1 to 512, --rounds from 1 to 100")
    where = circumstances("qwen3-tts-live", "aiohttp", "espeakng-loader")
    numbers = asyncio.run(run(arguments.clients, arguments.rounds, arguments.port))
    path = write(arguments.name, {"what": "HTTP streaming under load", **numbers, **where})
    print(path.read_text())
    return 1 if numbers["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
