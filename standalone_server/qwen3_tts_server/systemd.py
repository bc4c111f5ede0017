"""What systemd is told of the server: that it is ready, alive, stopping. Knows nothing about speech.

The protocol is sd_notify(3): datagrams to a socket that the service manager names. Where there is
no systemd there is no socket, and nothing is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Supervision", "Systemd"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What systemd wants to be told.

    Attributes:
        address: of its socket; None: nothing.
        watchdog: seconds without a sign of life after which it ends the server; None: never.
    """

    address: str | None = None
    watchdog: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Supervision:
        """Return what the environment says, as far as it is meant for this process."""
        period = environ.get("WATCHDOG_USEC")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog = int(period) / 1e6 if period and ours else None
        return cls(address=environ.get("NOTIFY_SOCKET") or None, watchdog=watchdog)


class Systemd:
    """The service manager, as far as it listens.

    Args:
        wanted: what it wants to be told.
        sleep: waits so many seconds.
    """

    def __init__(
        self, wanted: Supervision, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._wanted = wanted
        self._sleep = sleep

    def tell(self, state: str) -> None:
        """Send a state, such as `READY=1`. A manager that does not listen is only logged."""
        address = self._wanted.address
        if address is None:
            return
        if address.startswith("@"):  # Linux's abstract names begin with a zero byte
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
                speaking.setblocking(False)
                speaking.sendto(state.encode(), address)
        except OSError as error:
            logger.warning("systemd could not be told %s: %s", state, error)

    @asynccontextmanager
    async def watching(self, alive: Callable[[], bool]) -> AsyncIterator[None]:
        """Give signs of life for as long as `alive()` says so; without a watchdog: none."""
        watch = asyncio.create_task(self._watch(alive), name="systemd-watchdog")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])

    async def _watch(self, alive: Callable[[], bool]) -> None:
        while self._wanted.watchdog is not None:
            if alive():
                self.tell("WATCHDOG=1")
            await self._sleep(self._wanted.watchdog / 2)
