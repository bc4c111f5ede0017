"""The application: its routes and its lifetime. Owns nothing of how speech is made."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from qwen3_tts_live import wire
from qwen3_tts_live.errors import OverloadedError
from qwen3_tts_live.synthesizer import Synthesizer
from qwen3_tts_server import unix_socket
from qwen3_tts_server.about import AboutApi
from qwen3_tts_server.access import Access
from qwen3_tts_server.deepgram_api import DeepgramApi
from qwen3_tts_server.lag import LoopLag
from qwen3_tts_server.lost_peers import notice_lost
from qwen3_tts_server.metrics import Metrics
from qwen3_tts_server.omni_api import OmniApi
from qwen3_tts_server.openai_api import OpenAiApi
from qwen3_tts_server.openapi import OpenApi
from qwen3_tts_server.options import ServerOptions
from qwen3_tts_server.problems import HttpLog, add_headers, guard
from qwen3_tts_server.progress import DEAD, Progress, State
from qwen3_tts_server.request_log import RequestLog
from qwen3_tts_server.speech import SpeechApi
from qwen3_tts_server.streaming import Shared, Streams
from qwen3_tts_server.text import TextApi
from qwen3_tts_server.voices import VoicesApi
from qwen3_tts_server.websocket import WebSocketApi

__all__ = ["Server"]


class Server:
    """The HTTP face of a synthesizer: it answers from `start()` on and speaks from `open()` on.

    Args:
        options: the server's settings.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._opened: Synthesizer | None = None
        self._options = options
        self._metrics = Metrics()
        self._progress = Progress()
        self._log = RequestLog(self._metrics, log_text=options.log_text)
        self.streams = Streams(options)
        shared = Shared(lambda: self._synthesizer, options, self._metrics, self._log, self.streams)
        self._speech = SpeechApi(shared)
        self._websocket = WebSocketApi(shared)
        self._others = [
            *OpenAiApi(shared).routes,
            *DeepgramApi(shared).routes,
            *OmniApi(shared).routes,
            *AboutApi(shared, self._state).routes,
            *OpenApi(options).routes,
        ]
        self._voices = VoicesApi(shared)
        self._runner: web.AppRunner | None = None
        self.app = self._build()

    def _build(self) -> web.Application:
        # A character of text takes at most 12 bytes of JSON (an escaped surrogate pair).
        body_limit = 12 * self._options.max_text + 4096
        access = Access(self._options)
        lost = notice_lost(self._options.write_timeout)
        app = web.Application(
            middlewares=[lost, self._log.middleware, guard, access.check],
            client_max_size=body_limit,
        )
        app.on_response_prepare.extend([add_headers, access.add_headers])
        app.cleanup_ctx.append(self._websocket.watching)
        app.cleanup_ctx.append(LoopLag(self._metrics.lag.observe).watching)
        app.add_routes(
            [
                web.post("/tts/stream", self._speech.stream),
                web.post("/tts/interrupt", self._speech.interrupt),
                web.get(wire.PATH, self._websocket.serve),
                web.post("/tts/text", TextApi(self._options).show),
                *self._others,
                *self._voices.routes,
            ]
        )
        return app

    # ------------------------------------------------------------ lifetime

    async def start(self) -> int:
        """Listen; return the port, 0 if there is none.

        Raises:
            OSError: the address is taken or not ours.
        """
        # Without handler_cancellation a client that leaves while it is queued is never noticed.
        self._runner = web.AppRunner(
            self.app,
            handler_cancellation=True,
            auto_decompress=False,  # `Access` refuses compressed bodies
            access_log=None,
            logger=HttpLog(logging.getLogger("aiohttp.server")),
            shutdown_timeout=1.0,
            keepalive_timeout=self._options.keepalive_timeout,
        )
        await self._runner.setup()
        try:
            return await self._listen(self._runner)
        except BaseException:
            await self._runner.cleanup()
            raise

    async def _listen(self, runner: web.AppRunner) -> int:
        options, port = self._options, 0
        if options.port is not None:
            await web.TCPSite(runner, options.host, options.port).start()
            port = int(runner.addresses[0][1])
        if options.unix is not None:
            await web.SockSite(runner, unix_socket.bind(options.unix)).start()
        return port

    def open(self, synthesizer: Synthesizer) -> None:
        """Speak with `synthesizer` from now on; it stays its opener's to close."""
        self._opened = synthesizer

    async def stop(self) -> None:
        """Refuse new requests, let running ones end within the drain time, then cut the rest."""
        self.streams.draining = True
        try:
            async with asyncio.timeout(self._options.drain_timeout):
                await asyncio.gather(self._websocket.drain(), self.streams.drained())
        except TimeoutError:
            self.streams.cut_all()
            await self._websocket.cut_all()
        await self.streams.close_sockets()
        if self._runner is not None:
            await self._runner.cleanup()
            if self._options.unix is not None:
                unix_socket.remove(self._options.unix)

    @property
    def _synthesizer(self) -> Synthesizer:
        if self._opened is None:
            raise OverloadedError("the model is loading; /ready says when", retry_after=5.0)
        return self._opened

    def alive(self) -> bool:
        """Return False once only a new process can help: the engine has died, or stands still."""
        return self._state() not in DEAD

    def _state(self) -> State:
        if self.streams.draining:
            return "draining"
        if self._opened is None:
            return "loading"
        return self._progress.state(self._opened.status.engine)
