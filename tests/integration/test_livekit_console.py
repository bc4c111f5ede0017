"""The LiveKit example in console mode, driven as `lk agent console` does it: no server, no room."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from pathlib import Path

import numpy as np
from livekit.protocol.agent_pb.agent_session import AgentSessionMessage

from hearing import likeness, spoken
from qwen3_tts_live.audio import PcmSamples, Resampler

AGENT = Path(__file__).parents[2] / "examples/agents/livekit_room_agent.py"
GREETING = "Hello! You can interrupt me at any time."


class Terminal:
    """The other end of a console: a loudspeaker that says when it has played.

    Framing: four bytes of length, most significant first, and a protobuf message.
    """

    def __init__(self) -> None:
        self.played = asyncio.Event()
        self.frames: list[bytes] = []  # int16 mono at 48 kHz

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack(">I", await reader.readexactly(4))
                message = AgentSessionMessage.FromString(await reader.readexactly(size))
                match message.WhichOneof("message"):
                    case "audio_output":
                        self.frames.append(message.audio_output.data)
                    case "audio_playback_flush" if self.frames:
                        answer = AgentSessionMessage()
                        answer.audio_playback_finished.SetInParent()
                        data = answer.SerializeToString()
                        writer.write(struct.pack(">I", len(data)) + data)
                        self.played.set()
        except asyncio.IncompleteReadError:
            writer.close()

    def heard(self) -> PcmSamples:
        samples = np.frombuffer(b"".join(self.frames), np.int16)
        return Resampler(48_000).push(samples, last=True)


async def test_the_agent_greets_in_a_console_without_a_server() -> None:
    terminal = Terminal()
    async with await asyncio.start_server(terminal.serve, "127.0.0.1") as peer:
        address = f"127.0.0.1:{peer.sockets[0].getsockname()[1]}"
        command = [sys.executable, "-m", "livekit.agents", "console", AGENT]
        agent = await asyncio.create_subprocess_exec(
            *command,
            *("--connect-addr", address),
            env={
                **os.environ,
                "AGENT_OFFLINE": "1",
                "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",  # weights that it does not use
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            await asyncio.wait_for(terminal.played.wait(), 100)
            agent.send_signal(signal.SIGINT)
        finally:
            output, _ = await agent.communicate()

    assert likeness(terminal.heard(), await spoken(GREETING)) > 0.9, output.decode()
