"""Peers that are gone without a word: no FIN, no RST, as when a machine loses its power."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import half_open
from fakes import ScriptedBackend
from qwen3_tts_live import wire
from qwen3_tts_server.lost_peers import kernel_options
from serving import Running, Start


def options_of_the_only_connection(running: Running) -> dict[str, int]:
    """What the kernel says about the server's end."""
    runner = running.server._runner
    assert runner is not None and runner.server is not None
    (connection,) = runner.server.connections
    assert connection.transport is not None
    end = connection.transport.get_extra_info("socket")
    assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    return {
        name: end.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in kernel_options(1.0)
        if hasattr(socket, name)
    }


@pytest.mark.parametrize("path", ["/tts/stream", "/ready", wire.PATH, "/v1/speak"])
async def test_the_kernel_looks_after_every_connection_before_anything_is_sent(
    start: Start, path: str
) -> None:
    running = await start(ScriptedBackend(free=False))
    asking = None
    if path == "/tts/stream":
        asking = asyncio.create_task(running.speak("nothing of this comes"))
        await running.until(lambda: bool(running.backend.running))
    elif path == "/ready":
        await (await running.client.get(path)).read()
    else:
        socket = await running.client.ws_connect(path, protocols=[wire.SUBPROTOCOL])
        await socket.receive()
    found = options_of_the_only_connection(running)
    if asking is not None:
        asking.cancel()
    assert found == {name: kernel_options(60.0)[name] for name in found}
    assert found  # some are there on every system that we know


def test_a_lost_peer_is_noticed_in_the_time_that_is_given_on_every_system() -> None:
    for seconds in (60.0, 30.0, 6.0):
        given = kernel_options(seconds)
        asked = given["TCP_KEEPIDLE"] + given["TCP_KEEPINTVL"] * given["TCP_KEEPCNT"]
        assert asked == pytest.approx(seconds, abs=1.0)
        assert given["TCP_USER_TIMEOUT"] == 1000 * seconds


ALONE = ("unshare", "--user", "--map-root-user", "--net")


def test_when_the_network_is_gone_the_server_lets_go_of_all_who_used_it_and_of_nobody_else() -> (
    None
):
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"]).returncode:
        pytest.skip("needs Linux, and leave to make a network namespace")
    done = subprocess.run(
        [*ALONE, sys.executable, half_open.__file__],
        capture_output=True,
        check=True,
        cwd=Path(half_open.__file__).parent,
    )
    let_go = json.loads(done.stdout)
    assert let_go.pop("lost for the client on the Unix socket") == 0
    assert set(let_go) == {
        "nothing was sent yet",
        "queued",
        "playing",
        "from our client",
        "WebSockets of ours",
        "WebSocket of Deepgram's",
        "every connection",
        "our client's error",
        "our client closed",
        "our client that hangs up at once",
    }
