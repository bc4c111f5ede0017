"""Voices at run time: GET, POST and DELETE of /tts/voices, and of /v1/audio/voices as vLLM-Omni has it.

An upload is counted while it comes, and looked at by its first bytes and its header before anything
of it is decoded. It is kept in memory until it is a voice: no client names a file or an address, and
none of its audio is stored. Knows nothing about how a voice is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, Field

from qwen3_tts_live.errors import (
    InvalidRequestError,
    OverloadedError,
    StorageError,
    UnknownVoiceError,
)
from qwen3_tts_live.synthesizer import Synthesizer, VoiceLibrary
from qwen3_tts_server.bodies import reply
from qwen3_tts_server.problems import Refused, problem
from qwen3_tts_server.streaming import Shared

__all__ = [
    "AddedVoice",
    "SampleAdded",
    "SampleRemoved",
    "VoiceAdded",
    "VoiceList",
    "VoiceNames",
    "VoiceRemoved",
    "VoicesApi",
    "listed",
]

# Each holds its file in memory; they are encoded one after another anyway.
_AT_ONCE = 4
# The fields of a form and their bytes: a name, what a minute of speech takes to write down, and 0
# for the recording, whose limit is an option.
_OURS = {"name": 256, "text": 8192, "file": 0}
# The last two have a meaning there that they have not here.
_OMNIS = {
    "name": 256,
    "ref_text": 8192,
    "audio_sample": 0,
    "consent": 8192,
    "speaker_description": 8192,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A voice to make."""

    name: str
    recording: bytes
    text: str | None


class ListedVoice(BaseModel):
    """A voice that can be asked for by name."""

    name: str
    default: Annotated[bool, Field(description="It speaks where no voice is named.")]
    removable: bool


class VoiceList(BaseModel):
    """All voices."""

    voices: list[ListedVoice]
    can_add: Annotated[bool, Field(description="The engine can clone voices.")]


class VoiceAdded(BaseModel):
    """The voice that there is now."""

    name: str


class VoiceRemoved(BaseModel):
    """The voice that is gone."""

    name: str
    status: Literal["removed"] = "removed"


class AddedVoice(BaseModel):
    """A voice that was added."""

    name: str


class VoiceNames(BaseModel):
    """All voices, and those of them that were added."""

    voices: list[str]
    uploaded_voices: list[AddedVoice]


class SampleAdded(BaseModel):
    """The voice that there is now, as vLLM-Omni says it."""

    success: Literal[True] = True
    voice: AddedVoice


class SampleRemoved(BaseModel):
    """That the voice is gone, as vLLM-Omni says it."""

    success: Literal[True] = True
    message: str


class VoicesApi:
    """The routes.

    Args:
        shared: what all routes work with.
    """

    def __init__(self, shared: Shared) -> None:
        self._synthesizer = shared.synthesizer
        self._options = shared.options
        self._streams = shared.streams
        self._uploading = 0

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get("/tts/voices", self.show),
            web.post("/tts/voices", self.add),
            web.delete("/tts/voices/{name}", self.remove),
            web.get("/v1/audio/voices", self.show_names),
            web.post("/v1/audio/voices", self.add_sample),
            web.delete("/v1/audio/voices/{name}", self.remove_sample),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """GET /tts/voices -> all voices, and whether more can be added."""
        synthesizer = self._synthesizer()
        library = synthesizer.voices
        names = synthesizer.info.voices
        removable = set(library.names if library is not None else ())
        voices = [
            ListedVoice(name=name, default=name == names[0], removable=name in removable)
            for name in names
        ]
        return reply(VoiceList(voices=voices, can_add=library is not None))

    async def add(self, request: web.Request) -> web.Response:
        """POST /tts/voices (multipart: name, file, text) -> a voice that can be used at once."""
        name = await self._add(request, _OURS)
        return reply(VoiceAdded(name=name), 201)

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /tts/voices/{name} -> the voice is gone; what speaks with it goes on."""
        name = request.match_info["name"]
        return await self._remove(request, name, VoiceRemoved(name=name))

    async def show_names(self, request: web.Request) -> web.Response:
        """GET /v1/audio/voices -> the voices' names."""
        return reply(listed(self._synthesizer()))

    async def add_sample(self, request: web.Request) -> web.Response:
        """POST /v1/audio/voices (multipart: name, audio_sample, ref_text, ...) -> the same."""
        name = await self._add(request, _OMNIS)
        return reply(SampleAdded(voice=AddedVoice(name=name)))

    async def remove_sample(self, request: web.Request) -> web.Response:
        """DELETE /v1/audio/voices/{name} -> the same."""
        name = request.match_info["name"]
        return await self._remove(request, name, SampleRemoved(message=f"{name} was removed"))

    # ------------------------------------------------------------ adding and removing

    async def _add(self, request: web.Request, form: Mapping[str, int]) -> str:
        library = self._library()
        self._streams.check_open()
        with self._streams.open(), self._one_upload():
            upload = await self._read(request, form)
            if len(library.names) >= self._options.max_voices:
                raise StorageError(
                    f"there are {self._options.max_voices} added voices already; remove some"
                )
            await library.add(upload.name, upload.recording, text=upload.text)
        return upload.name

    async def _remove(self, request: web.Request, name: str, done: BaseModel) -> web.Response:
        try:
            await self._library().remove(name)
        except UnknownVoiceError as error:
            return problem(request, 404, error.code, error.message)
        return reply(done)

    def _library(self) -> VoiceLibrary:
        synthesizer = self._synthesizer()
        if (library := synthesizer.voices) is None:
            raise Refused(
                501,
                "cannot_clone",
                f"{synthesizer.info.model} speaks with its own voices only; a Qwen3-TTS Base "
                "checkpoint clones: --model-path Qwen/Qwen3-TTS-12Hz-0.6B-Base",
            )
        return library

    @contextmanager
    def _one_upload(self) -> Iterator[None]:
        if self._uploading >= _AT_ONCE:
            raise OverloadedError("other voices are being added; try again", retry_after=5.0)
        self._uploading += 1
        try:
            yield
        finally:
            self._uploading -= 1

    async def _read(self, request: web.Request, form: Mapping[str, int]) -> Upload:
        seconds = self._options.upload_timeout
        try:
            async with asyncio.timeout(seconds):
                fields = await self._fields(request, form)
        except TimeoutError as error:
            message = f"the upload took more than {seconds:g} s"
            raise Refused(408, "slow_body", message, retryable=True) from error
        except (ValueError, HttpProcessingError, web.RequestPayloadError) as error:
            raise InvalidRequestError(f"the body is not multipart/form-data: {error}") from error
        name, text, file = list(form)[:3]
        if name not in fields or file not in fields:
            raise InvalidRequestError(
                f"send the fields {name} and {file}, and {text} if you have it"
            )
        return Upload(
            name=_text(fields[name], name),
            recording=fields[file],
            text=_text(fields[text], text) if fields.get(text) else None,
        )

    async def _fields(self, request: web.Request, form: Mapping[str, int]) -> dict[str, bytes]:
        limits = {name: most or self._options.max_upload for name, most in form.items()}
        if (request.content_length or 0) > sum(limits.values()) + 4096:
            raise _too_large("the recording", self._options.max_upload)
        fields: dict[str, bytes] = {}
        if not request.body_exists:
            return fields
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            name = part.name if isinstance(part, BodyPartReader) else None
            if not isinstance(part, BodyPartReader) or name not in limits or name in fields:
                raise InvalidRequestError(f"send the fields {', '.join(form)}, each once")
            data = bytearray()
            while chunk := await part.read_chunk():
                data += chunk
                if len(data) > limits[name]:
                    raise _too_large(name, limits[name])
            fields[name] = bytes(data)
        return fields


def listed(synthesizer: Synthesizer) -> VoiceNames:
    """Return the voices as vLLM-Omni lists them."""
    library = synthesizer.voices
    added = () if library is None else library.names
    names = [AddedVoice(name=name) for name in added]
    return VoiceNames(voices=list(synthesizer.info.voices), uploaded_voices=names)


def _too_large(name: str, limit: int) -> Refused:
    return Refused(413, "too_large", f"{name} may have {limit} bytes; half a minute is plenty")


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name} is not UTF-8") from error
    if "\0" in text:
        raise InvalidRequestError(f"{name} holds a NUL")
    return text
