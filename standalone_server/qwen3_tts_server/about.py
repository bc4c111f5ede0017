"""What the server says of itself: its state and its numbers, and the pages.

Knows nothing about how speech is made or asked for.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from qwen3_tts_live.errors import OverloadedError
from qwen3_tts_live.synthesizer import Synthesizer
from qwen3_tts_server.bodies import reply
from qwen3_tts_server.progress import DEAD, State
from qwen3_tts_server.streaming import Shared

__all__ = ["AboutApi", "Health", "Info", "Ready"]

_WEBUI = Path(str(importlib.resources.files("qwen3_tts_server"))) / "webui"


class Health(BaseModel):
    """What the server can do now."""

    status: State


class Ready(BaseModel):
    """It takes requests."""

    status: Literal["ready"] = "ready"
    model: str


class Info(BaseModel):
    """What speaks, and what it does now."""

    model: str
    sample_rate: Annotated[int, Field(description="Samples a second of `pcm` audio.")]
    languages: list[str]
    voices: Annotated[list[str], Field(description="The first one is the default.")]
    active: Annotated[int, Field(description="Requests that are being spoken.")]
    queued: Annotated[int, Field(description="Requests that wait.")]
    clients: Annotated[int, Field(description="Clients that the server remembers.")]


class AboutApi:
    """The routes.

    Args:
        shared: what all routes work with.
        state: returns the server's state.
    """

    def __init__(self, shared: Shared, state: Callable[[], State]) -> None:
        self._shared = shared
        self._state = state
        self._files = {path.name: path for path in _WEBUI.iterdir()}
        self.routes = [
            web.get("/health", self.health),
            web.get("/ready", self.ready),
            web.get("/info", self.info),
            web.get("/metrics", self.metrics),
            web.get("/docs", self.docs),
            web.get("/", self.index),
            web.get("/static/{name}", self.file),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """GET /health -> 200, or 503 once only a new process can help."""
        state = self._state()
        return reply(Health(status=state), 503 if state in DEAD else 200)

    async def ready(self, request: web.Request) -> web.Response:
        """GET /ready -> 200 when requests are taken, else 503."""
        state = self._state()
        if state != "ready":
            return reply(Health(status=state), 503)
        return reply(Ready(model=self._shared.synthesizer().info.model))

    async def info(self, request: web.Request) -> web.Response:
        """GET /info -> what speaks, and what it does now."""
        synthesizer = self._shared.synthesizer()
        info, status = synthesizer.info, synthesizer.status
        body = Info(
            model=info.model,
            sample_rate=info.sample_rate,
            languages=["Auto", *info.languages],
            voices=list(info.voices),
            active=status.active,
            queued=status.queued,
            clients=status.sessions,
        )
        return reply(body)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics -> Prometheus text."""
        text = self._shared.metrics.render(self._state(), self._opened())
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    def _opened(self) -> Synthesizer | None:
        try:
            return self._shared.synthesizer()
        except OverloadedError:  # the model is loading
            return None

    async def file(self, request: web.Request) -> web.FileResponse:
        """GET /static/NAME -> a file of the pages."""
        # Only what is in the folder's own list has a path: no name leads out of it.
        if (path := self._files.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        return web.FileResponse(path)

    async def docs(self, request: web.Request) -> web.FileResponse:
        """GET /docs -> a page that shows /openapi.json."""
        return web.FileResponse(self._files["docs.html"])

    async def index(self, request: web.Request) -> web.FileResponse:
        """GET / -> the WebUI."""
        return web.FileResponse(self._files["index.html"])
