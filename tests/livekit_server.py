"""A livekit-server for the tests: finds one, or builds one where Go is at hand; runs it.

As a program it does the first half, so that a test need not wait for the build:
`python3 tests/livekit_server.py`. That is why it needs nothing but the standard library.
It knows nothing of agents and rooms.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

# `go install` refuses a version whose go.mod has a `replace`, as those of 1.13.0 and 1.13.1.
VERSION = "1.13.5"
MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"

API_KEY, API_SECRET = "devkey", "a secret that is long enough for its hash"


class Unavailable(Exception):
    """There is no livekit-server here; the message says why, and how to get one."""


def find_or_build() -> Path:
    """Return the program: $LIVEKIT_SERVER, the one on the PATH, ours, or a new one.

    Raises:
        Unavailable: there is none, and none can be built.
    """
    if named := os.environ.get("LIVEKIT_SERVER") or shutil.which("livekit-server"):
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "qwen3-tts-live" / "bin" / f"livekit-server-{VERSION}"
    if not program.exists():
        build(program)
    return program


def build(program: Path) -> None:
    """Build the server with Go: 2 to 3 minutes on two cores."""
    go = shutil.which("go")
    if go is None:
        raise Unavailable(
            "no livekit-server: put one on the PATH, name it in LIVEKIT_SERVER, or install Go"
        )
    program.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that two builds at once do not see each other's half.
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        done = subprocess.run(
            [go, "install", MODULE],
            env={**os.environ, "GOBIN": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Unavailable(f"go could not build a livekit-server:\n{done.stderr.strip()}")
        (Path(folder) / "server").replace(program)


def free_port(kind: socket.SocketKind) -> int:
    """Return a port of the loopback that nobody uses at the moment."""
    with closing(socket.socket(socket.AF_INET, kind)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(program: Path, log: Path) -> Iterator[str]:
    """Run a server on the loopback and yield its URL."""
    port, rtc_tcp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    config = (
        f"port: {port}\n"
        f"rtc: {{tcp_port: {rtc_tcp}, udp_port: {free_port(socket.SOCK_DGRAM)}}}\n"
        f"keys: {{{API_KEY}: {API_SECRET}}}\n"
    )
    command = [str(program), "--dev", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--config-body", config], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            await_port(server, port, log)
            yield f"ws://127.0.0.1:{port}"
        finally:
            server.kill()  # it keeps nothing, and its graceful end waits for its clients
            server.wait()


def await_port(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the livekit-server did not come up:\n{log.read_text()[-2000:]}")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find_or_build()}\n")
    except Unavailable as reason:
        sys.exit(str(reason))
