"""Every request has an id and one log line, and so has every utterance on a WebSocket.

The line says what, how it ended and how long it took. Never what was said (unless `--log-text` asks
for it), nor by whom.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from qwen3_tts_server.accounts import ACCOUNT, Account
from qwen3_tts_server.logs import named
from qwen3_tts_server.metrics import Metrics
from qwen3_tts_server.problems import PROBLEM, REQUEST_ID

__all__ = ["RequestLog"]

logger = logging.getLogger(__name__)

# Asked every few seconds by machines, or by the dozen with one page: only for whoever asks for more.
_QUIET = ("/health", "/ready", "/metrics", "/static/")
# What proxies and tracing libraries make; anything else could forge a line of a log.
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestLog:
    """Names requests, and tells the log what became of them.

    Args:
        metrics: where to count refusals.
        log_text: tell what was said, too.
    """

    def __init__(self, metrics: Metrics, *, log_text: bool = False) -> None:
        self._metrics = metrics
        self._log_text = log_text

    def account(self, request: web.Request) -> Account:
        """Return the account of a request that speaks; its line is the request's."""
        account = Account(self._metrics, request[REQUEST_ID], log_text=self._log_text)
        request[ACCOUNT] = account
        return account

    def utterance(self, request: web.Request, number: int) -> Account:
        """Return the account of an utterance on the WebSocket that `request` opened."""

        def told(account: Account) -> None:
            _log(logging.INFO, request, "WS", account.request_id, account.seconds, account.fields)

        name = f"{request[REQUEST_ID]}-{number}"
        return Account(self._metrics, name, log_text=self._log_text, told=told)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Name the request and log it when it is over; goes before `problems.guard`."""
        started = time.monotonic()
        given = request.headers.get("X-Request-Id", "")
        name = given if _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)
        request[REQUEST_ID] = name
        response: web.StreamResponse | None = None
        with named(name):
            try:
                response = await handler(request)
                return response
            finally:
                fields = self._fields(request, response)
                level = logging.DEBUG if request.path.startswith(_QUIET) else logging.INFO
                seconds = time.monotonic() - started
                _log(level, request, request.method, name, seconds, fields)

    def _fields(
        self, request: web.Request, response: web.StreamResponse | None
    ) -> Mapping[str, object]:
        code = request.get(PROBLEM, "")
        account = request.get(ACCOUNT)
        if account is not None:
            account.ended(_unanswered(response), code)
        elif code and response is not None and response.status != 500:
            self._metrics.refused(code)
        fields: dict[str, object] = {"outcome": "left"} if response is None else {}
        if response is not None:
            fields["status"] = response.status
        if code:
            fields["code"] = code
        return fields | ({} if account is None else account.fields)


def _unanswered(response: web.StreamResponse | None) -> str:
    """Return what became of a request for speech that never began to speak."""
    if response is None:
        return "left"
    return "failed" if response.status == 500 else "refused"


def _log(
    level: int,
    request: web.Request,
    method: str,
    name: str,
    seconds: float,
    fields: Mapping[str, object],
) -> None:
    path = request.rel_url.raw_path[:200]  # without its query: that holds client ids
    about = {"method": method, "path": path, "seconds": round(seconds, 4)} | dict(fields)
    ended = fields.get("status") or fields["outcome"]
    line = ("%s %s %s %.3f s request=%s", method, path, ended, seconds, name)
    logger.log(level, *line, extra={"fields": about, "request_id": name})
