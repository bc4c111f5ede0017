"""The LiveKit example in a real room: livekit-server, a worker process, real dispatch, real tracks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from hearing import likeness, loud_seconds, spoken, until
from livekit_server import API_KEY, API_SECRET, Unavailable, find_or_build, running
from room import Guest, guest_in

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(600),  # if the server has to be built first
    pytest.mark.asyncio(loop_scope="module"),  # the one that livekit's native library calls
]

AGENT = Path(__file__).parents[2] / "examples/agents/livekit_room_agent.py"
GREETING = "Hello! You can interrupt me at any time."
LONG = "I will now talk for quite a while, so that there is time enough to interrupt me. " * 3

Report = Callable[[str], None]


@dataclass
class Worker:
    """The example's worker, which waits for rooms."""

    url: str
    process: subprocess.Popen[bytes]
    mark: str  # in the environment of all its processes
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """Everything that the worker started, and itself, wherever it now hangs in the tree."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("ROOM_TEST") == self.mark
        except (psutil.Error, OSError):
            return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        program = find_or_build()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with running(program, tmp_path_factory.mktemp("livekit") / "server.log") as url:
        yield url


@pytest.fixture(scope="module")
def worker(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    log, mark = tmp_path_factory.mktemp("worker") / "log", uuid.uuid4().hex
    settings = {
        "LIVEKIT_URL": url,
        "LIVEKIT_API_KEY": API_KEY,
        "LIVEKIT_API_SECRET": API_SECRET,
        "ROOM_TEST": mark,
        # Weights of 240 MB that this agent does not use.
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, AGENT, "--offline", "dev"],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    worker = Worker(url, process, mark, log)
    try:
        yield worker
    finally:
        for left in worker.processes():
            left.kill()
        process.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def guest(worker: Worker) -> AsyncIterator[Guest]:
    """In a room of its own, where the agent has begun to speak."""
    room = f"room-{uuid.uuid4().hex[:8]}"
    await until(lambda: "registered worker" in worker.said(), "the worker is registered", 180)
    async with guest_in(room, worker.url, API_KEY, API_SECRET) as guest:
        try:
            await until(guest.loud, "the agent greets", 180)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{worker.said()[-4000:]}") from None
        yield guest


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return write


async def test_a_guest_hears_and_reads_what_the_agent_says(guest: Guest, report: Report) -> None:
    expected = await spoken(GREETING)

    await guest.quiet(1.0)
    await until(lambda: guest.read.get(guest.agent), "the greeting's transcript has come")

    heard = guest.voice()
    alike = likeness(heard, expected)
    report(
        f"heard {loud_seconds(heard):.2f} s of {loud_seconds(expected):.2f} s of speech, "
        f"likeness {alike:.3f}"
    )
    assert abs(loud_seconds(heard) - loud_seconds(expected)) < 0.2 * loud_seconds(expected)
    assert alike > 0.8
    assert guest.read[guest.agent] == [GREETING]


async def test_a_message_silences_the_agent_and_the_next_turn_speaks(
    guest: Guest, report: Report
) -> None:
    await guest.quiet(0.5)
    await guest.call("say", LONG)
    asked = time.perf_counter()
    await until(lambda: len(guest.loud(asked)) > 80, "most of a second was heard")

    interrupted = time.perf_counter()
    await guest.call("interrupt")
    answered = time.perf_counter()
    await guest.quiet(1.0)

    silent = (guest.loud(interrupted) or [interrupted])[-1]
    report(
        f"interrupt() answered after {1000 * (answered - interrupted):.0f} ms, "
        f"last sound after {1000 * (silent - interrupted):.0f} ms"
    )
    assert silent - interrupted < 3.0

    again = time.perf_counter()
    await guest.call("say", GREETING)
    await until(lambda: guest.loud(again), "the next turn is heard")
    await guest.quiet(1.0)
    # Nothing of the interrupted turn, of which most of a minute was left, is in the new one.
    assert likeness(guest.voice(again), await spoken(GREETING)) > 0.8


async def test_a_guest_who_speaks_is_given_the_floor_and_answered(
    guest: Guest, report: Report
) -> None:
    words = await spoken("Wait a moment, I have a question about this.")
    await guest.quiet(0.5)
    await guest.call("say", LONG)
    # LiveKit takes no speech for an interruption in the first three seconds of its own.
    await until(lambda: guest.loud()[-1] - guest.loud()[0] > 3.3, "the echo guard is over")

    speaking = asyncio.create_task(guest.speak(words))
    await until(lambda: guest.read.get("guest"), "the guest's words were recognized")
    understood = time.perf_counter()
    during = guest.loud(since=guest.spoke)
    report(f"last sound {1000 * (during[-1] - guest.spoke):.0f} ms after the guest began to speak")
    assert during[-1] < understood - 0.5  # silent long before the guest had ended

    await until(lambda: len(guest.loud(understood)) > 50, "the answer is heard")
    await speaking


async def test_a_job_ends_with_its_guest_and_a_stopped_worker_leaves_no_process(
    worker: Worker,
) -> None:
    before = set(worker.processes())
    async with guest_in(f"room-{uuid.uuid4().hex[:8]}", worker.url, API_KEY, API_SECRET) as guest:
        await until(guest.loud, "the agent greets", 180)
        of_the_job = set(worker.processes()) - before
        assert len(of_the_job) >= 2  # the job and the embedded voice
    await until(lambda: of_the_job.isdisjoint(worker.processes()), "the job has ended")

    worker.process.send_signal(signal.SIGTERM)
    await until(lambda: not worker.processes(), "the worker and all it started have ended")
    assert worker.process.wait() == 0
