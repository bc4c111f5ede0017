"""WS /v1/audio/speech/stream, in the shape of vLLM-Omni's, which Baseten's LiveKit plugin speaks.

{"type": "session.config", ...}           first, and again between turns to change it
{"type": "input.text", "text": "..."}     more text; it is spoken as soon as a sentence is complete
{"type": "input.done"}                    the turn's text is complete
{"type": "session.close"}                 say what is left, then close

For each sentence: audio.start, its audio as binary frames, audio.done; after a turn: session.done.
With `timestamp_type: "word"`, where each word sounds: in audio.done (`timestamp_transport_strategy`
"sync"), or in an audio.timestamps before its audio ("async").
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.errors import InvalidRequestError, SpeechError
from qwen3_tts_live.synthesizer import Mark, SessionOptions
from qwen3_tts_server.audio_formats import Encoder, Format, encoder_for
from qwen3_tts_server.bodies import Body, MoreText, checked
from qwen3_tts_server.logs import REQUEST
from qwen3_tts_server.openai_api import OurVoice, Speed
from qwen3_tts_server.problems import FieldError
from qwen3_tts_server.sentences import Begins, Sentence, SentenceCutter, Sounds, Step
from qwen3_tts_server.speech_sockets import SpeechSocket, Turn
from qwen3_tts_server.streaming import Shared
from qwen3_tts_server.voice_names import find_voice
from qwen3_tts_server.voices import listed

__all__ = ["OmniApi"]


def _no_recording(recording: object) -> None:
    if recording is not None:
        raise FieldError("ref_audio", "ref_audio is not taken here; upload a voice, and name it")


class _Asked(Body):
    """A session.config."""

    voice: OurVoice = None
    language: str | None = None
    instructions: str | None = None
    speed: Speed | None = None
    ref_audio: Annotated[Any, AfterValidator(_no_recording)] = None
    response_format: Format | None = None
    stream_audio: bool | None = None
    split_granularity: Literal["none", "sentence", "clause"] | None = None
    timestamp_type: Literal["none", "word"] | None = None
    timestamp_transport_strategy: Literal["sync", "async"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """What a session.config asks for."""

    options: SessionOptions
    format: Format
    progressive: bool  # audio as it is made, rather than a sentence at a time
    by_sentence: bool  # rather than a turn at a time
    timestamps: str  # "", "sync" or "async"

    @classmethod
    def parse(
        cls, fields: Mapping[str, object], aliases: Mapping[str, str], voices: tuple[str, ...]
    ) -> _Config:
        """Read and check the message.

        Raises:
            InvalidRequestError: what is wrong with it.
        """
        asked = checked(_Asked, fields)
        words = asked.timestamp_type == "word"
        return cls(
            options=SessionOptions(
                voice=find_voice(asked.voice or "", aliases, voices),
                language=asked.language or "Auto",
                instruct=asked.instructions or None,
            ),
            format=asked.response_format or ("pcm" if asked.stream_audio else "wav"),
            progressive=bool(asked.stream_audio),
            by_sentence=asked.split_granularity != "none",
            timestamps=asked.timestamp_transport_strategy or "sync" if words else "",
        )


class OmniApi:
    """The route.

    Args:
        shared: what all routes work with.
    """

    def __init__(
        self,
        shared: Shared,
    ) -> None:
        self._shared = shared
        self._streams = shared.streams
        self.routes = [web.get("/v1/audio/speech/stream", self.converse)]

    async def converse(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/audio/speech/stream -> a WebSocket."""
        self._streams.check_open()
        return await _Conversation(request, self._shared).serve()


class _Conversation(SpeechSocket):
    """One client."""

    _config: _Config | None = None
    _turn: _Turn | None = None  # whose text is still coming
    _count = 0  # of turns, spoken or not

    async def greet(self) -> None:
        """Say nothing: the client speaks first."""

    async def hear(self, kind: str, message: dict[str, object]) -> None:
        """Act on a message."""
        if kind == "session.config":
            await self._configure(message)
        elif kind == "session.close":
            self._end_turn()
            self.later(self.close)
        elif kind == "voice.list":
            self.say({"type": kind} | listed(self.synthesizer).model_dump())
        elif kind not in ("input.text", "input.done"):
            raise InvalidRequestError(f"unknown message type {kind!r}")
        elif self._config is None:
            raise InvalidRequestError(f"send session.config before {kind}")
        elif kind == "input.text":
            await self._push(self._config, checked(MoreText, message).text)
        else:
            self._end_turn()

    def complain(self, error: SpeechError) -> None:
        """Send an error; the session goes on."""
        self.say(_told(error))

    async def _configure(self, message: dict[str, object]) -> None:
        if self._turn is not None:
            raise InvalidRequestError("send input.done before another session.config")
        synthesizer, aliases = self.synthesizer, self.server_options.voice_aliases
        config = _Config.parse(message, aliases, synthesizer.info.voices)
        await self.open_session(config.options)  # says now what is wrong with it, if anything
        self._config = config

    async def _push(self, config: _Config, text: str) -> None:
        if not text:
            return
        if self._turn is None:
            turn = await self.utter(config.options)
            self._turn = _Turn(self, config, turn, self._count)
            self.later(self._turn.play)
        self._turn.push_text(text)

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:  # how clients keep the connection alive
            self.say({"type": "session.done", "utterance_index": self._count, "total_sentences": 0})
        else:
            turn.end_input()
            self.later(turn.done)
        self._count += 1


class _Turn:
    """What is said between two `input.done`."""

    def __init__(self, socket: SpeechSocket, config: _Config, turn: Turn, index: int) -> None:
        self._turn = turn
        self._socket = socket
        self._config = config
        self._index = index
        self._cutter = SentenceCutter(by_sentence=config.by_sentence)
        self._encoder = Encoder()
        self._sentence: Sentence | None = None  # that has begun, and not ended
        self._waiting = b""  # of a sentence that is sent as a whole
        self._sent = 0

    def push_text(self, text: str) -> None:
        self._turn.push_text(text)
        self._cutter.push_text(text)

    def end_input(self) -> None:
        self._turn.end_input()

    # ------------------------------------------------------------ jobs

    async def play(self) -> None:
        try:
            async with aclosing(self._socket.events(self._turn)) as events:
                async for event in events:
                    for step in self._cutter.feed(event):
                        await self._take(step)
                    if isinstance(event, Mark) and self._config.timestamps == "async":
                        await self._place(event)
        except SpeechError as error:
            await self._socket.send(_told(error))
            if self._sentence is not None:
                await self._end(self._sentence, failed=True)
        finally:
            self._encoder.close()

    async def done(self) -> None:
        await self._send("session.done", total_sentences=self._cutter.count)

    async def _take(self, step: Step) -> None:
        if isinstance(step, Begins):
            await self._begin(step.sentence, step.text)
        elif isinstance(step, Sounds):
            await self._send_audio(self._encoder.encode(step.samples))
        else:
            await self._send_audio(self._encoder.finish(), last=True)
            await self._end(step.sentence)

    async def _begin(self, sentence: Sentence, text: str) -> None:
        self._encoder = encoder_for(self._config.format)
        self._sentence, self._sent = sentence, 0
        about: dict[str, object] = {"sentence_text": text, "format": self._config.format}
        about |= {"sample_rate": SAMPLE_RATE, "channels": 1}
        await self._send("audio.start", sentence_index=sentence.index, **about)

    async def _send_audio(self, data: bytes, *, last: bool = False) -> None:
        self._sent += len(data)
        if self._config.progressive:
            await self._socket.send_audio(data)
            return
        self._waiting += data
        if last:
            data, self._waiting = self._waiting, b""
            await self._socket.send_audio(data, whole=True)

    async def _end(self, sentence: Sentence, *, failed: bool = False) -> None:
        self._sentence = None
        self._encoder.close()
        about: dict[str, object] = {"total_bytes": self._sent, "error": failed}
        if self._config.timestamps == "sync":
            about["timestamp_info"] = _aligned(sentence.words, sentence.start)
        await self._send("audio.done", sentence_index=sentence.index, **about)

    async def _place(self, word: Mark) -> None:
        sentence = self._cutter.newest
        if sentence is not None and word.text.strip():
            words = _aligned([word], sentence.start)
            await self._send("audio.timestamps", sentence_index=sentence.index, **words)

    async def _send(self, kind: str, **fields: object) -> None:
        await self._socket.send({"type": kind, "utterance_index": self._index} | fields)


def _told(error: SpeechError) -> dict[str, object]:
    about: dict[str, object] = {"message": error.message, "code": error.code}
    return {"type": "error", "request_id": REQUEST.get()} | about


def _aligned(words: list[Mark], start: int) -> dict[str, object]:
    """Return the words and, in seconds from sample `start`, when they begin and end."""
    alignment = {
        "words": [word.text.strip() for word in words],
        "word_start_times_seconds": [_seconds(word.start - start) for word in words],
        "word_end_times_seconds": [_seconds(word.end - start) for word in words],
    }
    return {"word_alignment": alignment}


def _seconds(samples: int) -> float:
    return round(max(0, samples) / SAMPLE_RATE, 3)
