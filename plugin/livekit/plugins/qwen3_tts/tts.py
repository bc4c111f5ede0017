"""Qwen3-TTS as a `livekit.agents.tts.TTS`: what LiveKit asks for, in terms of the seam.

Knows LiveKit's contract; knows nothing of threads, sessions or engines (see `engine.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from livekit.agents import APIStatusError, tts, utils
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    TimedString,
)
from livekit.agents.utils import is_given

from qwen3_tts_live import SAMPLE_RATE, AudioChunk, Finished, Mark, SessionOptions, Synthesizer
from qwen3_tts_live.errors import ClosedError

from .engine import Engine, Speech
from .host import Begun, Request, Stopped
from .problems import api_error

__all__ = ["TTS", "ChunkedStream", "InterruptedMetrics", "SynthesizeStream"]

logger = logging.getLogger(__name__)

# One codec step of Qwen3-TTS makes 80 ms: what its output is counted in.
_FRAME = SAMPLE_RATE * 80 // 1000
# What is said for text in which there is nothing to say. LiveKit takes no audio for a failure.
_SILENCE = bytes(2 * SAMPLE_RATE * 20 // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedMetrics:
    """What an interrupted stream cost. LiveKit reports no metrics for those.

    Attributes:
        request_id: the stream's.
        characters: text that was pushed.
        generated: seconds of audio that the engine had made.
        delivered: seconds of it that LiveKit had taken, heard or not.
        stop_seconds: from the cancellation to the moment when the engine no longer worked on it,
            as the engine sees it.
    """

    request_id: str
    characters: int
    generated: float
    delivered: float
    stop_seconds: float


class TTS(tts.TTS[Literal["interrupted"]]):
    """Qwen3-TTS, or the embedded voice, for LiveKit agents.

    Emits `metrics_collected` and `error` as every TTS does, and `interrupted` with
    `InterruptedMetrics` when the engine has stopped after an interruption.

    Args:
        engine: where the engine is: an address (`ws://HOST:PORT`, `wss://`, `unix:/PATH`,
            `preview:`, `qwen:CHECKPOINT`), an open `Synthesizer` of the event loop that is running,
            or an `Engine` that several TTS objects share. What an address opens ends with this
            object.
        api_key: for a server that asks for one.
        voice: one of the engine's voices; None for its default.
        language: a name, ISO code or locale of one of the ten languages, or Auto.
        instruct: how to say it, in words, for models that follow instructions.
        seed: fixes the random draws, for models that have any.
        max_lead: seconds of audio that may be made before they are played; None for no limit. An
            interruption throws away at most about that much work; a network or an engine that
            hesitates for longer is heard.
        aligned_transcript: give LiveKit the words with their times. It uses them if the session has
            `use_tts_aligned_transcript=True`.
        allow_per_process_model: do not warn about a `qwen:` engine in a job process.

    Raises:
        ValueError: `max_lead` is not above 0.
    """

    def __init__(
        self,
        *,
        engine: str | Synthesizer | Engine = "ws://localhost:9000",
        api_key: str | None = None,
        voice: str | None = None,
        language: str = "Auto",
        instruct: str | None = None,
        seed: int | None = None,
        max_lead: float | None = 3.0,
        aligned_transcript: bool = True,
        allow_per_process_model: bool = False,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=aligned_transcript),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        if max_lead is not None and max_lead <= 0:
            raise ValueError("max_lead must be above 0 seconds, or None for no limit")
        self._owned = not isinstance(engine, Engine)
        self._engine = (
            engine
            if isinstance(engine, Engine)
            else Engine(engine, api_key=api_key, allow_per_process_model=allow_per_process_model)
        )
        self._options = SessionOptions(
            voice=voice, language=language, instruct=instruct, seed=seed, max_lead=max_lead
        )

    @property
    def model(self) -> str:
        """The model's name; the engine's address until it was opened."""
        info = self._engine.info
        return info.model if info else self._engine.address or "unknown"

    @property
    def provider(self) -> str:
        """Whose it is, in metrics and traces."""
        return "qwen3-tts-live"

    @property
    def engine(self) -> Engine:
        """What speaks; another TTS can share it."""
        return self._engine

    def update_options(
        self,
        *,
        voice: NotGivenOr[str | None] = NOT_GIVEN,
        language: NotGivenOr[str] = NOT_GIVEN,
        instruct: NotGivenOr[str | None] = NOT_GIVEN,
        seed: NotGivenOr[int | None] = NOT_GIVEN,
    ) -> None:
        """Change how streams speak that are made from now on; the connection stays."""
        given = {"voice": voice, "language": language, "instruct": instruct, "seed": seed}
        changed = {name: value for name, value in given.items() if is_given(value)}
        self._options = replace(self._options, **changed)  # type: ignore[arg-type] # as annotated

    def prewarm(self) -> None:
        """Open the engine in the background. May be called again and again."""
        with suppress(ClosedError):
            self._engine.prewarm()

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SynthesizeStream:
        """Return a stream for one segment: text goes in as the LLM writes it."""
        return SynthesizeStream(self, self._options, conn_options)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ChunkedStream:
        """Speak a whole text, as fast as the engine can."""
        return ChunkedStream(self, text, self._options, conn_options)

    async def aclose(self) -> None:
        """Stop all streams and release the engine. Nothing depends on this being called."""
        if self._owned:
            await self._engine.aclose()

    def begin(
        self,
        stream: Stream,
        request_id: str,
        options: SessionOptions,
        *,
        paced: bool,
    ) -> Speech:
        """Start the speech of a stream of this TTS; for the streams.

        Half of the lead lies with LiveKit, where it bridges what a network does, and half with the
        engine, which is parked when that is full.
        """
        lead = None
        if paced and options.max_lead is not None:
            lead = options.max_lead / 2
            options = replace(options, max_lead=lead)
        request = Request(options=options, lead=lead, timeout=stream.timeout)
        return self._engine.speak(request, stopped=partial(self._stopped, stream, request_id))

    def _stopped(self, stream: Stream, request_id: str, stopped: Stopped) -> None:
        metrics = InterruptedMetrics(
            request_id=request_id,
            characters=stream.characters,
            generated=stopped.report.generated / SAMPLE_RATE,
            delivered=stopped.report.delivered / SAMPLE_RATE,
            stop_seconds=stopped.seconds,
        )
        logger.debug("interrupted", extra={"metrics": metrics})
        self.emit("interrupted", metrics)


class SynthesizeStream(tts.SynthesizeStream):
    """One segment: its text as it comes, exactly as it comes."""

    def __init__(
        self, owner: TTS, options: SessionOptions, conn_options: APIConnectOptions
    ) -> None:
        super().__init__(tts=owner, conn_options=conn_options)
        self._owner = owner
        self._options = options
        self.timeout = conn_options.timeout

    @property
    def characters(self) -> int:
        """Characters of text that were pushed."""
        return len(self._pushed_text)

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        """Make one attempt. Another one gets a new input channel, with all the text again."""
        request_id = utils.shortuuid("tts_")
        output_emitter.initialize(
            request_id=request_id,
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        text = await self._first_text()
        if not text:
            return
        self._mark_started()
        output_emitter.start_segment(segment_id=request_id)
        async with _speaking(self, self._owner, request_id, self._options, paced=True) as speech:
            speech.push_text(text)
            feeding = asyncio.create_task(self._feed(speech))
            try:
                await _pass_on(self, speech, output_emitter)
            finally:
                await utils.aio.cancel_and_wait(feeding)

    async def _first_text(self) -> str:
        """Return the text up to the first piece that is not blank; "" if none comes."""
        text = ""
        async for piece in self._input_ch:
            if isinstance(piece, self._FlushSentinel):
                if text:
                    break
                continue  # there was nothing to flush
            text += piece
            if not text.isspace():
                return text
        return ""

    async def _feed(self, speech: Speech) -> None:
        async for piece in self._input_ch:
            if isinstance(piece, self._FlushSentinel):
                break  # one segment a stream: the base class drops what comes behind
            speech.push_text(piece)
        speech.end_input()


class ChunkedStream(tts.ChunkedStream):
    """A whole text at once."""

    def __init__(
        self, owner: TTS, text: str, options: SessionOptions, conn_options: APIConnectOptions
    ) -> None:
        super().__init__(tts=owner, input_text=text, conn_options=conn_options)
        self._owner = owner
        self._options = options
        self.timeout = conn_options.timeout

    @property
    def characters(self) -> int:
        """Characters of the text."""
        return len(self._input_text)

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        request_id = utils.shortuuid("tts_")
        output_emitter.initialize(
            request_id=request_id,
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        if not self._input_text.strip():
            return
        async with _speaking(self, self._owner, request_id, self._options, paced=False) as speech:
            speech.push_text(self._input_text)
            speech.end_input()
            await _pass_on(self, speech, output_emitter)


Stream: TypeAlias = SynthesizeStream | ChunkedStream


@asynccontextmanager
async def _speaking(
    stream: Stream, owner: TTS, request_id: str, options: SessionOptions, *, paced: bool
) -> AsyncIterator[Speech]:
    """A speech that is cancelled on the way out, whatever the way; nothing is awaited for that."""
    speech = None
    try:
        speech = owner.begin(stream, request_id, options, paced=paced)
        yield speech
    except Exception as error:
        if owner.engine.closed:
            # LiveKit's own sign for an end that is nobody's failure.
            raise APIStatusError("the TTS was closed", status_code=499) from error
        raise api_error(error) from error
    finally:
        if speech is not None:
            speech.cancel()


async def _pass_on(stream: Stream, speech: Speech, output: tts.AudioEmitter) -> None:
    """Give LiveKit what there is to hear, until the speech is over."""
    aligned = stream._tts.capabilities.aligned_transcript
    async for heard in speech:
        match heard:
            case Begun():
                stream._acquire_time = heard.seconds
                stream._connection_reused = heard.reused
            case Mark():
                if not aligned:
                    continue
                output.push_timed_transcript(
                    TimedString(
                        heard.text,
                        start_time=heard.start / SAMPLE_RATE,
                        end_time=heard.end / SAMPLE_RATE,
                    )
                )
            case AudioChunk():
                output.push(heard.data)
            case Finished(reason="interrupted"):
                raise ClosedError("the engine gave the speech up")
            case Finished():
                if not heard.samples:
                    output.push(_SILENCE)
                # What a model made: codec frames are its output tokens.
                stream._set_token_usage(output_tokens=-(-heard.samples // _FRAME))
