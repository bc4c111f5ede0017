"""POST /tts/stream and POST /tts/interrupt: the API that existing clients know.

A client_id is a session: its requests play one after another. Audio is raw PCM, 16 bits, little
endian, 24 kHz, mono, in whole samples, under the documented name `audio/l16;rate=24000`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from aiohttp import web

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_live.text import NormalizerSettings
from qwen3_tts_server.access import session_id
from qwen3_tts_server.audio_formats import Encoder
from qwen3_tts_server.problems import parse_json
from qwen3_tts_server.streaming import Shared
from qwen3_tts_server.text import chosen_normalizer, string_field, text_field

__all__ = ["SpeechApi", "client_id"]

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
_AUDIO_HEADERS = {"Content-Type": "audio/l16;rate=24000", "X-Audio-Format": "s16le"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What POST /tts/stream asks for."""

    text: str
    client_id: str
    language: str
    voice: str | None
    normalizer: NormalizerSettings

    @classmethod
    def parse(cls, body: bytes, request: web.Request, base: NormalizerSettings) -> StreamRequest:
        """Read and check the request; `base` are the server's settings for text.

        Raises:
            InvalidRequestError: what is wrong with it.
        """
        fields = parse_json(body)
        return cls(
            text=text_field(fields),
            client_id=client_id(request, string_field(fields, "client_id")),
            language=string_field(fields, "language") or "Auto",
            voice=string_field(fields, "voice") or None,
            normalizer=chosen_normalizer(fields, base),
        )


def client_id(request: web.Request, in_body: str = "", *, absent: str = "default") -> str:
    """Return the client's id from the body, the query or the X-Client-Id header, else `absent`.

    Raises:
        InvalidRequestError: they disagree, or the id is malformed.
    """
    given = {in_body, request.query.get("client_id", ""), request.headers.get("X-Client-Id", "")}
    given.discard("")
    if len(given) > 1:
        raise InvalidRequestError("client_id differs between body, query and X-Client-Id")
    if not given:
        return absent
    found = given.pop()
    if not _CLIENT_ID.fullmatch(found):
        raise InvalidRequestError(
            "client_id must be 1 to 128 printable ASCII characters, no spaces"
        )
    return found


class SpeechApi:
    """The two routes.

    Args:
        shared: what all routes work with.
    """

    def __init__(
        self,
        shared: Shared,
    ) -> None:
        self._synthesizer = shared.synthesizer
        self._options = shared.options
        self._metrics = shared.metrics
        self._streams = shared.streams

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """POST /tts/stream {text, language, voice, client_id} -> audio as it is made."""
        self._streams.check_open()
        arrived = time.monotonic()
        with self._streams.open():
            wanted = StreamRequest.parse(await request.read(), request, self._options.text)
            with self._metrics.refusals():
                name = session_id(request, wanted.client_id)
                session = await self._synthesizer().open_session(session_id=name)
                position = session.queued
                options = SessionOptions(
                    voice=wanted.voice, language=wanted.language, normalizer=wanted.normalizer
                )
                utterance = session.utter(wanted.text, options=options)
            headers = _AUDIO_HEADERS | {"X-Queue-Position": str(position)}
            # A queued request is answered at once, as clients expect. One whose turn it is waits
            # for its first event, so that what fails before any audio is a proper error.
            return await self._streams.answer(
                request, utterance, Encoder(), headers, arrived=arrived, at_once=position > 0
            )

    async def interrupt(self, request: web.Request) -> web.StreamResponse:
        """POST /tts/interrupt?client_id= -> what it stopped; 200 also where there was nothing."""
        started = time.monotonic()
        name = client_id(request, await _client_id_in_body(request))
        session = self._synthesizer().get_session(session_id(request, name))
        body: dict[str, object] = {"status": "idle", "client_id": name, "queue": "flushed"}
        body |= {"stopped": 0, "flushed": 0, "generated_ms": 0, "delivered_ms": 0}
        if session is not None:
            report = await session.interrupt()
            self._metrics.interrupted(report, time.monotonic() - started)
            body["status"] = "interrupted" if report.stopped or report.flushed else "idle"
            body |= {"stopped": len(report.stopped), "flushed": len(report.flushed)}
            body |= {"generated_ms": report.generated_ms, "delivered_ms": report.delivered_ms}
        return web.json_response(body)


async def _client_id_in_body(request: web.Request) -> str:
    """Accept {"client_id": ...} in an interrupt's body too; most clients send none."""
    if not request.body_exists:
        return ""
    return string_field(parse_json(await request.read()), "client_id")
