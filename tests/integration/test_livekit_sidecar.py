"""One server for all the jobs of a host, started and ended with the worker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from livekit.agents import APIConnectOptions
from livekit.plugins import qwen3_tts

from livekit_parts import listen, say, until
from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError

PREVIEW = ("--engine", "preview:")


def servers(path: Path) -> list[int]:
    """The processes that serve, or watch who serves, at `path`."""
    found = psutil.process_iter(["cmdline"])
    return sorted(one.pid for one in found if str(path) in (one.info["cmdline"] or ()))


def test_the_first_caller_starts_a_server_that_others_use_and_that_ends_with_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"

    async def speak(address: str) -> None:
        options = APIConnectOptions(timeout=60)
        async with qwen3_tts.TTS(engine=address) as speaker:
            assert (await listen(say(speaker, "Hello.", conn_options=options))).seconds > 0.1

    with qwen3_tts.ensure_server(path, *PREVIEW) as address:
        assert address == f"unix:{path}"
        running = servers(path)
        with qwen3_tts.ensure_server(path, *PREVIEW) as other:
            assert other == address
            assert servers(path) == running
            asyncio.run(speak(other))
        asyncio.run(speak(address))  # who did not start it does not end it
    assert servers(path) == []
    assert not path.exists()


WORKER = """
import sys
from livekit.plugins import qwen3_tts
with qwen3_tts.ensure_server(sys.argv[1], "--engine", "preview:"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_server_does_not_outlive_a_worker_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    command = [sys.executable, "-c", WORKER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        assert servers(path)
        worker.kill()
    asyncio.run(until(lambda: not servers(path) and not path.exists()))


def test_a_server_that_cannot_start_is_said_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(BackendUnavailableError, match="ended with status"),
        qwen3_tts.ensure_server(tmp_path / "s", "--no-such-flag"),
    ):
        pass
    assert "--no-such-flag" in capfd.readouterr().err


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidRequestError, match="too long"),
        qwen3_tts.ensure_server(tmp_path / ("s" * 120)),
    ):
        pass
