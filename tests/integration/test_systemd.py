"""What systemd hears of a server, and what it says of the unit that runs one."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

import pytest

from qwen3_tts_server.command import serve
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments
from qwen3_tts_server.systemd import Supervision, Systemd

UNIT = Path(__file__).parents[2] / "deploy" / "qwen3-tts-live@.service"


class Manager:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    async def hears(self) -> str:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 256)
        return data.decode()

    def heard(self) -> list[str]:
        """Return what has come and nobody has asked for."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(256).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.socket.close()


@dataclass
class FakeSleep:
    """Sleeps until it is woken."""

    asked: list[float] = field(default_factory=list)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.gate.acquire()


async def test_it_hears_that_the_server_is_ready_and_that_it_stops(manager: Manager) -> None:
    options = ServerOptions(
        engine="preview:",
        host="127.0.0.1",
        port=0,
        supervision=Supervision(address=manager.address),
    )
    serving = asyncio.create_task(serve(options))
    assert await manager.hears() == "READY=1"
    signal.raise_signal(signal.SIGTERM)
    assert await manager.hears() == "STOPPING=1"
    assert await serving == 0
    assert manager.heard() == []


async def test_while_it_serves_the_collector_leaves_alone_what_was_there_before(
    manager: Manager,
) -> None:
    supervision = Supervision(address=manager.address)
    options = ServerOptions(engine="preview:", host="127.0.0.1", port=0, supervision=supervision)
    serving = asyncio.create_task(serve(options))
    assert await manager.hears() == "READY=1"
    assert gc.get_freeze_count() > 10_000
    signal.raise_signal(signal.SIGTERM)
    await serving
    assert gc.get_freeze_count() == 0


async def test_it_gets_signs_of_life_until_only_a_restart_can_help(manager: Manager) -> None:
    sleep, alive = FakeSleep(), True
    systemd = Systemd(Supervision(address=manager.address, watchdog=30.0), sleep)
    async with systemd.watching(lambda: alive):
        for _ in range(3):
            assert await manager.hears() == "WATCHDOG=1"
            sleep.gate.release()
        assert await manager.hears() == "WATCHDOG=1"
        alive = False
        woken = len(sleep.asked)
        sleep.gate.release()
        while len(sleep.asked) == woken:
            await asyncio.sleep(0)
    assert manager.heard() == []
    assert set(sleep.asked) == {15.0}


async def test_its_socket_may_have_an_abstract_name(tmp_path: Path) -> None:
    manager = Manager(f"@{tmp_path}")
    Systemd(Supervision(address=manager.address)).tell("READY=1")
    assert manager.heard() == ["READY=1"]
    manager.socket.close()


async def test_without_a_watchdog_or_a_manager_nothing_is_sent(
    manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    for wanted in (Supervision(address=manager.address), Supervision(watchdog=0.001)):
        async with Systemd(wanted).watching(lambda: True):
            await asyncio.sleep(0)
    Systemd(Supervision()).tell("READY=1")
    assert manager.heard() == []
    assert caplog.messages == []


async def test_a_manager_that_is_gone_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Systemd(Supervision(address=str(tmp_path / "none"))).tell("READY=1")
    assert "systemd could not be told READY=1" in caplog.text


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, Supervision()),
        ({"NOTIFY_SOCKET": "/run/n"}, Supervision(address="/run/n")),
        ({"WATCHDOG_USEC": "30000000"}, Supervision(watchdog=30.0)),
        ({"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, Supervision()),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, Supervision(watchdog=2)),
    ],
)
def test_the_environment_says_what_systemd_wants(
    environ: dict[str, str], wanted: Supervision
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, environ)
    assert from_arguments(parser.parse_args([])).supervision == wanted


# ------------------------------------------------------------------ the unit


@pytest.mark.skipif(which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("qwen3-tts-live")
    text = UNIT.read_text()
    assert "/opt/qwen3-tts-live/bin/qwen3-tts-live " in text
    unit = tmp_path / UNIT.name.replace("@", "@0")
    unit.write_text(text.replace("/opt/qwen3-tts-live/bin/qwen3-tts-live", str(command)))
    verify = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
