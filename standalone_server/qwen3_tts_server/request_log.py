"""One log line a request: what, how it ended, how long it took. Never what was said, nor by whom."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from qwen3_tts_server.problems import REQUEST_ID

__all__ = ["log_request"]

logger = logging.getLogger(__name__)

# Asked every few seconds by machines: only for whoever asks for more.
_QUIET = frozenset({"/health", "/ready", "/metrics"})


@web.middleware
async def log_request(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log the request when it is over; goes before `problems.guard`."""
    started = time.monotonic()
    outcome = "left"
    try:
        response = await handler(request)
        outcome = str(response.status)
        return response
    finally:
        # The path without its query: that holds client ids.
        logger.log(
            logging.DEBUG if request.path in _QUIET else logging.INFO,
            "%s %s %s %.3f s request=%s",
            request.method,
            request.rel_url.raw_path[:200],
            outcome,
            time.monotonic() - started,
            request.get(REQUEST_ID, "-"),
        )
