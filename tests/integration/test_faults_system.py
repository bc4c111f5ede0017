"""The machine fails, or the process: a full disk, no more descriptors, killed workers and servers."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

import forking_server
from cloning import StartCloning
from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live import SessionOptions
from qwen3_tts_live.backends.preview import PreviewBackend
from qwen3_tts_live.client import RemoteSynthesizer
from qwen3_tts_live.connection import Settings
from qwen3_tts_live.errors import ConnectionLostError
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Finished
from serving import Start, serving

LONG = "x" * 4000  # a chunk a character: more than any lead

# ------------------------------------------------------------------ the disk


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own with room for 64 KiB, in a mount namespace that a process holds."""
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    script = "mount -t tmpfs -o size=64k tmpfs /tmp && echo mounted && cat"
    if shutil.which("unshare") is None:
        pytest.skip("needs Linux")
    with subprocess.Popen([*command, script], stdin=-1, stdout=-1, stderr=-1) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        try:
            if holder.stdout.readline() != b"mounted\n":
                pytest.skip("needs leave to make a mount namespace")
            yield Path(f"/proc/{holder.pid}/root/tmp")
        finally:
            holder.stdin.close()


async def test_a_full_disk_is_said_and_leaves_no_half_of_a_voice(cloning: StartCloning) -> None:
    with small_disk() as disk:
        one = await cloning(folder=disk / "voices")
        assert await one.code("before") == (201, "")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", 0) as file:
            while True:
                file.write(bytes(1024))
        status, body = await one.add("anna")
        assert (status, body["error"]["code"]) == (507, "storage")
        assert "No space left" in body["error"]["message"]
        assert str(disk) not in str(body)
        assert (one.files(), await one.names()) == (
            ["before.safetensors"],
            ["reference", "before"],
        )
        one.backend.free = True
        async with await one.running.speak("hello", voice="before") as response:
            assert len(await response.read()) == 5 * CHUNK * 2
        assert (await one.remove("before"))[0] == 200
        filler.unlink()
        assert await one.code("anna") == (201, "")


async def test_a_file_that_may_not_grow_is_a_full_disk_too(cloning: StartCloning) -> None:
    one = await cloning()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))  # as a quota would
    try:
        status, body = await one.add("anna")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (status, body["error"]["code"]) == (507, "storage")
    assert "too large" in body["error"]["message"]
    assert (one.files(), await one.names()) == ([], ["reference"])
    assert await one.code("anna") == (201, "")


# ------------------------------------------------------------------ descriptors


async def test_without_descriptors_it_serves_who_is_there_and_later_the_others(
    start: Start,
) -> None:
    running = await start(ScriptedBackend(free=False))
    stays = asyncio.create_task(running.speak("still here"))
    await running.until(lambda: bool(running.backend.running))
    loop, clients = asyncio.get_running_loop(), [socket.socket() for _ in range(20)]
    for client in clients:
        client.setblocking(False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = set(map(int, os.listdir("/dev/fd")))
    # New ones get the lowest free number, and none at or above the limit: three are left.
    free = sorted(set(range(max(taken) + 4)) - taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[2] + 1, hard))
    try:
        for client in clients:  # the kernel takes them all, the server only the first
            await loop.sock_connect(client, ("127.0.0.1", running.port))
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(clients[0].fileno())
        running.backend.permit(10)
        async with await stays as response:
            assert len(await response.read()) == 10 * CHUNK * 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    last = clients[-1]
    await loop.sock_sendall(last, b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await loop.sock_recv(last, 100)).startswith(b"HTTP/1.1 200")
    for client in clients:
        client.close()


# ------------------------------------------------------------------ workers


async def test_a_worker_that_is_killed_with_a_request_costs_nobody_anything() -> None:
    backend = await PreviewBackend.open(workers=2)
    synthesizer = LiveSynthesizer(backend)
    async with synthesizer, serving(synthesizer) as address, aiohttp.ClientSession() as http:
        workers = [psutil.Process(worker._process.pid) for worker in backend._workers]  # type: ignore[union-attr]
        for worker in workers:
            worker.suspend()
        url = address.replace("ws", "http", 1) + "/tts/stream"
        asking = [
            asyncio.create_task(http.post(url, json={"text": "Hello you.", "client_id": name}))
            for name in "ab"
        ]
        while backend._idle.qsize():
            await asyncio.sleep(0.001)
        workers[0].kill()  # it was given one of the two, and had said nothing of it
        workers[1].resume()
        lengths = sorted([await heard(await task) for task in asking])
        assert lengths[0] > 24_000
        assert lengths[1] - lengths[0] < 2_000  # eSpeak's pitch flutters


# ------------------------------------------------------------------ the server


class Served:
    """A server in a process of its own, which may be started again at the same port."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self.port = 0
        self._program = program

    async def start(self) -> None:
        """Start it."""
        stdin, stdout = self._program.stdin, self._program.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{self.port}\n".encode())
        pid, port = map(int, (await stdout.readline()).split())
        self.port, self._process = port, psutil.Process(pid)

    async def end(self, number: int = signal.SIGKILL) -> None:
        """End it with a signal."""
        if self._process.is_running():
            self._process.send_signal(number)
        while self._process.is_running():
            await asyncio.sleep(0.001)

    async def speak(self, http: aiohttp.ClientSession, text: str) -> aiohttp.ClientResponse:
        url = f"http://127.0.0.1:{self.port}/tts/stream"
        return await http.post(url, json={"text": text})


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, forking_server.__file__, stdin=-1, stdout=-1
    )
    one = Served(program)
    await one.start()
    yield one
    await one.end()
    await program.communicate(b"")  # the end of what it reads ends it


async def heard(response: aiohttp.ClientResponse) -> int:
    async with response:
        assert response.status == 200
        return len(await response.read())


async def test_live_clients_outlast_a_server_that_is_killed_and_one_that_is_stopped(
    served: Served,
) -> None:
    quick = Settings(first_delay=0.01, longest_delay=0.05)
    address = f"ws://127.0.0.1:{served.port}"
    async with (
        await RemoteSynthesizer.open(address, settings=quick) as remote,
        aiohttp.ClientSession() as http,
    ):
        session = await remote.open_session(SessionOptions(voice="bert"), session_id="me")
        for number in (signal.SIGKILL, signal.SIGTERM):
            playing, queued = (aiter(session.utter(LONG)) for _ in range(2))
            await anext(playing)
            over_http = await served.speak(http, LONG)
            await over_http.content.readexactly(4800)
            await served.end(number)
            for events in (playing, queued):
                with pytest.raises(ConnectionLostError) as caught:
                    async for _ in events:
                        pass
                assert caught.value.retryable
            with pytest.raises(aiohttp.ClientError):  # broken off, and not taken for the end
                await over_http.read()
            with pytest.raises(aiohttp.ClientConnectorError):
                await served.speak(http, "Anybody there?")
            await served.start()
            while not remote._connection.generation:
                await asyncio.sleep(0.001)
            spoken = [event async for event in session.utter("We are back.")]
            assert isinstance(spoken[-1], Finished)
            assert spoken[-1].samples == len("We are back.") * CHUNK
            assert await heard(await served.speak(http, "And here.")) == 2 * 9 * CHUNK
            assert await remote.open_session(session_id="me") is session
