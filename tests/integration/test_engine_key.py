"""The key of an engine that is a server: how it is given, and what a wrong one means to whom."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import soundfile
from livekit.agents import APIStatusError
from livekit.agents.tts import TTSError
from livekit.plugins import qwen3_tts
from pipecat.utils.errors import ErrorCategory

from fakes import CHUNK, ScriptedBackend
from livekit_parts import listen, say
from pipecat_call import calling
from pipecat_qwen3_tts import Qwen3TTSService
from qwen3_tts_live.backend import BackendEvent, Segment
from qwen3_tts_live.cli import main
from qwen3_tts_live.cli.engine_flags import add_engine_key_flags, engine_key
from qwen3_tts_live.errors import AuthenticationError, InvalidRequestError
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_server.command import serve
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments
from serving import serving

KEY = "k" * 16
FLAGS = "--engine-key-file FILE or ENGINE_API_KEY"


@pytest.fixture
async def locked() -> AsyncIterator[list[str]]:
    """The addresses of a server that asks for `KEY`."""
    async with (
        LiveSynthesizer(ScriptedBackend()) as synthesizer,
        serving(synthesizer, api_keys=(KEY,)) as address,
    ):
        yield [address, f"openai+{address.replace('ws:', 'http:')}/v1"]


def given(*flags: str, **environ: str) -> str | None:
    parser = argparse.ArgumentParser()
    add_engine_key_flags(parser, environ)
    return engine_key(parser.parse_args(flags))


def test_a_key_is_taken_from_a_file_a_flag_or_the_environment_in_that_order(
    tmp_path: Path,
) -> None:
    file = tmp_path / "key"
    file.write_text("# of the server next door\n\n  from-a-file  \n")
    assert given() is given(ENGINE_API_KEY="") is None
    assert given(ENGINE_API_KEY="from-there") == "from-there"
    assert given("--engine-key", "from-a-flag", ENGINE_API_KEY="x") == "from-a-flag"
    for environ in ({}, {"ENGINE_API_KEY": "x"}):
        assert given("--engine-key-file", str(file), **environ) == "from-a-file"


@pytest.mark.parametrize("text", ["", "# nothing\n", "one\ntwo\n", "two words", "ключ"])
def test_a_file_without_one_key_is_refused_and_not_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(InvalidRequestError) as refused:
        given("--engine-key-file", str(file))
    assert "two" not in refused.value.message


async def test_say_speaks_with_a_servers_key_and_says_what_to_do_without(
    locked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = tmp_path / "key", tmp_path / "out.wav"
    file.write_text(KEY)
    for address in locked:
        command = ["say", "Hi.", "--engine", address, "-o", str(output)]
        key = ["--engine-key-file", str(file)]
        assert await asyncio.to_thread(main, [*command, *key]) == 0
        assert soundfile.info(output).frames == 3 * CHUNK
        capsys.readouterr()
        for wrong in ([], ["--engine-key", "x" * 16]):
            assert await asyncio.to_thread(main, [*command, *wrong]) == 2
            assert FLAGS in capsys.readouterr().err.splitlines()[-1]


async def test_serve_speaks_with_a_servers_key_and_ends_with_what_to_do_without(
    locked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def options(address: str, key: str) -> ServerOptions:
        parser = argparse.ArgumentParser()
        add_arguments(parser, {"ENGINE_API_KEY": key, "HOST": "127.0.0.1", "PORT": "0"})
        return from_arguments(parser.parse_args(["--engine", address]))

    caplog.set_level("INFO", "qwen3_tts_server")
    for address in locked:
        with pytest.raises(InvalidRequestError, match=FLAGS):
            await serve(options(address, "x" * 16))
        assert KEY not in repr(options(address, KEY))
        caplog.clear()
        serving_it = asyncio.create_task(serve(options(address, KEY)))
        while "scripted speaks at" not in caplog.text:
            assert not serving_it.done(), await serving_it
            await asyncio.sleep(0.001)
        serving_it.cancel()
        await asyncio.wait([serving_it])


async def test_a_wrong_key_is_what_the_frameworks_call_it_and_is_not_tried_again(
    locked: list[str],
) -> None:
    for address in locked:
        for key in (None, "x" * 16):
            async with qwen3_tts.TTS(engine=address, api_key=key) as speaker:
                errors: list[TTSError] = []
                speaker.on("error", errors.append)
                with pytest.raises(APIStatusError, match="401") as refused:
                    await listen(say(speaker, "Hi."))
            assert refused.value.status_code == 401
            assert [error.recoverable for error in errors] == [False]
            service = Qwen3TTSService(engine=address, api_key=key)
            async with calling(service) as call:
                await call.until(lambda: call.up)
                assert not service.is_usable
            (told,) = call.up
            assert told.category == ErrorCategory.AUTHENTICATION


class Expired(ScriptedBackend):
    """Speaks for a server that no longer takes our key."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[BackendEvent, None]:
        raise AuthenticationError("the engine answers 401")
        yield


async def test_a_server_whose_own_key_has_expired_does_not_blame_its_clients() -> None:
    async with (
        LiveSynthesizer(Expired()) as synthesizer,
        serving(synthesizer, api_keys=(KEY,)) as address,
        aiohttp.ClientSession(address.replace("ws:", "http:")) as client,
        client.post(
            "/tts/stream", json={"text": "Hi."}, headers={"Authorization": f"Bearer {KEY}"}
        ) as answer,
    ):
        told = (await answer.json())["error"]
        assert (answer.status, told["code"], told["type"]) == (503, "unauthorized", "server_error")
