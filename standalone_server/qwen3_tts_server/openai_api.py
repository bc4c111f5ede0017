"""OpenAI's speech API: POST /v1/audio/speech, GET /v1/models, GET /v1/audio/voices.

For clients that were written for OpenAI's server, or for the many that are like it. Errors come in
the shape that the whole server uses, which has OpenAI's fields.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from aiohttp import web

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_live.text import NormalizerSettings
from qwen3_tts_server.access import session_id
from qwen3_tts_server.audio_formats import FORMATS, Encoder, EventStream, encoder_for
from qwen3_tts_server.problems import FieldError, parse_json, problem
from qwen3_tts_server.speech import client_id
from qwen3_tts_server.streaming import Shared
from qwen3_tts_server.text import chosen_normalizer, string_field, text_field
from qwen3_tts_server.utterances import uttering
from qwen3_tts_server.voice_names import find_voice

__all__ = ["OpenAiApi", "check_speed", "choice_field", "voice_field"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """What POST /v1/audio/speech asks for. Fields that we do not know are none of our business.

    `session_id` is None where the request belongs to nobody's queue.
    """

    text: str
    voice: str
    language: str
    instructions: str | None
    format: str
    as_events: bool
    session_id: str | None
    normalizer: NormalizerSettings

    @classmethod
    def parse(cls, body: bytes, request: web.Request, base: NormalizerSettings) -> SpeechRequest:
        """Read and check the request; `base` are the server's settings for text.

        Raises:
            InvalidRequestError: what is wrong with it.
        """
        fields = parse_json(body)
        check_speed(fields)
        return cls(
            text=text_field(fields, "input"),
            voice=voice_field(fields),
            language=string_field(fields, "language") or "Auto",
            instructions=string_field(fields, "instructions") or None,
            format=choice_field(fields, "response_format", FORMATS, "mp3"),
            as_events=choice_field(fields, "stream_format", ("audio", "sse"), "audio") == "sse",
            session_id=_session_id(request, string_field(fields, "user")),
            normalizer=chosen_normalizer(fields, base),
        )


def check_speed(fields: Mapping[str, object]) -> None:
    """Accept the one speed that there is.

    Raises:
        FieldError: another one was asked for.
    """
    speed = fields.get("speed")
    if speed is not None and (isinstance(speed, bool) or speed != 1):
        raise FieldError("speed", "speed must be 1.0: this model has no other")


def choice_field(
    fields: Mapping[str, object], name: str, choices: tuple[str, ...], default: str
) -> str:
    """Return a field that is one of `choices`.

    Raises:
        FieldError: it is something else.
    """
    value = string_field(fields, name) or default
    if value not in choices:
        raise FieldError(name, f"{name} is {value[:20]!r}; known: {', '.join(choices)}")
    return value


def voice_field(fields: Mapping[str, object]) -> str:
    """Return the name of the voice that is asked for.

    Raises:
        FieldError: it is no name.
    """
    voice = fields.get("voice")
    if isinstance(voice, dict):  # {"id": "..."}: how OpenAI names a voice of one's own
        return string_field(voice, "id")
    return string_field(fields, "voice")


class OpenAiApi:
    """The routes under /v1.

    Args:
        shared: what all routes work with.
    """

    def __init__(
        self,
        shared: Shared,
    ) -> None:
        self._shared = shared
        self._synthesizer = shared.synthesizer
        self._options = shared.options
        self._streams = shared.streams
        self._started = int(time.time())
        self.routes = [
            web.post("/v1/audio/speech", self.speak),
            web.get("/v1/audio/voices", self.voices),
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model:.+}", self.model),
        ]

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/speech -> audio, or events with audio, as it is made."""
        self._streams.check_open()
        arrived = time.monotonic()
        wanted = SpeechRequest.parse(await request.read(), request, self._options.text)
        with self._streams.open(), closing(_encoder(wanted)) as encoder:
            options = self._session_options(wanted)
            named = wanted.session_id
            async with uttering(self._shared, wanted.text, options, named) as utterance:
                return await self._streams.answer(request, utterance, encoder, {}, arrived=arrived)

    def _session_options(self, wanted: SpeechRequest) -> SessionOptions:
        voices = self._synthesizer().info.voices
        return SessionOptions(
            voice=find_voice(wanted.voice, self._options.voice_aliases, voices),
            language=wanted.language,
            instruct=wanted.instructions,
            normalizer=wanted.normalizer,
        )

    async def voices(self, request: web.Request) -> web.Response:
        """GET /v1/audio/voices -> the voices' names."""
        voices = list(self._synthesizer().info.voices)
        return web.json_response({"voices": voices, "uploaded_voices": []})

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models -> the one model that there is."""
        return web.json_response({"object": "list", "data": [self._model()]})

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/NAME -> the model, if it is called that."""
        body = self._model()
        if request.match_info["model"] != body["id"]:
            message = f"there is no model of that name; the only one is {body['id']}"
            return problem(request, 404, "model_not_found", message, param="model")
        return web.json_response(body)

    def _model(self) -> dict[str, object]:
        name = self._synthesizer().info.model
        body: dict[str, object] = {"id": name, "object": "model", "owned_by": "qwen3-tts-live"}
        return body | {"created": self._started}


def _session_id(request: web.Request, user: str) -> str | None:
    name = client_id(request, user, absent="")
    return session_id(request, name) if name else None


def _encoder(wanted: SpeechRequest) -> Encoder:
    try:
        encoder = encoder_for(wanted.format)
    except InvalidRequestError as error:
        raise FieldError("response_format", error.message) from error
    return EventStream(encoder) if wanted.as_events else encoder
