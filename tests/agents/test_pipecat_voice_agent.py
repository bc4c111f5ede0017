"""The Pipecat agent, as a user starts it, over real WebRTC: it speaks, and can be talked over."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

import pipecat_voice_agent
from hearing import spoken
from livekit_server import free_port
from qwen3_tts_live import SAMPLE_RATE, Mark, open_synthesizer
from qwen3_tts_live.audio import Resampler
from webrtc import LOUD, SECOND, Listener, Microphone, needs_a_network_address

logger = logging.getLogger(__name__)

READY = {"label": "rtvi-ai", "type": "client-ready", "id": "1"}
READY |= {"data": {"version": "1.0.0", "about": {"library": "test"}}}


@asynccontextmanager
async def agent(folder: Path, *flags: str) -> AsyncIterator[str]:
    """Run the example as a process of its own; yields its address."""
    url = f"http://127.0.0.1:{(port := free_port(socket.SOCK_STREAM))}"
    command = [sys.executable, pipecat_voice_agent.__file__, "-t", "webrtc", *flags]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            await answers(process, f"{url}/client/")
            yield url
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            await process.wait()
            _, alive = await asyncio.to_thread(psutil.wait_procs, children, 10)
    assert alive == []


async def answers(process: asyncio.subprocess.Process, url: str) -> None:
    async with aiohttp.ClientSession() as client:
        while process.returncode is None:
            try:
                async with client.get(url) as page:
                    assert page.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    pytest.fail("the agent ended before it answered")


async def words_begun(text: str, seconds: float) -> int:
    """Return how many words of a text have begun that long after its first sound."""
    async with await open_synthesizer("preview:") as synthesizer:
        session = await synthesizer.open_session()
        marks = [event async for event in session.utter(text) if isinstance(event, Mark)]
    return sum(bool(mark.text.strip()) and mark.start < seconds * SAMPLE_RATE for mark in marks)


@needs_a_network_address
@pytest.mark.alone
async def test_it_falls_silent_and_remembers_what_was_heard(tmp_path: Path) -> None:
    transcript = tmp_path / "talk.jsonl"
    transcript.touch()
    # Silero takes the embedded voice for a person.
    question = await spoken("Tell me more about all of that now please.")
    question = Resampler(SAMPLE_RATE, Microphone.rate).push(question, last=True)
    async with (
        agent(tmp_path, "--offline", "--transcript", str(transcript)) as url,
        Listener.connected(f"{url}/api/offer") as user,
    ):
        user.send(READY)
        await user.until_loud(2.0)
        user.microphone.say(question)
        silent_at = await user.until_quiet(0.6)
        begun = user.microphone.started_at
        begins = next(i for i, loudness in enumerate(user.loudness) if loudness > LOUD)
        ends = user.times.index(silent_at)
        logger.info("silent %.0f ms after the user began to speak", 1000 * (silent_at - begun))
        await user.until(lambda: '"assistant"' in transcript.read_text())
        await user.until_loud()
    messages = [json.loads(line) for line in transcript.read_text().splitlines()]
    heard = next(m["content"] for m in messages if m["role"] == "assistant")
    whole = pipecat_voice_agent.ANSWERS[0]
    assert whole.startswith(heard)
    said = await words_begun(whole, (ends + 1 - begins) / SECOND)
    logger.info("%d words in the context, %d were heard", len(heard.split()), said)
    assert 3 <= said < len(whole.split()) - 5
    assert abs(len(heard.split()) - said) <= 1
    assert pipecat_voice_agent.QUESTIONS[0] in [m["content"] for m in messages]
