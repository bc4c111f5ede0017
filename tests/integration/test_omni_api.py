"""WS /v1/audio/speech/stream, message by message."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile

from fakes import CHUNK, ScriptedBackend, voice_of
from serving import Running, Start

PCM = {"stream_audio": True, "response_format": "pcm"}
Frame = bytes | dict[str, Any]


class Client:
    """One side of the socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind} | fields)

    async def speak(self, *texts: str) -> list[Frame]:
        """Say a turn and return what comes back."""
        for text in texts:
            await self.say("input.text", text=text)
        await self.say("input.done")
        return await self.until("session.done")

    async def until(self, kind: str) -> list[Frame]:
        heard: list[Frame] = []
        while not (heard and isinstance(last := heard[-1], dict) and last["type"] == kind):
            message = await self.socket.receive()
            binary = message.type is aiohttp.WSMsgType.BINARY
            heard.append(message.data if binary else json.loads(message.data))
        return heard


async def connect(running: Running, **config: Any) -> Client:
    client = Client(await running.client.ws_connect("/v1/audio/speech/stream"))
    await client.say("session.config", **config)
    return client


def messages(frames: list[Frame], kind: str) -> list[dict[str, Any]]:
    return [frame for frame in frames if isinstance(frame, dict) and frame["type"] == kind]


def audio(frames: list[Frame]) -> bytes:
    return b"".join(frame for frame in frames if isinstance(frame, bytes))


async def test_a_turn_is_sentences_with_audio_between_start_and_done(start: Start) -> None:
    running = await start()
    client = await connect(running, **PCM, voice="bert")
    frames = await client.speak("One two three. ", "Four ", "five.")
    starts, dones = messages(frames, "audio.start"), messages(frames, "audio.done")
    assert [message["sentence_index"] for message in starts + dones] == [0, 1, 0, 1]
    assert [message["sentence_text"] for message in starts] == ["One two three.", "Four five."]
    assert {(m["format"], m["sample_rate"]) for m in starts} == {("pcm", 24_000)}
    assert sum(message["total_bytes"] for message in dones) == len(audio(frames))
    assert frames[-1] == {"type": "session.done", "utterance_index": 0, "total_sentences": 2}
    assert len(audio(frames)) == (len("One two three.") + len("Four five.")) * CHUNK * 2
    again = await client.speak("Again.")
    assert again[-1] == {"type": "session.done", "utterance_index": 1, "total_sentences": 1}
    assert set(np.frombuffer(audio(again), "<i2")) == {voice_of("Again.")}


async def test_an_empty_turn_keeps_the_session_alive(start: Start) -> None:
    client = await connect(await start(), **PCM)
    for index in range(3):
        (done,) = await client.speak()
        assert done == {"type": "session.done", "utterance_index": index, "total_sentences": 0}


async def test_words_come_with_their_times_in_their_sentence(start: Start) -> None:
    client = await connect(await start(), **PCM, timestamp_type="word")
    frames = await client.speak("One two. Three four.")
    first, second = (m["timestamp_info"]["word_alignment"] for m in messages(frames, "audio.done"))
    assert (first["words"], second["words"]) == (["One", "two."], ["Three", "four."])
    for words in (first, second):
        begins, ends = words["word_start_times_seconds"], words["word_end_times_seconds"]
        assert begins[0] == 0.0
        assert all(b <= e for b, e in zip(begins, ends, strict=True))
        assert begins == sorted(begins)


async def test_words_can_come_before_their_audio(start: Start) -> None:
    strategy = {"timestamp_type": "word", "timestamp_transport_strategy": "async"}
    client = await connect(await start(), **PCM, **strategy)
    frames = await client.speak("One two.")
    placed = messages(frames, "audio.timestamps")
    assert [m["word_alignment"]["words"] for m in placed] == [["One"], ["two."]]
    assert "timestamp_info" not in messages(frames, "audio.done")[0]
    assert isinstance(frames[0], dict) and frames[0]["type"] == "audio.timestamps"


async def test_without_streaming_a_sentence_is_one_whole_file(start: Start) -> None:
    client = await connect(await start())
    frames = await client.speak("One two three. Four.")
    files = [frame for frame in frames if isinstance(frame, bytes)]
    assert len(files) == len(messages(frames, "audio.done")) == 2
    samples, rate = soundfile.read(io.BytesIO(files[1]), dtype="int16")
    assert (rate, set(samples)) == (24_000, {voice_of("Four.")})


async def test_a_turn_can_be_one_piece(start: Start) -> None:
    client = await connect(await start(), **PCM, split_granularity="none")
    frames = await client.speak("One two. Three.")
    (begin,) = messages(frames, "audio.start")
    assert begin["sentence_text"] == "One two. Three."


async def test_a_sentence_is_spoken_before_its_turn_is_complete(start: Start) -> None:
    client = await connect(await start(), **PCM)
    await client.say("input.text", text="This is the first sentence. And ")
    assert (await client.until("audio.start"))[-1]["sentence_index"] == 0  # type: ignore[index,call-overload]


async def test_a_client_that_leaves_stops_the_work(start: Start) -> None:
    backend = ScriptedBackend(free=False)
    running = await start(backend)
    client = await connect(running, **PCM)
    await client.say("input.text", text="Hello there. ")
    await client.say("input.done")
    await running.until(lambda: bool(backend.running))
    await client.socket.close()
    await running.until(lambda: not backend.running)
    await running.until(lambda: running.synthesizer.status.sessions == 0)


@pytest.mark.parametrize(
    "config",
    [
        {"voice": "nobody"},
        {"language": "Klingon"},
        {"speed": 1.5},
        {"response_format": "midi"},
        {"ref_audio": "https://example.com/a.wav"},
        {"timestamp_type": "phoneme"},
    ],
)
async def test_a_config_that_cannot_be_had_is_refused_and_the_next_is_taken(
    start: Start, config: dict[str, Any]
) -> None:
    client = await connect(await start(), **PCM | config)
    await client.until("error")
    await client.say("input.text", text="Hello.")
    await client.until("error")
    await client.say("session.config", **PCM)
    assert audio(await client.speak("Hello."))


async def test_the_config_stands_until_the_turn_is_complete(start: Start) -> None:
    client = await connect(await start(), **PCM)
    await client.say("input.text", text="Hello. ")
    await client.say("session.config", **PCM, voice="bert")
    frames = await client.speak("You.")
    assert len(messages(frames, "error")) == 1
    assert audio(frames)


async def test_what_fails_is_told_and_the_next_turn_speaks(start: Start) -> None:
    client = await connect(await start(), **PCM)
    frames = await client.speak("Fine here. Then boom")
    assert len(messages(frames, "error")) == 1
    assert messages(frames, "audio.done")[-1]["error"] is True
    assert audio(await client.speak("Fine."))
    await client.socket.send_str("nonsense")
    await client.until("error")
    await client.say("dance")
    await client.until("error")


async def test_voices_are_listed_and_the_session_can_be_closed(start: Start) -> None:
    client = await connect(await start(), **PCM)
    await client.say("voice.list")
    (listed,) = await client.until("voice.list")
    assert isinstance(listed, dict) and listed["voices"] == ["anna", "bert"]
    await client.say("input.text", text="Bye.")
    await client.say("session.close")
    frames = await client.until("session.done")
    assert audio(frames)
    assert (await client.socket.receive()).type is aiohttp.WSMsgType.CLOSE
