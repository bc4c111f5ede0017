"""The voices of a server, over its HTTP routes: what `client.py` has as its voice library.

Which voices there are comes with the WebSocket's hello, so listing them asks nobody. Knows nothing
about sessions.
"""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import aiohttp
import soundfile

from qwen3_tts_live import wire
from qwen3_tts_live.connection import Connection
from qwen3_tts_live.errors import BackendError, ClosedError, SpeechError, UnknownVoiceError
from qwen3_tts_live.synthesizer import Recording

__all__ = ["RemoteVoices"]

_ROUTE = "/tts/voices"
# A server takes two minutes for an upload, and encodes those that came before first.
_TIMEOUT = aiohttp.ClientTimeout(total=300.0, sock_connect=10.0)


class RemoteVoices:
    """A server's voices as far as they can be removed; see `synthesizer.VoiceLibrary`.

    Args:
        connection: to the server.

    Attributes:
        closed: set when the synthesizer is closed.
    """

    def __init__(self, connection: Connection) -> None:
        self.closed = False
        self._connection = connection

    @property
    def names(self) -> tuple[str, ...]:
        """The voices that can be removed."""
        return self._connection.hello.added or ()

    async def add(self, name: str, recording: Recording, *, text: str | None = None) -> None:
        """Have the server clone a voice and keep it; see the protocol."""
        form = aiohttp.FormData({"name": name}, default_to_multipart=True)
        form.add_field("file", io.BytesIO(_file(recording)), filename="recording")
        if text is not None:
            form.add_field("text", text)
        await self._ask("POST", _ROUTE, form)
        self._now(self._with(self._connection.hello.voices, name), self._with(self.names, name))

    async def remove(self, name: str) -> None:
        """Have the server forget a voice; see the protocol."""
        await self._ask("DELETE", f"{_ROUTE}/{quote(name, safe='')}")
        voices = self._connection.hello.voices
        self._now(*(tuple(n for n in names if n != name) for names in (voices, self.names)))

    def _now(self, voices: tuple[str, ...], added: tuple[str, ...]) -> None:
        # The server says hello again within a second; until then this is what it will say.
        changed = {"voices": voices, "added": added}
        self._connection.hello = self._connection.hello.model_copy(update=changed)

    @staticmethod
    def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
        return names if name in names else (*names, name)

    async def _ask(self, method: str, path: str, form: aiohttp.FormData | None = None) -> None:
        if self.closed:
            raise ClosedError("the synthesizer was closed")
        connection = self._connection
        try:
            async with connection.client() as client:
                url = connection.http_address + path
                async with client.request(method, url, data=form, timeout=_TIMEOUT) as response:
                    if response.status >= 400:
                        raise _refusal(response.status, await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection.lost(str(error) or "it does not answer") from error


def _file(recording: Recording) -> bytes:
    """Return a recording as a file."""
    if isinstance(recording, bytes):
        return recording
    samples, rate = recording
    file = io.BytesIO()
    # Whole numbers stay so, and others keep what a number of 16 bits would lose.
    subtype = "PCM_16" if samples.dtype.kind == "i" else "FLOAT"
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def _refusal(status: int, body: bytes) -> SpeechError:
    """Return the exception that an answer stands for: the same class as in the server's process."""
    try:
        told = json.loads(body)["error"]
        error = wire.raised(
            wire.Error(code=told["code"], message=told["message"], retryable=told["retryable"])
        )
    except (ValueError, KeyError, TypeError):  # a proxy's, or no server of ours
        return BackendError(f"the server answers {status} to a change of its voices")
    # A name that is no part of a path is a path that does not exist.
    return UnknownVoiceError(error.message) if error.code == "not_found" else error
