"""/v1/speak, in the shape of Deepgram's: POST for one text, and a WebSocket for a conversation.

POST {"text": "..."} -> its audio, as it is made. On the WebSocket, audio goes out and these come in:

{"type": "Speak", "text": "..."}  more text of a turn; it is spoken as soon as a sentence is complete
{"type": "Flush"}                 the turn's text is complete -> Flushed, behind its last audio
{"type": "Clear"}                 stop and forget everything  -> Cleared, and no audio follows it
{"type": "Close"}                 say what is left, then close

Every Flush gets one Flushed, unless a Clear takes it away. Clients read an error's text from
different fields, so it is in all of them.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import dataclass

from aiohttp import web

from qwen3_tts_live.audio import AudioChunk
from qwen3_tts_live.errors import SpeechError, UnknownVoiceError
from qwen3_tts_live.synthesizer import Finished, SessionOptions
from qwen3_tts_live.text.languages import AUTO, canonical_language
from qwen3_tts_server.bodies import Body, MoreText, Text, checked, parse
from qwen3_tts_server.deepgram_audio import Audio
from qwen3_tts_server.logs import REQUEST
from qwen3_tts_server.problems import FieldError
from qwen3_tts_server.speech_sockets import SpeechSocket, Turn
from qwen3_tts_server.streaming import Shared
from qwen3_tts_server.utterances import uttering
from qwen3_tts_server.voice_names import find_voice

__all__ = ["DeepgramApi", "SpeakRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the query asks for. `warning` says what the client will not get, if anything."""

    options: SessionOptions
    audio: Audio
    warning: str = ""


class SpeakRequest(Body):
    """What to say."""

    text: Text


class DeepgramApi:
    """The routes.

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
        self.routes = [web.get("/v1/speak", self.converse), web.post("/v1/speak", self.speak)]

    async def converse(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/speak?model=&encoding=&sample_rate= -> a WebSocket."""
        self._streams.check_open()
        wanted = self._parse(request, Audio.of_socket(request.query))
        wanted.audio.encoder().close()  # what this installation has none for is refused here
        return await _Conversation(request, self._shared, wanted).serve()

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/speak?model=&encoding=&container=&sample_rate=&bit_rate= {text} -> audio."""
        account = self._shared.log.account(request)
        self._streams.check_open()
        if "callback" in request.query:
            raise FieldError("callback", "this server calls nobody back: the answer is the audio")
        wanted = self._parse(request, Audio.of_file(request.query))
        text = parse(SpeakRequest, await request.read()).text
        headers = {"X-Warning": "unknown_voice"} if wanted.warning else {}
        with self._streams.open(), closing(wanted.audio.encoder()) as encoder:
            async with uttering(self._shared, account, text, wanted.options) as utterance:
                return await self._streams.answer(
                    request, utterance, encoder, headers, account=account
                )

    def _parse(self, request: web.Request, audio: Audio) -> _Wanted:
        query = request.query
        if query.get("speed", "1") not in ("1", "1.0"):
            raise FieldError("speed", "speed must be 1.0: this model has no other")
        voice, warning = self._voice(query.get("model", ""))
        options = SessionOptions(
            voice=voice, language=canonical_language(query.get("language", AUTO))
        )
        return _Wanted(options=options, audio=audio, warning=warning)

    def _voice(self, model: str) -> tuple[str | None, str]:
        """Return the voice for `model`, and a warning if it is not the one that was meant."""
        voices = self._synthesizer().info.voices
        try:
            return find_voice(model, self._options.voice_aliases, voices), ""
        except UnknownVoiceError as error:
            if self._options.strict_voices:
                raise FieldError("model", error.message) from error
            return None, f"{error.message}; speaking with the default voice"


class _Conversation(SpeechSocket):
    """One client."""

    def __init__(
        self,
        request: web.Request,
        shared: Shared,
        wanted: _Wanted,
    ) -> None:
        super().__init__(request, shared)
        self._wanted = wanted
        self._turn: Turn | None = None  # whose text is still coming
        self._sequence = 0

    async def greet(self) -> None:
        """Say what speaks, and warn if it is not what was asked for."""
        model = self.synthesizer.info.model
        about = {
            "request_id": REQUEST.get(),
            "model_name": model,
            "model_version": "",
            "model_uuid": "",
        }
        self.say({"type": "Metadata", **about})
        if self._wanted.warning:
            self.say(_notice("Warning", "unknown_voice", self._wanted.warning))

    async def hear(self, kind: str, message: dict[str, object]) -> None:
        """Act on Speak, Flush, Clear, Close."""
        if kind == "Speak":
            await self._speak(checked(MoreText, message).text)
        elif kind == "Flush":
            self._end_turn()
            self.later(self._flushed)
        elif kind == "Clear":
            self._turn = None
            await self.interrupt()
            self.later(self._cleared)
        elif kind == "Close":
            self._end_turn()
            self.later(self.close)
        else:
            known = "Speak, Flush, Clear, Close"
            self.say(_notice("Warning", "unknown_type", f"unknown type {kind!r}; known: {known}"))

    def complain(self, error: SpeechError) -> None:
        """Send an Error."""
        self.say(_notice("Error", error.code, error.message))

    async def _speak(self, text: str) -> None:
        if self._turn is None:
            self._turn = turn = await self.utter(self._wanted.options)
            self.later(lambda: self._play(turn))
        self._turn.push_text(text)

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.end_input()
            self._turn = None

    # ------------------------------------------------------------ jobs

    async def _play(self, turn: Turn) -> None:
        try:
            with closing(self._wanted.audio.encoder()) as encoder:
                async with aclosing(self.events(turn)) as events:
                    async for event in events:
                        if isinstance(event, AudioChunk):
                            await self.send_audio(encoder.encode(event.samples))
                        elif isinstance(event, Finished) and event.reason == "completed":
                            await self.send_audio(encoder.finish())
        except SpeechError as error:
            await self.send(_notice("Error", error.code, error.message))

    async def _flushed(self) -> None:
        await self._answer("Flushed")

    async def _cleared(self) -> None:
        await self._answer("Cleared")

    async def _answer(self, kind: str) -> None:
        await self.send({"type": kind, "sequence_id": self._sequence})
        self._sequence += 1


def _notice(kind: str, code: str, text: str) -> dict[str, object]:
    short = "warn" if kind == "Warning" else "err"
    body: dict[str, object] = {"type": kind, "code": code, "description": text}
    body["request_id"] = REQUEST.get()
    return body | {f"{short}_code": code, f"{short}_msg": text}
