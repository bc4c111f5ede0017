"""Whether a server stays as it is: many clients do all that clients do, for as long as you like.

The server runs in a process of its own, on a backend that makes silence at once (`--engine fake`,
with voices that can be added) or on any engine. Clients stream over HTTP, speak over shared and own
WebSockets, interrupt, hang up, vanish in the middle of requests, upload voices and ask for what
nobody gets. Every few seconds it is noted what the process (and its workers) hold. In the end
everything has to be as it was before: no task, connection, stream or session left, memory flat.

    python benchmarks/soak.py --minutes 10
    python benchmarks/soak.py --minutes 5 --engine preview: --name soak-preview
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
from report import circumstances, write
from soak_clients import Clients

from qwen3_tts_live import open_synthesizer

logger = logging.getLogger("soak")

MIB = 1 << 20
# Part of the time in which caches and buffers reach their size.
WARM_UP = 0.3
# MiB that the memory's level may rise between the first and the last third of what follows the
# warm-up: an allocator's breathing, and far below what a leak of 1 KiB a request comes to.
MAY_GROW = 3.0
# What there has to be as much of in the end as in the beginning.
COUNTS = (
    *("tasks", "fds", "threads", "processes"),
    *("connections", "streams", "sessions", "utterances"),
)
PATIENCE = 120.0  # seconds for one deed; on a busy machine some take half of that
POINTS = 60  # of each series in the result

Sample = dict[str, float]


class Subject:
    """The server's process, as seen from here."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self._process = process
        self._observed = psutil.Process(process.pid)
        self._began = time.monotonic()

    @classmethod
    @asynccontextmanager
    async def started(cls, engine: str, idle: float, trace: bool) -> AsyncIterator[Subject]:
        """Start a server; stop it when done."""
        program = str(Path(__file__).with_name("soak_server.py"))
        command = [sys.executable, program, engine, f"--idle={idle}"]
        command += ["--trace"] if trace else []
        process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, limit=MIB)
        assert process.stdout is not None and process.stdin is not None
        try:
            yield cls(process, int(await process.stdout.readline()))
        finally:
            process.stdin.close()
            await process.wait()

    async def ask(self, question: str) -> object:
        """Return what the server's process says."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{question}\n".encode())
        return json.loads(await stdout.readline())

    async def sample(self, question: str = "gauges") -> Sample:
        """Return what it holds."""
        gauges = await self.ask(question)
        assert isinstance(gauges, dict)
        everyone = [self._observed, *self._observed.children(recursive=True)]
        memory = [process.memory_full_info() for process in everyone]
        return {
            "seconds": round(time.monotonic() - self._began, 1),
            "rss_mib": round(sum(one.rss for one in memory) / MIB, 2),
            "workers_rss_mib": round(sum(one.rss for one in memory[1:]) / MIB, 2),
            "pss_mib": round(sum(one.pss for one in memory) / MIB, 2),
            "processes": len(everyone),
            "threads": sum(process.num_threads() for process in everyone),
            "fds": sum(process.num_fds() for process in everyone),
            **gauges,
        }

    async def settled(self, patience: float = 30.0) -> Sample:
        """Return what it holds once nothing is open any more, or that it still does."""
        until = time.monotonic() + patience
        while True:
            sample = await self.sample("settle")
            open_ones = ("streams", "utterances", "sessions", "connections")
            if not any(sample[name] for name in open_ones) or time.monotonic() > until:
                return sample
            await asyncio.sleep(0.5)


class Deeds:
    """What was done, and what went wrong."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []

    async def go_on(self, clients: Clients, pause: float, over: Callable[[], bool]) -> None:
        """Be one client, until it is over."""
        while not over():
            name, deed = clients.any()
            try:
                async with asyncio.timeout(PATIENCE):
                    self.done[f"{name} {await deed()}"] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it counts
                self.faults.append(f"{name}: {error!r}"[:300])
                logger.warning("fault: %s: %r", name, error)
            await asyncio.sleep(random.uniform(0, 2 * pause))


async def bustle(subject: Subject, options: argparse.Namespace, deeds: Deeds) -> list[Sample]:
    """Have the clients at it for the whole time; return what the server held meanwhile."""
    samples: list[Sample] = []
    async with connected(subject.port, options) as clients, asyncio.TaskGroup() as group:
        over_at = time.monotonic() + 60 * options.minutes
        for _ in range(options.clients):
            going = deeds.go_on(clients, options.pause, lambda: time.monotonic() > over_at)
            group.create_task(going)
        while time.monotonic() < over_at:
            await asyncio.sleep(min(options.every, max(0.0, over_at - time.monotonic())))
            samples.append(sample := await subject.sample())
            logger.info("%d deeds, %d faults; %s", deeds.done.total(), len(deeds.faults), sample)
            if options.trace and len(samples) % 10 == 0:
                grown = await subject.ask("grown")
                assert isinstance(grown, list)
                logger.info("grown:\n%s", "\n".join(grown))
    return samples


@asynccontextmanager
async def connected(port: int, options: argparse.Namespace) -> AsyncIterator[Clients]:
    """Yield the clients of a server, which have left when it is over."""
    # They let go of idle connections before the server does, as clients should: a request that
    # crosses the server's goodbye is nobody's fault.
    pool = aiohttp.TCPConnector(limit=0, keepalive_timeout=options.idle / 2)
    async with (
        await open_synthesizer(f"ws://127.0.0.1:{port}") as synthesizer,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=pool) as http,
    ):
        clients = Clients(port, http, synthesizer, options.seed)
        async with http.get("/tts/voices") as response:
            clients.can_add = (await response.json())["can_add"]
        yield clients


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Run the server and its clients; return the numbers."""
    deeds = Deeds()
    async with Subject.started(options.engine, options.idle, options.trace) as subject:
        async with connected(subject.port, options) as clients:
            # What is loaded, or started, at first use is no leak: modules, threads that read files.
            first = (*clients.deeds, *[clients.page] * len(clients.deeds))
            warming = (deed() for deed in first * options.warm_up)
            await asyncio.gather(*warming, return_exceptions=True)  # faults count later
        before = await subject.settled()
        samples = await bustle(subject, options, deeds)
        after = await subject.settled()
    return {
        "engine": options.engine,
        "clients": options.clients,
        "minutes": options.minutes,
        "deeds": dict(sorted(deeds.done.items())),
        "faults": deeds.faults[:20],
        "before": before,
        "after": after,
        **judged(before, samples, after, len(deeds.faults)),
        "series": decimated(samples),
    }


def judged(
    before: Sample, samples: Sequence[Sample], after: Sample, faults: int
) -> dict[str, object]:
    """Return how the memory went, and what is wrong, if anything is."""
    steady = samples[int(WARM_UP * len(samples)) :]
    third = max(1, len(steady) // 3)
    levels = [level([s["rss_mib"] for s in part]) for part in (steady[:third], steady[-third:])]
    grown = levels[1] - levels[0]
    differs = {name: after[name] - before[name] for name in COUNTS if after[name] != before[name]}
    # Threads and files of pools may be fewer; a task that is missing has died.
    wrong = [
        f"{abs(by):g} {'more' if by > 0 else 'fewer'} {name} than before"
        for name, by in differs.items()
        if by > 0 or name == "tasks"
    ]
    wrong += [f"memory rose by {grown:.1f} MiB"] if grown > MAY_GROW else []
    wrong += [f"{faults} faults"] if faults else []
    return {
        "rss_slope_mib_per_hour": round(3600 * slope(steady, "rss_mib"), 2),
        "rss_growth_after_warm_up_mib": round(grown, 2),
        "objects_growth_per_hour": round(3600 * slope(steady, "objects")),
        "verdict": "; ".join(wrong) or "stays as it is",
    }


def level(values: Sequence[float]) -> float:
    """Return what is held in the quieter moments: the first quartile.

    An encoder holds 7 MiB while it is at work, so the median says how many were; a leak raises all.
    """
    return sorted(values)[len(values) // 4]


def slope(samples: Sequence[Sample], name: str) -> float:
    """Return how fast something rises, a second, by least squares."""
    times = [sample["seconds"] for sample in samples]
    if len(set(times)) < 2:
        return 0.0
    return statistics.linear_regression(times, [sample[name] for sample in samples]).slope


def decimated(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Return each value as a series of at most `POINTS`."""
    chosen = samples[:: max(1, -(-len(samples) // POINTS))]
    return {name: [sample[name] for sample in chosen] for name in (chosen[0] if chosen else ())}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--engine", default="fake", help="fake, or an engine's address")
    parser.add_argument("--clients", type=int, default=24, help="at once (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between deeds, mean")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--warm-up", type=int, default=4, help="times that all is done first")
    parser.add_argument(
        "--idle", type=float, default=2.0, help="seconds until it forgets the silent"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what the clients do")
    parser.add_argument("--trace", action="store_true", help="say where memory grows; slow")
    parser.add_argument("--name", default="soak", help="of the result (default %(default)s)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    where = circumstances("qwen3-tts-live", "aiohttp", "espeakng-loader")
    numbers = asyncio.run(measure(options))
    path = write(options.name, {"what": "a server under everything, for long", **numbers, **where})
    logger.info("%s: %s", path, numbers["verdict"])
    return 0 if numbers["verdict"] == "stays as it is" else 1


if __name__ == "__main__":
    sys.exit(main())
