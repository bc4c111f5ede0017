"""The command line as a person uses it: real files and signals, and processes where they matter."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from qwen3_tts_live.cli import main
from qwen3_tts_live.errors import BackendUnavailableError, InvalidRequestError
from qwen3_tts_live.factory import open_synthesizer
from qwen3_tts_server.command import engine_address
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments

COMMAND = [sys.executable, "-m", "qwen3_tts_live"]


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[bytes]:
    data = None if text is None else text.encode()
    return subprocess.run([*COMMAND, *arguments], input=data, capture_output=True, timeout=60)


def status(*arguments: str) -> int:
    """Run the command line here, where its imports are paid for already; return its status."""
    try:
        return main(arguments)
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code


# ------------------------------------------------------------------ say


@pytest.mark.parametrize("name", ["out.wav", "out.flac", "out.ogg", "out.mp3"])
def test_say_writes_an_audio_file_by_its_name(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("say", "Hello world.", "--language", "en", "-o", str(tmp_path / name)) == 0
    samples, rate = soundfile.read(tmp_path / name)
    assert rate == 24_000
    assert len(samples) > 12_000
    assert np.abs(samples).max() > 0.1
    assert "first audio after" in capsys.readouterr().err


def test_say_writes_raw_pcm_to_standard_output_and_reads_standard_input() -> None:
    done = run("say", "-", "-o", "-", text="Hello world.")
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(done.stdout) > 24_000
    assert len(done.stdout) % 2 == 0


@pytest.mark.parametrize(
    ("arguments", "expected", "clue"),
    [
        (["say", "x", "--language", "Klingon"], 2, "Chinese"),
        (["say", "x", "--voice", "nobody"], 2, "default"),
        (["say", "x", "--engine", "festival:"], 2, "preview:"),
        (["say", "x", "-o", "out.xyz"], 2, ".wav"),
        (["say", "x", "-o", "no/such/folder/out.wav"], 2, "folder"),
        (["say", "x", "--engine", "openai+http://localhost:1/v1"], 1, "cannot be reached"),
        (["say"], 2, "TEXT"),
        ([], 2, "COMMAND"),
    ],
)
def test_mistakes_get_one_plain_line(
    arguments: list[str], expected: int, clue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(*arguments) == expected
    said, complaints = capsys.readouterr()
    assert said == ""
    assert clue in complaints.splitlines()[-1]
    assert "Traceback" not in complaints


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("say", "serve", "bench"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
    text = capsys.readouterr().out
    documented = "--model-path --ref-audio --host --port --temperature --repetition-penalty"
    for flag in f"{documented} --chunk-size --pre-buffer --engine --language --output".split():
        assert flag in text


def test_a_file_that_was_not_finished_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qwen3_tts_live.cli.say._Progress.show", interrupted)
    assert main(["say", "Hello.", "-o", str(tmp_path / "out.wav")]) == 130
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ addresses and options


async def test_an_address_of_no_known_scheme_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="unknown engine address"):
        await open_synthesizer("http://localhost")


async def test_a_server_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    # Port 9 is for discarding, and nobody does.
    for address in ("ws://127.0.0.1:9", "wss://127.0.0.1:9", f"unix:{tmp_path / 'none'}"):
        with pytest.raises(BackendUnavailableError, match=f"{address} cannot be reached"):
            await open_synthesizer(address)


def test_auto_takes_the_embedded_voice_where_there_is_no_checkpoint(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert engine_address(ServerOptions()) == "preview:"
    assert engine_address(ServerOptions(model_path="/no/such/folder")) == "preview:"
    assert engine_address(ServerOptions(engine="ws://host:1")) == "ws://host:1"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert engine_address(ServerOptions(model_path="Qwen/Qwen3-TTS")) == "preview:"
    assert "pip install" in caplog.text
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert engine_address(ServerOptions(model_path="Qwen/Qwen3-TTS")) == "qwen:Qwen/Qwen3-TTS"


# ------------------------------------------------------------------ serve


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--host", "127.0.0.1", "--drain-timeout", "5"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PORT": "0", "LOG_FORMAT": "json"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        message = json.loads(line)["message"]
        if found := re.search(r"speaks at http://127.0.0.1:(\d+)/", message):
            break
    else:
        raise AssertionError("the server did not start")
    yield process, int(found[1])
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stderr.close()


def test_an_unknown_log_format_is_refused() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, {"LOG_FORMAT": "xml"})
    with pytest.raises(InvalidRequestError, match="known: text, json"):
        from_arguments(parser.parse_args([]))


def request(port: int, text: str) -> urllib.request.Request:
    return urllib.request.Request(
        f"http://127.0.0.1:{port}/tts/stream",
        data=json.dumps({"text": text, "client_id": "a"}).encode(),
        headers={"Content-Type": "application/json"},
    )


def test_serve_speaks_and_ends_well_on_sigterm(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = server
    with urllib.request.urlopen(request(port, "Hello world.")) as response:
        assert len(response.read()) > 24_000
    workers = psutil.Process(process.pid).children()
    assert workers
    with urllib.request.urlopen(request(port, "I may finish. " * 200)) as response:
        response.read(4800)
        process.send_signal(signal.SIGTERM)
        assert len(response.read()) > 200 * 24_000
    assert process.wait(timeout=20) == 0
    assert not [worker for worker in workers if worker.is_running()]
    assert process.stderr is not None
    lines = [json.loads(line) for line in process.stderr]
    assert [line["outcome"] for line in lines if "outcome" in line] == ["completed"] * 2
    assert lines[-1]["message"] == "stopped"


def test_a_taken_port_is_one_plain_line(server: tuple[subprocess.Popen[str], int]) -> None:
    _, port = server
    done = run("serve", "--host", "127.0.0.1", "--port", str(port))
    assert done.returncode == 1
    assert "address already in use" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_workers_end_with_a_server_that_is_killed(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    process, _ = server
    workers = psutil.Process(process.pid).children()
    process.kill()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert (len(gone), alive) == (len(workers), [])


async def test_python_can_use_it_as_the_readme_says() -> None:
    async with await open_synthesizer("preview:") as synthesizer:
        session = await synthesizer.open_session()
        utterance = session.utter()
        for token in ("Hel", "lo ", "wor", "ld."):
            utterance.push_text(token)
            await asyncio.sleep(0)
        utterance.end_input()
        names = [type(event).__name__ async for event in utterance]
    assert names == ["Mark", "AudioChunk", "Mark", "AudioChunk", "Finished"]
