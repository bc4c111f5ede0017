"""A server with a streaming /v1/audio/speech as a backend: vLLM-Omni, SGLang-Omni, OpenAI, ours.

One request a segment; closing the connection is what stops it. The server sees one segment after
another: sessions, queues and interrupts stay on this side.

    openai+http://HOST/v1?model=NAME&voice=NAME

Both settings are optional where the server lists one model and its voices.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit, urlunsplit

import aiohttp

from qwen3_tts_live.backend import BackendEvent, Pcm, Segment
from qwen3_tts_live.backends.openai_stream import decoder_for
from qwen3_tts_live.errors import (
    GIVE_A_KEY,
    AuthenticationError,
    BackendCrashedError,
    BackendError,
    BackendUnavailableError,
    ClosedError,
    ConnectionLostError,
    InvalidRequestError,
    OverloadedError,
    SpeechError,
)
from qwen3_tts_live.text.languages import LANGUAGES

__all__ = ["OpenAiSpeechBackend", "Patience"]

_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)
# What waits here for a session that has enough: this and as much again, about 0.7 s of PCM. The
# rest waits in the server, which parks its work.
_READ_BUFFER = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        connect: for a connection.
        first_byte: for the beginning of an answer; a server that is busy lets us queue.
        gap: for the next piece of one that has begun.
    """

    connect: float = 5.0
    first_byte: float = 30.0
    gap: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """What is known of it. `lists_voices`: it is one of the kin, which take a language too."""

    url: str
    model: str | None
    voices: tuple[str, ...]
    lists_voices: bool


class OpenAiSpeechBackend:
    """The backend.

    Args:
        server: what was found out about the server.
        client: with its address and key; closed with the backend.
        patience: how long to wait.

    Use `OpenAiSpeechBackend.open()`, which asks the server what it has.
    """

    languages = tuple(LANGUAGES)  # no server says which it speaks, and Qwen3-TTS speaks these

    def __init__(self, server: _Server, client: aiohttp.ClientSession, patience: Patience) -> None:
        self.name = server.model or urlsplit(server.url).netloc
        self.voices = server.voices
        self._server = server
        self._client = client
        self._patience = patience

    @classmethod
    async def open(
        cls, address: str, *, api_key: str | None = None, patience: Patience | None = None
    ) -> OpenAiSpeechBackend:
        """Ask the server at `address` for its model and voices, and return its backend.

        Args:
            address: as in the module's docstring.
            api_key: sent as a bearer token, where the server asks for one.
            patience: how long to wait.

        Raises:
            AuthenticationError: the server wants a key, and not this one.
            InvalidRequestError: the address makes no sense, or names none of several models.
            BackendUnavailableError: the server cannot be reached, or has no such API.
            OverloadedError: it is loading or stopping.
        """
        url, model, voice = _parse(address)
        headers = {"Accept-Encoding": "identity"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        patience = patience or Patience()
        client = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0),  # as many requests as there are sessions
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=patience.connect),
            read_bufsize=_READ_BUFFER,
        )
        try:
            async with asyncio.timeout(patience.connect + patience.gap):
                models = await _listed(client, f"{url}/models", "data")
                voices = await _listed(client, f"{url}/audio/voices", "voices", "uploaded_voices")
            model = model or _only(models)
        except BaseException as error:
            await client.close()
            if isinstance(error, _ERRORS):
                raise _lost(url, error) from error
            raise
        server = _Server(
            url=url,
            model=model,
            voices=tuple(dict.fromkeys([*([voice] if voice else []), *(voices or [])])),
            lists_voices=voices is not None,
        )
        return cls(server, client, patience)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Speak `segment`; see `backend.Backend`."""
        if self._client.closed:
            raise ClosedError(f"the connection to {self._server.url} was closed")
        patience = self._patience
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(patience.first_byte):
                response = await self._ask(segment)
                data = await response.content.readany()
            decoder = decoder_for(response.headers.get("Content-Type", ""), response.headers)
            while data:
                for samples in decoder.push(data):
                    yield Pcm(samples)
                async with asyncio.timeout(patience.gap):
                    data = await response.content.readany()
            for samples in decoder.end():
                yield Pcm(samples)
        except _ERRORS as error:
            if response is None:
                raise _lost(self._server.url, error) from error
            raise BackendCrashedError(f"{self._server.url} broke off: {_why(error)}") from error
        finally:
            if response is not None:
                response.release()  # closes the connection, unless all of the answer was read

    async def _ask(self, segment: Segment) -> aiohttp.ClientResponse:
        url = f"{self._server.url}/audio/speech"
        response = await self._client.post(url, json=self._body(segment), allow_redirects=False)
        if response.status != 200:
            async with response:
                raise await _refusal(response)
        return response

    def _body(self, segment: Segment) -> dict[str, object]:
        voice = segment.voice or next(iter(self.voices), None)
        wanted: dict[str, object | None] = {
            "model": self._server.model,
            "input": segment.text,
            "voice": voice,
            "instructions": segment.instruct,
            "response_format": "pcm",
            "stream_format": "audio",
        }
        if self._server.lists_voices:  # OpenAI's own server refuses what it does not know
            wanted |= {"language": segment.language, "seed": segment.seed, "stream": True}
        return {name: value for name, value in wanted.items() if value is not None}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def _parse(address: str) -> tuple[str, str | None, str | None]:
    """Return the base URL, the model and the voice that an address names."""
    parts = urlsplit(address.removeprefix("openai+"))
    try:
        port = parts.port
    except ValueError as error:
        raise InvalidRequestError(f"{address[:80]!r}: {error}") from error
    settings = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if not parts.hostname or port == 0 or settings.keys() - {"model", "voice"}:
        raise InvalidRequestError(
            f"{address[:80]!r} is no address; write openai+http://HOST/v1?model=NAME&voice=NAME"
        )
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return url, settings.get("model"), settings.get("voice")


async def _listed(client: aiohttp.ClientSession, url: str, *keys: str) -> list[str] | None:
    """Return the names that a server lists under `keys`; None if it has no such list."""
    async with client.get(url, allow_redirects=False) as response:
        if response.status in (404, 405, 501):
            return None
        if response.status != 200:
            raise await _refusal(response)
        try:
            body = json.loads(await response.read())
            found = [_name(entry) for key in keys for entry in body.get(key) or ()]
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise BackendUnavailableError(f"{url} answers with something else: {error}") from error
    return [name for name in found if name]


def _name(entry: object) -> str:
    if isinstance(entry, dict):
        entry = entry.get("id") or entry.get("name")
    return entry if isinstance(entry, str) else ""


def _only(models: list[str] | None) -> str | None:
    """Return the one model that there is to choose; None where the server has no list."""
    if models and len(set(models)) > 1:
        raise InvalidRequestError(
            f"the server has {len(models)} models, such as {models[0]}; add ?model=NAME to the address"
        )
    return models[0] if models else None


def _lost(url: str, error: BaseException) -> ConnectionLostError:
    return ConnectionLostError(f"{url} cannot be reached: {_why(error)}")


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return str(error) or type(error).__name__


async def _refusal(response: aiohttp.ClientResponse) -> SpeechError:
    """Return the error that an answer without speech stands for."""
    status, told = response.status, await _message(response)
    text = f"{response.url.origin()} answers {status}: {told}"
    if status in (429, 503):
        return OverloadedError(text, retry_after=_retry_after(response.headers))
    if status in (408, 502, 504):
        return ConnectionLostError(text)
    if status >= 500:
        return BackendError(text)
    if status in (401, 403):
        return AuthenticationError(f"{text}; {GIVE_A_KEY}")
    return InvalidRequestError(text)


async def _message(response: aiohttp.ClientResponse) -> str:
    body = await response.content.read(4096)
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:300]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body.decode(errors="replace").strip()[:300] or "nothing"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a Retry-After asks for; one where there is none."""
    value = headers.get("Retry-After", "")
    try:
        if value.isdigit():
            return float(value)
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return 1.0
