"""Qwen3-TTS in this process, as a backend.

Turns a segment into a request of the engine: voice, language, layout, tokens, sampling. Knows
nothing about sessions, nor about tensors: `qwen_open.py` brings the model and the engine.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from qwen3_tts_live.backend import BackendEvent, Pcm, Segment, to_the_end
from qwen3_tts_live.backends.qwen_options import QwenOptions, with_settings
from qwen3_tts_live.engine.engine import Engine, EngineSpeech
from qwen3_tts_live.engine.live_text import LiveText
from qwen3_tts_live.engine.metrics import EngineMetrics
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.model.contract import Prompt, Runner, Sampling, TextLayout
from qwen3_tts_live.text.languages import LANGUAGES
from qwen3_tts_live.voices.library import ClonedVoices
from qwen3_tts_live.voices.voice import ModelType, VoiceRegistry

__all__ = ["QwenBackend", "QwenModel"]

_SEED_BITS = 63  # what fits a signed 64-bit integer, which is what generators take


class QwenModel(Protocol):
    """What the backend asks of a loaded checkpoint; see `model.checkpoint.Checkpoint`."""

    @property
    def model_type(self) -> ModelType:
        """Which of the three kinds it is."""
        ...

    @property
    def takes_instruct(self) -> bool:
        """Whether it follows instructions."""
        ...

    @property
    def hidden_size(self) -> int:
        """Length of a speaker embedding."""
        ...

    @property
    def languages(self) -> Mapping[str, int]:
        """Codec ids of languages and dialects, by name in lower case."""
        ...

    @property
    def sampling(self) -> Sampling:
        """Its own defaults."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of plain text; special tokens in it are text too."""
        ...

    def tokenize_instruct(self, text: str) -> list[int]:
        """Return the ids of an instruction, with those that make it the user's turn."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedQwen:
    """A checkpoint that can be run: its name for people, the model, its voices, its runner.

    `library` is what adds and removes voices, where the checkpoint can clone.
    """

    name: str
    model: QwenModel
    voices: VoiceRegistry
    runner: Runner
    library: ClonedVoices | None = None


class QwenBackend:
    """A Qwen3-TTS checkpoint on an engine; see `backend.Backend` for what it promises.

    Use `qwen_open.open_qwen`.

    Args:
        loaded: the checkpoint.
        engine: what runs it; closed with the backend.
        options: how to speak where a segment does not say.

    Raises:
        InvalidRequestError: the options ask for what the checkpoint does not have.
    """

    def __init__(self, loaded: LoadedQwen, engine: Engine, options: QwenOptions) -> None:
        self.name = loaded.name
        self.library = loaded.library
        self._model = loaded.model
        self._engine = engine
        self._registry = loaded.voices
        self._options = options
        self._sampling = with_settings(loaded.model.sampling, options.sampling)
        # None: the registry's first, which may yet come.
        self._speaker = options.speaker and loaded.voices.get(options.speaker).name
        self._checked_instruct(options.instruct)

    @property
    def languages(self) -> tuple[str, ...]:
        """Canonical names of the languages that the checkpoint speaks."""
        return tuple(name for name in LANGUAGES if name.lower() in self._model.languages)

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of its voices, the default first."""
        return tuple(sorted(self._registry.names, key=lambda name: name != self._speaker))

    @property
    def metrics(self) -> EngineMetrics:
        """What the engine did so far."""
        return self._engine.metrics

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        """Speak `segment`; see `backend.Backend`.

        Its language may also be Auto, which leaves it to the model. `segment.extra` may hold any
        of `qwen_options.SAMPLING_SETTINGS`.
        """
        speech = self._submit(segment, self._model.tokenize(segment.text.strip()), complete=True)
        async with aclosing(self._play(speech)) as events:
            async for event in events:
                yield event

    async def synthesize_live(
        self, segment: Segment, more: AsyncIterable[str]
    ) -> AsyncGenerator[BackendEvent, None]:
        """Speak `segment.text` and all that `more` brings, as one speech, while it arrives.

        The audio is that of the whole text at once. Layout `track` speaks as soon as words are
        certain; `prefill` waits for all of them. What `more` raises is raised here.
        """
        text = LiveText(self._model.tokenize)
        speech = self._submit(segment, text.push(segment.text), complete=False)
        feed = asyncio.create_task(self._feed(speech, text, more), name="live-text")
        try:
            async with aclosing(self._play(speech)) as events:
                async for event in events:
                    yield event
            if speech.reason == "cancelled":  # by the feed, because `more` has failed
                await feed
        finally:
            feed.cancel()
            await to_the_end(_ended(feed))

    async def aclose(self) -> None:
        """End the engine and its thread, and the library's."""
        if self.library is not None:
            await self.library.aclose()
        await self._engine.aclose()

    # ------------------------------------------------------------ one speech

    async def _play(self, speech: EngineSpeech) -> AsyncGenerator[BackendEvent, None]:
        try:
            async with aclosing(speech.audio()) as chunks:
                async for samples in chunks:
                    yield Pcm(samples)
        finally:
            await to_the_end(speech.stop(self._engine.clock()))

    async def _feed(self, speech: EngineSpeech, text: LiveText, more: AsyncIterable[str]) -> None:
        try:
            async for piece in more:
                if ids := text.push(piece):
                    speech.append_text(ids, complete=False)
        except Exception:
            await speech.stop(self._engine.clock())  # else it would wait for text for ever
            raise
        speech.append_text(text.finish(), complete=True)

    def _submit(self, segment: Segment, ids: list[int], *, complete: bool) -> EngineSpeech:
        return self._engine.submit(
            self._prompt(segment, ids, complete=complete),
            replace(with_settings(self._sampling, segment.extra), seed=self._seed(segment)),
            limits=self._options.limits(paced=self._model.model_type != "base"),
            chunks=self._options.chunks,
            max_ahead=self._options.max_ahead_frames,
        )

    def _prompt(self, segment: Segment, ids: list[int], *, complete: bool) -> Prompt:
        model = self._model
        voice = self._registry.get(segment.voice or self._speaker)
        given = segment.instruct if segment.instruct is not None else self._options.instruct
        instruct = self._checked_instruct(given)
        # Text along the frames is how the official code speaks with cloned voices, text first
        # how it does with the others.
        official: TextLayout = "track" if model.model_type == "base" else "prefill"
        return Prompt(
            text_ids=ids,
            text_complete=complete,
            layout=self._options.text_layout or official,
            language_id=self._registry.language_id(segment.language, voice),
            speaker_id=voice.speaker_id,
            speaker_embedding=voice.embedding,
            instruct_ids=model.tokenize_instruct(instruct) if instruct else (),
            reference_text_ids=model.tokenize(voice.ref_text) if voice.ref_text else (),
            reference_codes=voice.codes,
        )

    def _seed(self, segment: Segment) -> int:
        for seed in (segment.seed, self._options.seed):
            if seed is not None:
                return seed % (1 << _SEED_BITS)
        return secrets.randbits(_SEED_BITS)

    def _checked_instruct(self, instruct: str | None) -> str:
        instruct = (instruct or "").strip()
        if instruct and not self._model.takes_instruct:
            raise InvalidRequestError(
                f"{self.name} takes no instructions; VoiceDesign and CustomVoice 1.7B do"
            )
        return instruct


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait until a task that was cancelled is over; how it ended was its owner's to see."""
    await asyncio.gather(task, return_exceptions=True)
