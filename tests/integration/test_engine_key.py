"""The key of an engine that is a server: how commands are given it, and what a wrong one says."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import soundfile

from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live.cli import main
from qwen3_tts_live.cli.engine_flags import add_engine_key_flags, engine_key
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.session import LiveSynthesizer
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
    locked: list[str],
) -> None:
    command = [sys.executable, "-m", "qwen3_tts_live", "serve", "--engine", locked[0]]
    command += ["--host", "127.0.0.1", "--port", "0"]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, "ENGINE_API_KEY": key}
        )
        for key in (KEY, "x" * 16)
    ]
    right, wrong = processes
    _, said = await wrong.communicate()
    assert wrong.returncode == 2
    last = said.decode().splitlines()[-1]
    assert last.startswith("error: ") and FLAGS in last and "x" * 16 not in said.decode()
    assert right.stderr is not None
    while b"scripted speaks at" not in (line := await right.stderr.readline()):
        assert line, "it did not start"
    right.terminate()
    await right.communicate()
    assert right.returncode == 0
