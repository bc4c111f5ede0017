"""Who may ask: keys, sites, host names, content types, rates, and how long a body may take.

One middleware in front of every route, HTTP and WebSocket alike, so a new route is safe without a
line of its own. What a route has to do itself is to name its sessions with `session_id()`, so that
two keys never meet in one session. Knows nothing about speech.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.problems import Refused

__all__ = ["CALLER", "Access", "RateLimit", "check_upgrade", "key_subprotocol", "session_id"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Who asks: a name made from the key, or empty without keys.
CALLER = web.RequestKey("caller", str)

# What a browser loads before it can ask its user for a key, and what orchestrators probe.
_OPEN = frozenset({"/", "/docs", "/favicon.ico", "/health", "/openapi.json", "/ready"})
_PROBES = frozenset({"/health", "/ready"})
# Stopping must work for a client that has just been refused.
_NEVER_LIMITED = frozenset({"/tts/interrupt"})
# Routes that take files; every other body is JSON.
_UPLOADS = frozenset({"/tts/voices", "/v1/audio/voices"})
_CHANGING = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE})

#: A browser cannot set headers of a WebSocket: it offers the key as a subprotocol of this form.
KEY_SUBPROTOCOL = "api-key."

_CORS_HEADERS = "Authorization, Content-Type, X-API-Key, X-Client-Id, X-Request-Id"
_CORS_EXPOSED = "Retry-After, X-Audio-Format, X-Queue-Position, X-Request-Id"


def session_id(request: web.Request, client_id: str) -> str:
    """Return the name of a client's session: with keys, each key has clients of its own."""
    caller = request.get(CALLER, "")
    return f"{caller}/{client_id}" if caller else client_id


def check_upgrade(request: web.Request) -> None:
    """Do nothing, if the request opens a WebSocket.

    Raises:
        Refused: it does not; say so rather than which header is missing.
    """
    if not _is_upgrade(request):
        message = f"{request.path} is a WebSocket: connect to it with ws:// or wss://"
        raise Refused(426, "upgrade_required", message, headers={hdrs.UPGRADE: "websocket"})


def key_subprotocol(key: str) -> str:
    """Return the subprotocol that a browser offers, beside the real one, to send its key."""
    return KEY_SUBPROTOCOL + key


class RateLimit:
    """At most so many requests a minute for each name, a whole minute's at once if need be.

    Args:
        per_minute: how many; above 0.
        clock: seconds, rising.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._cost = 60.0 / per_minute
        self._clock = clock
        # When each name has its whole allowance again; least recently used first.
        self._full_at: dict[str, float] = {}

    def take(self, name: str) -> float:
        """Take one request of `name`; return 0, or in how many seconds there is one again."""
        now = self._clock()
        while self._full_at and self._full_at[oldest := next(iter(self._full_at))] <= now:
            del self._full_at[oldest]
        before = self._full_at.pop(name, now)
        full_at = max(before, now) + self._cost
        # Rounding must not refuse the last of a minute's.
        over = full_at - now - 60.0 - 1e-6
        self._full_at[name] = before if over > 0 else full_at
        return max(0.0, over)

    def __len__(self) -> int:
        return len(self._full_at)


class Access:
    """The middleware; `problems.guard` goes before it and turns what it raises into answers.

    Args:
        options: the server's settings.
        clock: seconds, rising; for the rate limit.
    """

    def __init__(self, options: ServerOptions, clock: Callable[[], float] = time.monotonic) -> None:
        # Digests, so that comparing takes the same time for keys of any length.
        self._keys = tuple(_digest(key) for key in options.api_keys)
        self._origins = frozenset(options.cors_origins)
        self._hosts = frozenset(host.lower() for host in options.allowed_hosts)
        self._read_timeout = options.read_timeout
        self._rate = RateLimit(options.rate_limit, clock) if options.rate_limit else None

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through to its handler, or raise `problems.Refused`."""
        self._check_host(request)
        origin = request.headers.get(hdrs.ORIGIN, "")
        if request.method == hdrs.METH_OPTIONS and origin in self._origins:
            return web.Response(status=204)  # the question of a browser; `add_headers` answers
        acts = request.method in _CHANGING or _is_upgrade(request)
        if acts:
            self._check_site(request, origin)
        caller = self._caller(request)
        if acts:
            self._check_rate(request, caller)
        if caller is None and not _is_open(request):
            message = "send one of the server's keys: Authorization: Bearer KEY"
            raise Refused(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
        request[CALLER] = caller or ""
        if acts and request.body_exists:
            await self._read(request)
        return await handler(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell browsers whether a page of another origin may read the response."""
        if not self._origins:
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin not in self._origins:
            return
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _CORS_EXPOSED
        if request.method == hdrs.METH_OPTIONS:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, DELETE"
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _CORS_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"

    # ------------------------------------------------------------ the checks, in their order

    def _check_host(self, request: web.Request) -> None:
        # A name that an attacker controls can be pointed at this machine (DNS rebinding): then
        # the browser takes the attacker's page and this server for one site.
        if not self._hosts or request.path in _PROBES:
            return
        name = urlsplit(f"//{request.host}").hostname or ""
        if name.lower() not in self._hosts:
            raise Refused(421, "unknown_host", f"this server is not {name[:80]!r}; --allowed-host")

    def _check_site(self, request: web.Request, origin: str) -> None:
        # A page of any site may send a POST or open a WebSocket without asking; its browser says
        # whose page it is, and a page cannot change that. Programs send neither header.
        site = request.headers.get("Sec-Fetch-Site", "")
        if origin in self._origins or site == "same-origin":
            return
        if origin and _netloc(origin) != _netloc(f"//{request.host}", urlsplit(origin).scheme):
            raise Refused(403, "cross_site", f"pages of {origin[:80]} are refused; --cors-origin")
        if not origin and site in ("cross-site", "same-site"):
            raise Refused(403, "cross_site", "requests from pages of other sites are refused")

    def _caller(self, request: web.Request) -> str | None:
        """Return who asks; None if the server has keys and was given none of them."""
        if not self._keys:
            return ""
        given = _digest(_given_key(request))
        # Every key is compared, so that the time says nothing about which is nearly right.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return given.hex()[:12] if any(matches) else None

    def _check_rate(self, request: web.Request, caller: str | None) -> None:
        if self._rate is None or request.path in _NEVER_LIMITED:
            return
        wait = self._rate.take(caller or _address(request.remote))
        if wait:
            message = f"too many requests; come back in {wait:.1f} s"
            raise Refused(429, "rate_limited", message, retryable=True, retry_after=wait)

    async def _read(self, request: web.Request) -> None:
        """Read a JSON body now, so that no client holds a handler by sending it slowly."""
        wanted = "multipart/form-data" if request.path in _UPLOADS else "application/json"
        if request.content_type != wanted:
            raise Refused(415, "content_type", f"send content-type: {wanted}")
        if hdrs.CONTENT_ENCODING in request.headers:  # a kilobyte can hold a megabyte
            raise Refused(415, "content_encoding", "send the body as it is, not compressed")
        if request.path in _UPLOADS:
            return  # its handler reads it piece by piece
        try:
            async with asyncio.timeout(self._read_timeout):
                await request.read()  # it keeps the body for the handler
        except TimeoutError as error:
            message = f"the body took more than {self._read_timeout:g} s"
            raise Refused(408, "slow_body", message, retryable=True) from error


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _given_key(request: web.Request) -> str:
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() in ("bearer", "token", "api-key"):  # OpenAI, Deepgram, Baseten
        return key.strip()
    if "X-API-Key" in request.headers:
        return request.headers["X-API-Key"]
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = [protocol.strip() for protocol in offered.split(",")]
    if protocols[0].lower() == "token":  # Deepgram's way: "token, KEY"
        return protocols[-1]
    found = (p.removeprefix(KEY_SUBPROTOCOL) for p in protocols if p.startswith(KEY_SUBPROTOCOL))
    return next(found, "")


def _is_open(request: web.Request) -> bool:
    return request.method in (hdrs.METH_GET, hdrs.METH_HEAD) and (
        request.path in _OPEN or request.path.startswith("/static/")
    )


def _is_upgrade(request: web.Request) -> bool:
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


def _netloc(url: str, scheme: str = "") -> tuple[str, int] | None:
    """Return host and port; None for what has none, as `null` of a sandboxed page."""
    parts = urlsplit(url, scheme)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:  # no number
        return None
    return (parts.hostname, port) if parts.hostname else None


def _address(remote: str | None) -> str:
    """Return what counts as one peer: an IPv4 address, or the /64 that one line usually gets."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:  # a Unix socket
        return "local"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
