"""A voice agent in a LiveKit room, speaking with Qwen3-TTS.

  python livekit_room_agent.py [--offline] dev        join the rooms of a livekit-server
  python livekit_room_agent.py [--offline] start      the same in production
  python livekit_room_agent.py [--offline] console    talk to it here: microphone, loudspeaker, no server
  python livekit_room_agent.py COMMAND --help         the command's own flags

--offline needs no account, no key, no model and no GPU: the user's words and the answers are
scripted, and the embedded voice speaks them. Hearing, turn taking and interrupting are real.

The livekit-server is named as LiveKit always does; these fit `livekit-server --dev`:
  LIVEKIT_URL=ws://127.0.0.1:7880  LIVEKIT_API_KEY=devkey  LIVEKIT_API_SECRET=secret

The parts, where not --offline:
  TTS_ENGINE     where the voice is: ws://HOST:9000 (our server, the default is on this machine),
                 preview: (the embedded voice)
  TTS_VOICE  TTS_LANGUAGE  TTS_INSTRUCT     how it speaks; unset, the engine's defaults
  LLM_BASE_URL  LLM_API_KEY  LLM_MODEL      any server with OpenAI's /v1/chat/completions
  STT_BASE_URL  STT_API_KEY  STT_MODEL      any server with OpenAI's /v1/audio/transcriptions
  AGENT_OFFLINE=1                           what --offline sets

In the room, speak: it stops when you do. A client can also send
  text on the topic lk.chat                 a question, in writing
  the RPC method say, with a text           speak exactly this, after what is being spoken;
                                            answers with an id, at once
  the RPC method interrupt                  stop and flush; answers when all is silent
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle
from typing import Any

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    LanguageCode,
    TurnHandlingOptions,
    cli,
    llm,
    stt,
    utils,
)
from livekit.plugins import openai, qwen3_tts

INSTRUCTIONS = """You are a friendly voice assistant. What you write is spoken: answer in one to
three short sentences, without lists, headings or emoji."""
MOST_ROOMS = 20
GREETING = "Hello! You can interrupt me at any time."


# ---------------------------------------------------------------- settings
@dataclass(frozen=True, slots=True)
class Service:
    """Where an OpenAI-compatible service is. None leaves it to its plugin."""

    base_url: str | None
    api_key: str | None
    model: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the environment says."""

    offline: bool
    engine: str
    voice: str | None
    language: str
    instruct: str | None
    llm: Service
    stt: Service


def read_settings() -> Settings:
    """Read the environment. Nothing else here does: a job's process has it from its parent."""
    env = os.environ.get
    offline = env("AGENT_OFFLINE", "") not in ("", "0")

    def service(prefix: str, model: str) -> Service:
        base_url = env(f"{prefix}_BASE_URL")
        # Servers of one's own rarely want a key, but the plugin wants one.
        api_key = env(f"{prefix}_API_KEY") or ("none" if base_url else None)
        return Service(base_url, api_key, env(f"{prefix}_MODEL", model))

    return Settings(
        offline=offline,
        engine=env("TTS_ENGINE", "preview:" if offline else "ws://127.0.0.1:9000"),
        voice=env("TTS_VOICE"),
        language=env("TTS_LANGUAGE", "Auto"),
        instruct=env("TTS_INSTRUCT"),
        llm=service("LLM", "gpt-4.1-mini"),
        stt=service("STT", "gpt-4o-mini-transcribe"),
    )


# ---------------------------------------------------------------- the agent
class RoomAgent(Agent):
    """Greets whoever is there."""

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)

    async def on_enter(self) -> None:
        """Called once it may speak."""
        await self.session.say(GREETING).wait_for_playout()


def open_session(settings: Settings, voice: qwen3_tts.TTS) -> AgentSession[None]:
    """Return a conversation with the parts that the settings name."""
    if settings.offline:
        parts: tuple[llm.LLM[Any], stt.STT[Any]] = ScriptedLLM(), ScriptedSTT()
    else:
        parts = open_llm(settings.llm), open_stt(settings.stt)
    return AgentSession(
        llm=parts[0],
        stt=parts[1],
        tts=voice,
        # Silero's VAD comes with the framework and is its default; the rest of the default turn
        # handling asks LiveKit's hosted models.
        turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
        # The history then holds the words that were heard, not those that were written.
        use_tts_aligned_transcript=True,
    )


def open_llm(at: Service) -> llm.LLM[Any]:
    """Return the LLM. Another plugin goes here."""
    return openai.LLM(
        model=at.model,
        base_url=at.base_url or NOT_GIVEN,
        api_key=at.api_key or NOT_GIVEN,
    )


def open_stt(at: Service) -> stt.STT[Any]:
    """Return the speech recognition. Another plugin goes here."""
    return openai.STT(
        model=at.model,
        base_url=at.base_url or NOT_GIVEN,
        api_key=at.api_key or NOT_GIVEN,
        detect_language=True,
    )


def how_full(worker: AgentServer) -> float:
    """Return the load that the livekit-server is told; production takes no room from 0.7 on.

    The default is this machine's CPU use, and a worker at 100 % is sent nobody, without a word.
    These rooms cost little where the voice is elsewhere, so they are counted.
    """
    return len(worker.active_jobs) / MOST_ROOMS


server = AgentServer(load_fnc=how_full)  # `lk agent` and `python -m livekit.agents` find it, too


@server.rtc_session()
async def join(job: JobContext) -> None:
    """Hold one conversation in one room, until its user leaves."""
    settings = read_settings()
    voice = qwen3_tts.TTS(
        engine=settings.engine,
        voice=settings.voice,
        language=settings.language,
        instruct=settings.instruct,
    )
    # The framework closes sessions, but never a TTS.
    job.add_shutdown_callback(voice.aclose)
    session = open_session(settings, voice)
    session.on("close", lambda _: job.shutdown("the conversation is over"))
    await session.start(RoomAgent(), room=job.room)
    if not job.is_fake_job():  # console mode has no room
        take_requests(job.room.local_participant, session)


def take_requests(me: rtc.LocalParticipant, session: AgentSession[None]) -> None:
    """Let clients say more than words."""

    async def say(request: rtc.RpcInvocationData) -> str:
        return session.say(request.payload).id  # joins the queue; the answer does not wait for it

    async def interrupt(_: rtc.RpcInvocationData) -> str:
        await session.interrupt()
        return ""

    me.register_rpc_method("say", say)
    me.register_rpc_method("interrupt", interrupt)


# ---------------------------------------------------------------- scripted parts
class ScriptedSTT(stt.STT[Any]):
    """Hears that something was said, and takes it for the next of its lines."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._lines = cycle(("Tell me more.", "And what else?", "Go on, please."))

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: Any = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        said = stt.SpeechData(language=LanguageCode("en"), text=next(self._lines))
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[said])


class ScriptedLLM(llm.LLM[Any]):
    """Answers whatever is asked with the next of its lines, as fast as a real one writes."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = cycle(
            (
                "Speech is made while the answer is still being written. "
                "That is why you hear the first words before I know the last ones.",
                "When you speak, everything stops: the sound in the room, and the work behind it.",
            )
        )

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Begin the next answer."""
        return ScriptedStream(
            self, next(self._lines), chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class ScriptedStream(llm.LLMStream):
    """One answer, a word at a time."""

    def __init__(self, llm: ScriptedLLM, text: str, **rest: Any) -> None:
        super().__init__(llm, **rest)
        self._text = text

    async def _run(self) -> None:
        for word in re.findall(r"\S+\s*", self._text):
            await asyncio.sleep(0.04)  # 25 words a second
            delta = llm.ChoiceDelta(role="assistant", content=word)
            self._event_ch.send_nowait(llm.ChatChunk(id="scripted", delta=delta))


# ---------------------------------------------------------------- command line
def main() -> None:
    """Take our own flags; the rest is the command line of livekit-agents."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(__doc__)
        return
    if "--offline" in arguments:
        os.environ["AGENT_OFFLINE"] = "1"  # which the processes of the jobs inherit
        sys.argv.remove("--offline")
    if "console" in arguments:
        require_sound()
    cli.run_app(server)


def require_sound() -> None:
    """Say what console mode lacks, instead of the traceback of its import."""
    try:
        import_module("sounddevice")
    except OSError as error:
        sys.exit(
            f"Console mode plays and records through PortAudio: {error}.\n"
            "On Debian and Ubuntu: apt install libportaudio2. Or use a room: see --help."
        )


if __name__ == "__main__":
    main()
