"""Noticing clients that are gone without a word: no power, no network, a NAT that forgot them.

They send neither FIN nor RST, so a request that waits in a queue, and writes nothing, would wait for
nobody until its turn; and what was sent to them would be sent again for a quarter of an hour. Only
the kernel can ask whether they are there. Knows nothing about what they want.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Middleware

__all__ = ["kernel_options", "notice_lost"]


def kernel_options(seconds: float) -> Mapping[str, int]:
    """Return the TCP options, by name, with which a lost peer is noticed after `seconds`.

    Linux takes the last: it ends a connection whose peer has acknowledged nothing, or left no room
    to send anything, for that long. Elsewhere the others come to the same time.
    """
    # The first question after a third of the time: later, one lost packet would be a lost client;
    # much earlier, phones would be kept awake by it. The kernel counts in whole seconds.
    return {
        "TCP_KEEPIDLE": max(1, round(seconds / 3)),
        "TCP_KEEPINTVL": max(1, round(seconds / 6)),
        "TCP_KEEPCNT": 4,
        "TCP_USER_TIMEOUT": round(1000 * seconds),
    }


def notice_lost(seconds: float) -> Middleware:
    """Return a middleware that has the client's connection end when the client is lost.

    It goes before all others. aiohttp has asked for keepalive already, but at the system's pace: after two hours. A connection
    that has not asked for anything is closed by `--keepalive-timeout`.
    """
    options = kernel_options(seconds)

    @web.middleware
    async def watched(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.transport is not None:
            _set(request.transport, options)
        try:
            return await handler(request)
        except ConnectionError:
            # It left, or reads no more. aiohttp would log a traceback for every such client, and
            # close only when all is sent, which for one that does not read is never.
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)  # which nobody gets

    return watched


def _set(transport: asyncio.Transport, options: Mapping[str, int]) -> None:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for name, value in options.items():
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
