"""The voices of a server as its clients see and change them: `ws://`, `unix:`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from cloning import Cloning, StartCloning, audio, tone
from fakes import ScriptedBackend
from qwen3_tts_live import SessionOptions, open_synthesizer
from qwen3_tts_live.cli import main
from qwen3_tts_live.client import RemoteSynthesizer
from qwen3_tts_live.errors import (
    ClosedError,
    ConnectionLostError,
    InvalidRequestError,
    SpeechError,
    UnknownVoiceError,
    VoiceExistsError,
)
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import Finished, Synthesizer
from serving import serving

KEY = "k" * 16


@pytest.fixture
async def pair(cloning: StartCloning) -> AsyncIterator[tuple[Cloning, Synthesizer]]:
    """A server with a key, whose engine clones, and a client of it."""
    one = await cloning(api_keys=(KEY,))
    one.backend.free = True
    address = f"ws://127.0.0.1:{one.running.port}/"
    async with await open_synthesizer(address, api_key=KEY) as synthesizer:
        yield one, synthesizer


async def speak(synthesizer: Synthesizer, voice: str | None) -> None:
    session = await synthesizer.open_session()
    async with aclosing(aiter(session.utter("Hi.", options=SessionOptions(voice=voice)))) as events:
        last = [event async for event in events][-1]
    assert isinstance(last, Finished) and last.samples


async def test_a_client_adds_a_voice_speaks_with_it_at_once_and_removes_it(
    pair: tuple[Cloning, Synthesizer],
) -> None:
    one, here = pair
    library = here.voices
    assert library is not None and library.names == ()
    whole = tone(1.0, 16_000)[:, 0]
    await library.add("sound", (whole, 16_000))
    await library.add("said", ((whole * 32767).astype(np.int16), 16_000), text="Ah, ÿ.")
    await library.add("file", audio(tone(1.0, 16_000), "flac", 16_000))
    assert library.names == ("sound", "said", "file")
    assert here.info.voices == ("reference", "sound", "said", "file")
    assert one.store.load("said").ref_text == "Ah, ÿ."
    embeddings = [one.store.load(name).embedding for name in library.names]
    assert np.allclose(embeddings[0], embeddings[1], atol=1e-4)
    assert np.allclose(embeddings[0], embeddings[2], atol=1e-4)
    await speak(here, "said")
    assert one.backend.spoken_with[-1].name == "said"
    await library.remove("said")
    assert here.info.voices == ("reference", "sound", "file")
    with pytest.raises(UnknownVoiceError):
        await speak(here, "said")


async def test_other_clients_hear_of_a_voice_that_has_come_or_gone(
    pair: tuple[Cloning, Synthesizer],
) -> None:
    one, here = pair
    address = f"ws://127.0.0.1:{one.running.port}"  # another address: a connection of its own
    async with await open_synthesizer(address, api_key=KEY) as there:
        assert here.voices is not None and there.voices is not None
        await here.voices.add("anna", audio(tone(1.0)))
        await one.running.until(lambda: there.info.voices == ("reference", "anna"))
        assert there.voices.names == ("anna",)
        await there.voices.remove("anna")
        await one.running.until(lambda: here.info.voices == ("reference",))
        assert here.voices.names == ()


async def test_the_command_line_adds_lists_and_removes_voices_of_a_server(
    pair: tuple[Cloning, Synthesizer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = pair
    key, recording = tmp_path / "key", tmp_path / "anna.m4a"
    key.write_text(KEY)
    recording.write_bytes(audio(tone(1.0), "m4a"))
    where = ["--engine", f"ws://127.0.0.1:{one.running.port}", "--engine-key-file", str(key)]

    async def voices(*command: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["voices", *command, *where])
        told = capsys.readouterr()
        return status, told.err.splitlines()[-1] if status else told.out

    say = ("--ref-text", "Ah.", "--ref-audio", str(recording))
    assert await voices("add", "anna", *say) == (0, "")
    assert one.store.load("anna").ref_text == "Ah."
    assert await voices("list") == (0, "reference\t\nanna\tadded\n")
    for command, clue in (
        (("add", "anna", *say), "already"),
        (("add", "anna", "--replace", *say), "remove it first"),
        (("add", "anna"), "--ref-audio"),
        (("remove", "bert"), "bert"),
    ):
        status, last = await voices(*command)
        assert status == 2 and clue in last
    assert await voices("remove", "anna") == (0, "")
    assert one.registry.names == ("reference",)


async def test_errors_are_those_of_an_engine_in_this_process(
    pair: tuple[Cloning, Synthesizer],
) -> None:
    one, here = pair
    library = here.voices
    assert library is not None
    await library.add("anna", audio(tone(1.0)))
    for name, recording, error in (
        ("anna", audio(tone(1.0)), VoiceExistsError),
        ("../anna", audio(tone(1.0)), InvalidRequestError),
        ("bert", b"no audio", InvalidRequestError),
        ("bert", (tone(0.1), 24_000), InvalidRequestError),
    ):
        with pytest.raises(error) as told:
            await library.add(name, recording)
        assert type(told.value) is error
    for name in ("nobody", "..", ".", "", "a/b", "a?b#c"):
        with pytest.raises(SpeechError) as told:
            await library.remove(name)
        assert isinstance(told.value, InvalidRequestError)
    with pytest.raises(VoiceExistsError):
        await library.remove("reference")
    assert library.names == ("anna",)
    await one.running.server.stop()
    with pytest.raises(ConnectionLostError):
        await library.remove("anna")
    await here.aclose()
    with pytest.raises(ClosedError):
        await library.remove("anna")


async def test_a_server_in_front_of_another_manages_its_voices_and_others_have_none(
    pair: tuple[Cloning, Synthesizer], tmp_path: Path
) -> None:
    _, here = pair
    async with (
        serving(here, port=None, unix=tmp_path / "s") as front,
        await RemoteSynthesizer.open(front) as synthesizer,
    ):
        assert synthesizer.voices is not None
        await synthesizer.voices.add("anna", audio(tone(1.0)))
        assert here.info.voices == synthesizer.info.voices == ("reference", "anna")
        await speak(synthesizer, "anna")
    async with (
        LiveSynthesizer(ScriptedBackend()) as fixed,
        serving(fixed) as address,
        await RemoteSynthesizer.open(address) as synthesizer,
    ):
        assert synthesizer.voices is None
