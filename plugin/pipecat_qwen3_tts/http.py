"""`Qwen3HttpTTSService`: a sentence, a request. For evals, simple set-ups, and foreign clients.

Speaks the HTTP API of the server (`/tts/stream`, `/tts/interrupt`), and yields the audio from
`run_tts` itself. A sentence is asked for when the one before has arrived, and the words of a
reply are known by the sentence only: `Qwen3TTSService` is better in a conversation. Knows nothing
of the engine.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import numpy as np
from loguru import logger
from pipecat.frames.frames import Frame, TTSAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.tracing.service_decorators import traced_tts

from pipecat_qwen3_tts.settings import Qwen3TTSSettings
from pipecat_qwen3_tts.speech import OutputRate

__all__ = ["Qwen3HttpTTSService"]

# By the error's code in the answer; else by the status; else the server is to blame.
_BY_CODE = {
    "unknown_voice": ErrorCategory.INVALID_REQUEST,
    "unknown_language": ErrorCategory.INVALID_REQUEST,
    "backend_unavailable": ErrorCategory.CONNECTIVITY,
}
_BY_STATUS = {
    400: ErrorCategory.APPLICATION,  # of this text: the next may be better
    401: ErrorCategory.AUTHENTICATION,
    403: ErrorCategory.AUTHORIZATION,
    413: ErrorCategory.APPLICATION,
    429: ErrorCategory.RATE_LIMIT,
    503: ErrorCategory.RATE_LIMIT,
}
# Loading a model takes minutes; a queue in front of the engine, seconds.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)


class Qwen3HttpTTSService(TTSService):
    """Speaks through a server's HTTP API.

    Args:
        base_url: of the server.
        api_key: one of the server's keys, if it asks for one.
        aiohttp_session: to share connections; None for one of its own.
        settings: voice and language to begin with. The HTTP API takes no instruction.
        sample_rate: of the frames, in Hz; None for the pipeline's.
        **kwargs: for `TTSService`, such as `text_transforms`.
    """

    Settings = Qwen3TTSSettings
    _settings: Qwen3TTSSettings

    def __init__(
        self,
        *,
        base_url: str = "http://localhost:9000",
        api_key: str | None = None,
        aiohttp_session: aiohttp.ClientSession | None = None,
        settings: Qwen3TTSSettings | None = None,
        sample_rate: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            settings=Qwen3TTSSettings.complete(settings),
            sample_rate=sample_rate,
            push_start_frame=True,
            push_stop_frames=True,
            **kwargs,
        )
        self._base_url = base_url.rstrip("/")
        self._http = aiohttp_session
        self._owns_http = aiohttp_session is None
        # Nobody can guess it, and so nobody interrupt it.
        self._client_id = f"pipecat-{secrets.token_hex(8)}"
        # A balancer before several servers cannot look into bodies.
        self._headers = {"X-Client-Id": self._client_id}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._response: aiohttp.ClientResponse | None = None  # whose audio is being read
        self._interrupting: asyncio.Task[None] | None = None

    def can_generate_metrics(self) -> bool:
        """TTFB, TTFA, processing time and usage are measured."""
        return True

    # The base class, too, narrows what its own base accepts.
    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        """Make a connection pool, if none was given."""
        await super().setup(setup)
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def cleanup(self) -> None:
        """Close what was opened here. May be called twice."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        self._hang_up()
        await self._interrupted()
        if self._owns_http and self._http is not None:
            http, self._http = self._http, None
            await http.close()

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Ask for a sentence and yield its audio.

        Args:
            text: the sentence.
            context_id: the turn.

        Yields:
            Its audio as it comes; 20 ms of silence if it has none, because Pipecat would wait for
            audio, and take the third silent turn in a row for a broken service.
        """
        await self.start_tts_usage_metrics(text)
        await self._interrupted()
        silent = True
        try:
            async for frame in self._ask(text, context_id):
                if frame.audio:
                    silent = False
                    yield frame
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"no answer from {self._base_url}: {type(error).__name__}: {error}"
            await self.push_error(message, error, category=ErrorCategory.CONNECTIVITY)
        if silent:
            yield self._frame(bytes(2 * (self.sample_rate // 50)), context_id)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Close the request, and tell the server; does not wait for that."""
        self._hang_up()
        if self._interrupting is None:
            self._interrupting = self.create_task(self._interrupt(), "interrupt")
        await super().on_audio_context_interrupted(context_id)

    def _frame(self, audio: bytes, context_id: str) -> TTSAudioRawFrame:
        return TTSAudioRawFrame(audio, self.sample_rate, 1, context_id=context_id)

    async def _ask(self, text: str, context_id: str) -> AsyncGenerator[TTSAudioRawFrame, None]:
        assert self._http is not None, "speech before setup()"
        body = {"text": text, "client_id": self._client_id}
        body |= {"language": str(self._settings.language)} if self._settings.language else {}
        body |= {"voice": str(self._settings.voice)} if self._settings.voice else {}
        url = f"{self._base_url}/tts/stream"
        async with self._http.post(url, json=body, headers=self._headers) as response:
            if response.status != 200:
                await self._refused(response)
                return
            self._response = response
            output, odd = OutputRate(self.sample_rate), b""
            try:
                async for data in response.content.iter_any():
                    data = odd + data
                    whole = len(data) // 2 * 2
                    odd = data[whole:]
                    yield self._frame(output.push(np.frombuffer(data[:whole], "<i2")), context_id)
                yield self._frame(output.tail(), context_id)
            finally:
                self._response = None

    async def _refused(self, response: aiohttp.ClientResponse) -> None:
        """Report why the server will not speak."""
        code, message = "", f"{response.status} {response.reason}"
        if response.content_type == "application/json":
            error = (await response.json()).get("error", {})
            code, message = error.get("code", code), error.get("message", message)
        by_status = _BY_STATUS.get(response.status, ErrorCategory.SERVER)
        await self.push_error(message, category=_BY_CODE.get(code, by_status))

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    async def _interrupt(self) -> None:
        """Stop what the server does for this service."""
        if self._http is None:
            return
        url = f"{self._base_url}/tts/interrupt"
        query = {"client_id": self._client_id}
        try:
            async with self._http.post(url, params=query, headers=self._headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("{}: the server could not be interrupted: {}", self, error)

    async def _interrupted(self) -> None:
        """Wait until an interrupt has arrived: it must not hit what is asked for after it."""
        if self._interrupting is not None:
            await asyncio.wait([self._interrupting])
            self._interrupting = None
