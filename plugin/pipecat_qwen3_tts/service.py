"""`Qwen3TTSService`: a Pipecat TTS service on any engine that this library can open.

Pipecat hands over text (`run_tts`) and says when a turn's text ends (`flush_audio`) and when the
user speaks (`on_audio_context_interrupted`). None of these waits: they move `Part`s in and out
of a queue. One task takes the audio of the queue's head from the engine, keeps a lead of a few
seconds at most over what is heard, and gives it to Pipecat together with the words in it. Knows
the engine through the seam alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.tracing.service_decorators import traced_tts

from pipecat_qwen3_tts.engine import Engine
from pipecat_qwen3_tts.failures import can_recover, category_of, is_lost
from pipecat_qwen3_tts.settings import Qwen3TTSSettings
from pipecat_qwen3_tts.speech import Part, Playhead, Speech, wait
from qwen3_tts_live import (
    SAMPLE_RATE,
    AudioChunk,
    Mark,
    QwenOptions,
    SessionOptions,
    SpeechError,
    Synthesizer,
)
from qwen3_tts_live.errors import BackendError, ClosedError, InvalidRequestError

__all__ = ["Qwen3TTSService"]

# Seconds before each new try after a failure that may pass; then the turn is given up.
_RETRIES = (0.0, 0.5, 1.0, 2.0, 4.0)
# Pipecat takes a context that was silent for this long for finished. We close every context, so
# it only matters when the engine hangs; a queue in front of it must not look like that.
_SILENCE = 30.0


class Qwen3TTSService(TTSService):
    """Speaks with Qwen3-TTS, in this process or on a server, or with the embedded voice.

    Args:
        engine: the address of an engine (`preview:`, `qwen:PATH_OR_REPO_ID`, `ws://HOST:PORT`), which
            is opened in `setup()` and closed in `cleanup()`; or an open `Synthesizer`, which
            stays its owner's and may serve many services.
        settings: voice, language and instruction to begin with.
        max_lead: seconds of audio that may be made before they are heard; what an interruption
            can waste. Below about 0.5 s, a busy machine makes gaps.
        sample_rate: of the frames, in Hz; None for the pipeline's.
        text_aggregation_mode: TOKEN gives text to the engine as it comes from the LLM, which
            cuts it itself; SENTENCE waits for whole sentences.
        qwen: how Qwen3-TTS runs; for `qwen:` addresses alone.
        api_key: one of the server's keys, if it asks for one; for `ws://` and the like.
        **kwargs: for `TTSService`, such as `text_transforms`.
    """

    Settings = Qwen3TTSSettings
    _settings: Qwen3TTSSettings

    def __init__(
        self,
        *,
        engine: str | Synthesizer = "preview:",
        settings: Qwen3TTSSettings | None = None,
        max_lead: float = 3.0,
        sample_rate: int | None = None,
        text_aggregation_mode: TextAggregationMode = TextAggregationMode.TOKEN,
        qwen: QwenOptions | None = None,
        api_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            settings=Qwen3TTSSettings.complete(settings),
            sample_rate=sample_rate,
            text_aggregation_mode=text_aggregation_mode,
            push_start_frame=True,
            push_stop_frames=True,
            push_text_frames=False,  # words come when they are heard, not when they are made
            **{"stop_frame_timeout_s": _SILENCE, **kwargs},
        )
        self._engine = Engine(engine, qwen, api_key)
        # Half of it waits in the engine's session, half in the transport.
        self._lead = max_lead / 2
        self._parts: deque[Part] = deque()  # in the order in which they are spoken
        self._speeches: dict[str, Speech] = {}  # by context id; open for text or audio
        self._more = asyncio.Event()  # set when parts were added
        self._playhead = Playhead()
        self._last_word_at = 0.0
        self._tries = 0  # failures in a row
        self._task: asyncio.Task[None] | None = None
        self._failure: SpeechError | None = None  # of the opening, until somebody can be told

    def can_generate_metrics(self) -> bool:
        """TTFB, TTFA and usage are measured."""
        return True

    @property
    def supports_processing_metrics(self) -> bool:
        """`run_tts` only hands text over: there is nothing to measure."""
        return False

    # ------------------------------------------------------------ life

    # The base class, too, narrows what its own base accepts.
    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        """Open the engine, so that the pipeline starts when it can speak."""
        await super().setup(setup)
        try:
            await self._connect()
        except SpeechError as error:
            self._failure = error
        self._task = self.create_task(self._speak_all(), "speak")

    async def start(self, frame: StartFrame) -> None:
        """Report how the opening failed, now that somebody listens."""
        await super().start(frame)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            await self._report(failure)

    async def stop(self, frame: EndFrame) -> None:
        """Let what was begun be said to its end."""
        for part in self._parts:
            part.end(closes=True)
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop at once."""
        for context_id in list(self._speeches):
            self._drop(context_id)
        await super().cancel(frame)

    async def cleanup(self) -> None:
        """Close the session, and the engine if it was opened here. May be called twice."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        if self._task is not None:
            task, self._task = self._task, None
            await self.cancel_task(task)
        for context_id in list(self._speeches):
            self._drop(context_id)
        await self._engine.aclose()

    async def _connect(self) -> None:
        """Open the session if it is not open."""
        if self._engine.session is None:
            await self._engine.connect(self._options())
            self._settings.model = self._engine.model
            self._sync_model_name_to_metrics()  # type: ignore[no-untyped-call]
            await self._call_event_handler("on_connected")

    # ------------------------------------------------------------ settings

    def _options(self) -> SessionOptions:
        settings = self._settings
        return SessionOptions(
            voice=settings.voice or None,
            language=str(settings.language or "Auto"),
            instruct=settings.instruct or None,
            max_lead=self._lead,
        )

    async def _update_settings(  # type: ignore[override]  # the base class does the same
        self, delta: TTSSettings
    ) -> dict[str, Any]:
        """Apply a change to the text that comes after it; refuse what the engine cannot do."""
        before = self._settings.copy()
        changed = await super()._update_settings(delta)
        self._settings.model = before.model
        if changed.pop("model", None) is not None:
            logger.warning("{}: the model is the engine's and cannot be changed", self)
        try:
            await self._engine.check(self._options())
        except InvalidRequestError as error:
            self._settings.apply_update(before)
            # APPLICATION: the old settings still work, so the service does too.
            message = f"settings refused, the old ones stay: {error.message}"
            await self.push_error(message, error, category=ErrorCategory.APPLICATION)
            return {}
        except SpeechError as error:
            logger.debug("{}: settings are checked when the engine is back: {}", self, error)
        return changed

    # ------------------------------------------------------------ what Pipecat asks for

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Hand text over; its audio comes from the service's task.

        Args:
            text: a token or a sentence of the turn.
            context_id: the turn.

        Yields:
            None.
        """
        await self.start_tts_usage_metrics(text)
        try:
            self._say(text, context_id)
        except SpeechError as error:
            await self._report(error)
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        """End a turn's text."""
        part = self._last_part(context_id)
        if part is not None:
            part.end(closes=True)
        elif context_id is not None and self.audio_context_available(context_id):
            await self._close(context_id)  # it had nothing to say, or was given up

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Stop making a turn's audio; does not wait for that."""
        self._drop(context_id)
        self._playhead.clear()  # the transport drops what it holds
        self._last_word_at = 0.0
        await super().on_audio_context_interrupted(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Forget a turn that Pipecat took for finished because it was silent for too long."""
        if context_id in self._speeches:
            logger.warning("{}: no audio came in time for context {}", self, context_id)
            self._drop(context_id)
        await super().on_audio_context_completed(context_id)

    def _say(self, text: str, context_id: str) -> None:
        """Add text to the turn's last part, or to a new one if the settings have changed."""
        if not self._is_streaming_tokens and not text[-1:].isspace():
            text += " "  # sentences come without what was between them
        speech = self._speeches.setdefault(context_id, Speech(self.sample_rate))
        part = self._last_part(context_id)
        options = self._options()
        if part is None or part.options != options:
            if part is not None:
                part.end(closes=False)
            part = Part(context_id, options, offset=speech.words.length)
            self._parts.append(part)
            self._begin(part)
        part.push(text)
        speech.words.add(text)
        self._more.set()

    def _begin(self, part: Part) -> None:
        """Let the engine begin a new part, if it may; else the task does, and handles errors."""
        earlier_wait = any(other.utterance is None for other in self._parts if other is not part)
        if self._engine.session is not None and not earlier_wait:
            try:
                part.begin(self._engine.session)
            except SpeechError as error:
                logger.debug("{}: tried again from the task: {}", self, error)

    def _last_part(self, context_id: str | None) -> Part | None:
        return next((part for part in reversed(self._parts) if part.context_id == context_id), None)

    def _drop(self, context_id: str) -> None:
        """Forget a turn and stop its work; never waits."""
        self._speeches.pop(context_id, None)
        self._drop_parts(context_id)

    def _drop_parts(self, context_id: str) -> None:
        dropped = [part for part in self._parts if part.context_id == context_id]
        for part in dropped:
            self._parts.remove(part)
            part.cancel()

    # ------------------------------------------------------------ the task

    async def _speak_all(self) -> None:
        while True:
            while not self._parts:
                self._more.clear()
                await self._more.wait()
            part = self._parts[0]
            try:
                await self._speak(part)
            except SpeechError as error:
                await self._recover(part, error)
            except Exception as error:
                logger.exception("{}: speaking failed", self)
                # A bug, here or in an engine, may cost a turn, and not the call.
                failure = BackendError(f"speaking failed: {type(error).__name__}: {error}")
                await self._recover(part, failure)

    async def _speak(self, part: Part) -> None:
        """Pass the head of the queue on, to its end."""
        await self._connect()
        for waiting in self._parts:
            if waiting.utterance is None and self._engine.session is not None:
                waiting.begin(self._engine.session)
        if part.utterance is None:
            return  # it was dropped while the engine was opened
        async for event in part.utterance:
            if part.gone.is_set():
                continue  # the end is next
            if isinstance(event, Mark):
                part.expect(event)
            elif isinstance(event, AudioChunk):
                await self._pass_on(part, event)
        if not part.gone.is_set():
            await self._send_words(part, [(mark, self._playhead.end) for mark in part.rest()])
            self._parts.remove(part)
            if part.closes:
                await self._close(part.context_id)

    async def _pass_on(self, part: Part, chunk: AudioChunk) -> None:
        """Give audio and the words in it to Pipecat, and wait while it is far ahead."""
        self._tries = 0
        begins = self._playhead.add(chunk.seconds)
        speech = self._speeches[part.context_id]
        if speech.zero is None:
            # Pipecat counts word times from the first audio, or from the last word before it.
            speech.zero = max(self._playhead.clock(), self._last_word_at)
        await self._send_audio(part.context_id, speech.output.push(chunk.samples))
        marks = [
            (mark, begins + max(0, mark.start - chunk.offset) / SAMPLE_RATE)
            for mark in part.reached(chunk.offset + len(chunk.samples))
        ]
        await self._send_words(part, marks)
        # As if the next chunk were as long as this one; half the lead is always allowed.
        allowed = max(self._lead - chunk.seconds, self._lead / 2)
        if (excess := self._playhead.lead - allowed) > 0:
            await wait(part.gone, excess)

    async def _send_audio(self, context_id: str, data: bytes) -> None:
        if data and self.audio_context_available(context_id):
            frame = TTSAudioRawFrame(data, self.sample_rate, 1, context_id=context_id)
            await self.append_to_audio_context(context_id, frame)

    async def _send_words(self, part: Part, marks: list[tuple[Mark, float]]) -> None:
        speech = self._speeches.get(part.context_id)
        for mark, at in marks:
            if speech is None:
                return
            for word in speech.words.hear(len(mark.text), at):
                after = max(0.0, word.at - (speech.zero or word.at))
                self._last_word_at = word.at
                await self.add_word_timestamps(
                    [(word.text, after)],
                    part.context_id,
                    includes_inter_frame_spaces=word.glued,
                )

    async def _close(self, context_id: str) -> None:
        """End a turn's audio. A turn without any gets an inaudible piece of silence.

        Pipecat would report the turn as failed, and give the service up after three of them.
        """
        speech = self._speeches.pop(context_id, None) or Speech(self.sample_rate)
        if not self.audio_context_available(context_id):
            return
        tail = (
            speech.output.tail() if speech.zero is not None else bytes(2 * (self.sample_rate // 50))
        )
        await self._send_audio(context_id, tail)
        await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id=context_id))
        await self.remove_audio_context(context_id)

    # ------------------------------------------------------------ failures

    async def _recover(self, part: Part, failure: SpeechError) -> None:
        """Say what was not heard again if that can help, else give the turn up."""
        if part.gone.is_set():
            return
        if not isinstance(failure, ClosedError) or self._tries:  # once: it was idle for too long
            await self._report(failure)
        if not can_recover(failure) or self._tries >= len(_RETRIES):
            self._tries = 0
            self._drop_parts(part.context_id)
            await self._close(part.context_id)
            return
        pause = failure.retry_after or _RETRIES[self._tries]
        self._tries += 1
        if is_lost(failure):
            self._engine.lost()
            await self._call_event_handler("on_disconnected")
        for waiting in reversed(self._parts):  # the first of a context has the last word
            waiting.lose()
            self._speeches[waiting.context_id].words.rewind(waiting.position)
        await wait(part.gone, pause)

    async def _report(self, error: SpeechError) -> None:
        await self.push_error(error.message, error, category=category_of(error))
