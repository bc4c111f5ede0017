"""One server for all the jobs of a host: on a Unix socket, started with the worker, ended with it.

LiveKit runs each job in a process of its own, and a model in each of them does not fit. Knows how
the server is started and asked whether it is ready; knows nothing of what it does.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError

__all__ = ["ensure_server"]

_WATCH = Path(__file__).with_name("watch.py")
_PROBE_SECONDS = 1.0
_PROBE_EVERY = 0.1


@contextmanager
def ensure_server(path: str | Path, *flags: str, timeout: float = 600.0) -> Iterator[str]:
    """See that a server listens at `path`; the block is entered when it is ready to speak.

        with ensure_server("/run/user/1000/tts.sock", "--model-path", "Qwen/..."):
            cli.run_app(server)

    The first caller on a host starts `qwen3-tts-live serve --unix PATH FLAGS...`, and that ends
    with the block or with the process, whatever ends it. Others use it as long as it is there; a
    server that several workers depend on is the host's process manager's to run.
    Call it in the worker's main process: not at import, and not in a job.

    Args:
        path: the socket, in a folder that only the right users may write to.
        flags: more flags for `serve`.
        timeout: seconds that the server may take until it is ready; a first start may have to
            download a checkpoint.

    Yields:
        The address for `TTS(engine=...)`: `unix:PATH`.

    Raises:
        BackendUnavailableError: it ended, or was not ready in time.
        InvalidRequestError: there are no Unix sockets on this system, or the path is too long.
    """
    path = Path(path).absolute()
    _check(path)
    command = [sys.executable, "-m", "qwen3_tts_live", "serve", "--unix", str(path), *flags]
    ends_at = time.monotonic() + timeout
    # Whoever holds the lock starts the server; the watcher inherits it, and holds it to its end.
    with open(path.with_name(path.name + ".lock"), "ab") as lock:
        watcher: subprocess.Popen[bytes] | None = None
        try:
            while not _ready(path):
                if watcher is None and _locked(lock):
                    watcher = _start(command, lock)
                if watcher is not None and watcher.poll() is not None:
                    raise BackendUnavailableError(
                        f"the server ended with status {watcher.returncode}; what it wrote says why"
                    )
                if time.monotonic() > ends_at:
                    raise BackendUnavailableError(f"no server was ready at {path} in {timeout:g} s")
                time.sleep(_PROBE_EVERY)
            yield f"unix:{path}"
        finally:
            if watcher is not None:
                _end(watcher)


def _check(path: Path) -> None:
    if not hasattr(socket, "AF_UNIX"):
        raise InvalidRequestError("there are no Unix sockets here; start a server on a port")
    if len(str(path).encode()) > 100:  # the smallest limit of a system is 104
        raise InvalidRequestError(f"{path} is too long for a socket; choose a shorter path")


def _locked(lock: BinaryIO) -> bool:
    """Return whether we hold the lock now."""
    import fcntl  # not on Windows, where `_check` has said so

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(command: list[str], lock: BinaryIO) -> subprocess.Popen[bytes]:
    # Nobody writes to the pipe. That it is closed, by us or by our end, is the message.
    # A session of its own, so that Ctrl-C does not end it while the worker still drains its jobs.
    return subprocess.Popen(
        [sys.executable, "-I", str(_WATCH), *command],
        stdin=subprocess.PIPE,
        pass_fds=[lock.fileno()],
        start_new_session=True,
    )


def _end(watcher: subprocess.Popen[bytes]) -> None:
    assert watcher.stdin is not None
    watcher.stdin.close()
    watcher.wait()


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PROBE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PROBE_SECONDS)
        self.sock.connect(str(self._path))


def _ready(path: Path) -> bool:
    connection = _Connection(path)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
