"""A Unix socket to listen on, for clients on the same machine."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

__all__ = ["bind", "remove"]

# Seconds: whoever listens on the socket takes a connection at once, or is too busy to ask.
_PATIENCE = 1.0


def bind(path: Path) -> socket.socket:
    """Return a socket bound to `path`, which only our own user may connect to.

    What a server that did not end well has left at `path` is replaced.

    Raises:
        OSError: a server listens there, something else than a socket is there, or the path
            cannot be used.
    """
    if path.exists():
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "there is something that is not a socket", str(path))
        if _answers(path):
            raise OSError(errno.EADDRINUSE, "another server listens there", str(path))
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        # Nobody can connect before somebody listens, so there is no moment with a wider mode.
        path.chmod(0o600)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return bound


def remove(path: Path) -> None:
    """Remove the socket of a server that has stopped."""
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        return probe.connect_ex(os.fspath(path)) != errno.ECONNREFUSED
