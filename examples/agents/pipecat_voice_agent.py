"""A Pipecat voice agent that speaks with Qwen3-TTS: talk to it in the browser, and talk over it.

  python pipecat_voice_agent.py --offline         then open http://localhost:7860/
  python pipecat_voice_agent.py                   with a real LLM and real speech recognition
  python pipecat_voice_agent.py -t twilio -x HOST on the telephone; -t daily in a Daily room

--offline needs no account, no key, no model and no GPU: the user's words and the answers are
scripted, and the embedded voice speaks them. Voice activity detection, turn taking
(both bundled with Pipecat), interrupting and the conversation's context are real.

Without --offline, from the environment or a file .env:
  OPENAI_API_KEY  OPENAI_BASE_URL  OPENAI_MODEL   any server with OpenAI's /v1/chat/completions
  DEEPGRAM_API_KEY                                Deepgram hears the user; without it:
  STT_BASE_URL  STT_API_KEY  STT_MODEL            any server with OpenAI's /v1/audio/transcriptions;
                                                  unset, the same service as the LLM's

Install: pip install 'qwen3-tts-live[preview,pipecat]' 'pipecat-ai[runner,webrtc,silero,openai,deepgram]'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.transports.base_transport import TransportParams
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from pipecat_qwen3_tts import Qwen3TTSService

PAGE = Path(__file__).with_suffix(".html")
INSTRUCTIONS = """You are a friendly voice assistant. What you write is spoken: answer in one to
three short sentences, without lists, headings or emoji."""
ANSWERS = (
    "Hello! You can interrupt me at any time: just start to speak, and I fall silent at once. "
    "Until then I go on and on about nothing in particular, because nobody has asked me anything. "
    "The words that you have not heard will not be in my memory either.",
    "Speech is made while the answer is still being written. "
    "That is why you hear the first words before I know the last ones.",
    "When you speak, everything stops: the sound in your ear, and the work behind it.",
)
QUESTIONS = ("Tell me more.", "And what else?", "Go on, please.")


# ---------------------------------------------------------------- settings
@dataclass(frozen=True, slots=True)
class Settings:
    """All that the flags and the environment say. None leaves it to the service."""

    offline: bool
    engine: str
    voice: str | None
    language: str | None
    instruct: str | None
    transcript: Path | None
    llm_url: str | None
    llm_key: str | None
    llm_model: str
    deepgram_key: str | None
    stt_url: str | None
    stt_key: str | None
    stt_model: str


def read_settings(
    flags: argparse.Namespace | None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read flags and environment. Nothing else here does.

    Raises:
        SystemExit: something is missing; the message says what to set.
    """
    if flags is None:  # another runner than ours
        flags = own_flags().parse_args([])
    llm_url = environ.get("OPENAI_BASE_URL")
    # Servers of one's own rarely want a key, but the client wants one.
    llm_key = environ.get("OPENAI_API_KEY") or ("none" if llm_url else None)
    if not flags.offline and llm_key is None:
        sys.exit(
            "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own; "
            "or try it with --offline, which needs neither."
        )
    stt_url = environ.get("STT_BASE_URL")
    return Settings(
        offline=flags.offline,
        engine=flags.engine,
        voice=flags.voice,
        language=flags.language,
        instruct=flags.instruct,
        transcript=flags.transcript,
        llm_url=llm_url,
        llm_key=llm_key,
        llm_model=environ.get("OPENAI_MODEL", "gpt-4.1-mini"),
        deepgram_key=environ.get("DEEPGRAM_API_KEY"),
        stt_url=stt_url or llm_url,
        stt_key=environ.get("STT_API_KEY") or ("none" if stt_url else llm_key),
        stt_model=environ.get("STT_MODEL", "gpt-4o-mini-transcribe"),
    )


def own_flags() -> argparse.ArgumentParser:
    """Return our flags; Pipecat's runner adds its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--offline", action="store_true", help="scripted parts: no account, no key")
    add(
        "--engine",
        metavar="ADDRESS",
        default="preview:",
        help="what speaks: preview: (the embedded voice, the default), ws://HOST:PORT (our "
        "server), openai+http://HOST/v1; qwen:PATH loads the model anew for each conversation",
    )
    add("--voice", metavar="NAME", help="one of the engine's voices")
    add("--language", metavar="NAME", help="a name or code; unset, the text tells")
    add("--instruct", metavar="TEXT", help="how to say it, for models that follow instructions")
    add(
        "--transcript",
        metavar="FILE",
        type=Path,
        help="append the conversation as JSON lines: what the LLM was told, so only what was heard",
    )
    return parser


# ---------------------------------------------------------------- the agent
async def bot(runner_args: RunnerArguments) -> None:
    """Hold one conversation; Pipecat's runner calls this for each."""
    settings = read_settings(runner_args.cli_args)
    transport = await create_transport(runner_args, TRANSPORTS)
    context = LLMContext([{"role": "system", "content": INSTRUCTIONS}])
    # The default end of a turn is Pipecat's smart turn model.
    user, assistant = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    tts = Qwen3TTSService(
        engine=settings.engine,
        settings=Qwen3TTSService.Settings(
            voice=settings.voice, language=settings.language, instruct=settings.instruct
        ),
    )
    stages: list[FrameProcessor] = [transport.input(), open_stt(settings), user]
    if settings.transcript is not None:
        stages.append(Transcript(settings.transcript))
    stages += [open_llm(settings), tts, transport.output(), assistant]
    telephone = getattr(runner_args, "transport_type", None) == "twilio"
    rates: dict[str, Any] = {}
    if telephone:
        rates = {"audio_in_sample_rate": 8000, "audio_out_sample_rate": 8000}
    worker = PipelineWorker(
        Pipeline(stages),
        params=PipelineParams(enable_metrics=True, enable_usage_metrics=True, **rates),
        idle_timeout_secs=runner_args.pipeline_idle_timeout_secs,
    )
    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    await runner.add_workers(worker)

    async def greet(*_: Any) -> None:
        await worker.queue_frames([LLMRunFrame()])

    async def leave(*_: Any) -> None:
        await runner.cancel()

    transport.add_event_handler("on_client_connected", greet)
    transport.add_event_handler("on_client_disconnected", leave)
    await runner.run()


def _daily() -> TransportParams:
    from pipecat.transports.daily.transport import DailyParams  # an extra of its own

    return DailyParams(audio_in_enabled=True, audio_out_enabled=True)


def _twilio() -> TransportParams:
    from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams

    return FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True)


TRANSPORTS = {
    "webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True),
    "daily": _daily,
    "twilio": _twilio,
}


def open_llm(settings: Settings) -> FrameProcessor:
    """Return the LLM. Another service of Pipecat's goes here."""
    if settings.offline:
        return ScriptedLLM()
    from pipecat.services.openai.llm import OpenAILLMService

    return OpenAILLMService(
        api_key=settings.llm_key,
        base_url=settings.llm_url,
        settings=OpenAILLMService.Settings(model=settings.llm_model),
    )


def open_stt(settings: Settings) -> FrameProcessor:
    """Return the speech recognition. Another service of Pipecat's goes here."""
    if settings.offline:
        return ScriptedSTT()
    if settings.deepgram_key is not None:
        from pipecat.services.deepgram.stt import DeepgramSTTService

        return DeepgramSTTService(api_key=settings.deepgram_key)
    from pipecat.services.openai.stt import OpenAISTTService

    return OpenAISTTService(
        api_key=settings.stt_key,
        base_url=settings.stt_url,
        settings=OpenAISTTService.Settings(model=settings.stt_model),
    )


class Transcript(FrameProcessor):
    """Writes the messages of the context when they are sent to the LLM, each once."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._written = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            messages = frame.context.get_messages()
            lines = [json.dumps(m, ensure_ascii=False) + "\n" for m in messages[self._written :]]
            self._written = len(messages)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        await self.push_frame(frame, direction)


# ---------------------------------------------------------------- scripted parts
class ScriptedSTT(SegmentedSTTService):
    """Hears that something was said, and takes it for the next of its lines."""

    def __init__(self) -> None:
        super().__init__(settings=STTSettings(model="scripted", language="en"))
        self._lines = cycle(QUESTIONS)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        """Return a transcription of whatever it was."""
        said, at = next(self._lines), time_now_iso8601()
        yield TranscriptionFrame(said, "user", at, finalized=True)


class ScriptedLLM(FrameProcessor):
    """Answers whatever is asked with the next of its lines, 25 words a second."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = cycle(ANSWERS)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context; pass everything else on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for word in re.findall(r"\S+\s*", next(self._lines)):
            await asyncio.sleep(0.04)
            await self.push_frame(LLMTextFrame(word))
        await self.push_frame(LLMFullResponseEndFrame())


def main() -> None:
    """Say what is missing, then let Pipecat's runner serve, and our page at /."""
    from fastapi.responses import FileResponse
    from pipecat.runner.run import app  # reads .env
    from pipecat.runner.run import main as run

    flags = own_flags()
    if not {"-h", "--help"} & set(sys.argv):
        read_settings(flags.parse_known_args()[0])
    # Pipecat's own page, at /client/, loads a script from Daily's servers to find the microphone.
    app.get("/", include_in_schema=False)(lambda: FileResponse(PAGE))
    run(flags)


if __name__ == "__main__":
    main()
