"""OpenAI's speech API: POST /v1/audio/speech, GET /v1/models.

For clients that were written for OpenAI's server, or for the many that are like it. Errors come in
the shape that the whole server uses, which has OpenAI's fields.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.synthesizer import SessionOptions
from qwen3_tts_server.access import session_id
from qwen3_tts_server.audio_formats import Encoder, EventStream, Format, encoder_for
from qwen3_tts_server.bodies import Body, ClientId, Language, Text, checked, parse, reply
from qwen3_tts_server.problems import FieldError, problem
from qwen3_tts_server.speech import client_id
from qwen3_tts_server.streaming import Shared
from qwen3_tts_server.text import Chosen, chosen_normalizer
from qwen3_tts_server.utterances import uttering
from qwen3_tts_server.voice_names import find_voice

__all__ = ["Model", "Models", "OpenAiApi", "OurVoice", "SpeechRequest", "Speed"]


class VoiceId(Body):
    """How OpenAI names a voice of one's own."""

    id: str


def _voice(value: object) -> object:
    return checked(VoiceId, value, "voice.").id if isinstance(value, dict) else value


def _only_one(speed: float) -> float:
    if speed != 1:
        raise FieldError("speed", "speed must be 1.0: this model has no other")
    return speed


OurVoice = Annotated[
    str | None,
    BeforeValidator(_voice, json_schema_input_type=str | VoiceId | None),
    Field(
        description="A voice by its name, or by a name that the server's owner gave it; case does "
        "not matter. OpenAI's own names, such as `alloy`, stand for the default voice."
    ),
]
Speed = Annotated[float, AfterValidator(_only_one), Field(json_schema_extra={"const": 1})]


class SpeechRequest(Body):
    """What to say, how, and as what."""

    input: Text
    voice: OurVoice = None
    model: Annotated[Any, Field(description="Accepted, and ignored: there is one model.")] = None
    response_format: Annotated[
        Format | None,
        Field(description="`mp3` if absent. All but `pcm` and `wav` need PyAV on the server."),
    ] = None
    stream_format: Annotated[
        Literal["audio", "sse"] | None,
        Field(description="`sse` sends events with Base64 in place of bare audio."),
    ] = None
    speed: Annotated[Speed | None, Field(description="This model has one.")] = None
    instructions: Annotated[
        str | None, Field(description="How to speak, where the checkpoint takes instructions.")
    ] = None
    user: Annotated[
        ClientId,
        Field(
            description="What `client_id` is elsewhere: requests of one user play one after "
            "another. Without it, each plays at once."
        ),
    ] = None
    language: Language = None
    normalize: Chosen = None


class Model(BaseModel):
    """What speaks."""

    id: str
    object: Literal["model"] = "model"
    owned_by: Literal["qwen3-tts-live"] = "qwen3-tts-live"
    created: Annotated[int, Field(description="When the server started, in seconds since 1970.")]


class Models(BaseModel):
    """The one model that there is."""

    object: Literal["list"] = "list"
    data: list[Model]


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
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model:.+}", self.model),
        ]

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/speech -> audio, or events with audio, as it is made."""
        account = self._shared.log.account(request)
        self._streams.check_open()
        wanted = parse(SpeechRequest, await request.read())
        user = client_id(request, wanted.user, absent="")
        with self._streams.open(), closing(_encoder(wanted)) as encoder:
            options = self._session_options(wanted)
            named = session_id(request, user) if user else None
            async with uttering(self._shared, account, wanted.input, options, named) as utterance:
                return await self._streams.answer(request, utterance, encoder, {}, account=account)

    def _session_options(self, wanted: SpeechRequest) -> SessionOptions:
        voices = self._synthesizer().info.voices
        return SessionOptions(
            voice=find_voice(wanted.voice or "", self._options.voice_aliases, voices),
            language=wanted.language or "Auto",
            instruct=wanted.instructions or None,
            normalizer=chosen_normalizer(wanted.normalize, self._options.text),
        )

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models -> the one model that there is."""
        return reply(Models(data=[self._model()]))

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/NAME -> the model, if it is called that."""
        model = self._model()
        if request.match_info["model"] != model.id:
            message = f"there is no model of that name; the only one is {model.id}"
            return problem(request, 404, "model_not_found", message, param="model")
        return reply(model)

    def _model(self) -> Model:
        return Model(id=self._synthesizer().info.model, created=self._started)


def _encoder(wanted: SpeechRequest) -> Encoder:
    try:
        encoder = encoder_for(wanted.response_format or "mp3")
    except InvalidRequestError as error:
        raise FieldError("response_format", error.message) from error
    return EventStream(encoder) if wanted.stream_format == "sse" else encoder
