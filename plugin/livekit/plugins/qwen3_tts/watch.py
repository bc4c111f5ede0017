"""A program: runs a command, and ends it when its own standard input ends.

A child does not notice by itself that its parent was killed; this one reads from a pipe that only
its parent holds. It is run as a file and imports nothing of ours, to be small.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

# Seconds: after a worker's end nobody listens, so there is nothing that has to be spoken to its end.
_PATIENCE = 10.0


def main(command: list[str]) -> int:
    """Run `command` and return its exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())

    def follow() -> None:
        sys.stdin.buffer.read()
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=follow, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
