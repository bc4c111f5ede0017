"""The command line with Qwen3-TTS: say, voices and serve, on tiny checkpoints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qwen3_tts_live import QwenOptions
from qwen3_tts_live.cli import main
from qwen3_tts_server.options import add_arguments, from_arguments

pytest.importorskip("torch")

FRAME = 1920
COMMAND = [sys.executable, "-m", "qwen3_tts_live"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("reference") / "me.wav"
    samples = np.random.default_rng(1).normal(0, 0.1, 32_000)
    soundfile.write(path, samples.astype(np.float32), 16_000)
    return str(path)


# ------------------------------------------------------------------ say


Say = Callable[..., bytes]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Say something into a file; return its samples."""

    def run(folder: Path, *flags: str, text: str = "Hello there.") -> bytes:
        output = tmp_path / "out.wav"
        command = ["say", text, "--engine", f"qwen:{folder}", "-o", str(output), *flags]
        assert main([*command, "--slots", "1", "--voices-folder", str(tmp_path)]) == 0
        samples, rate = soundfile.read(output, dtype="int16")
        assert rate == 24_000
        return bytes(samples.tobytes())

    return run


def test_say_clones_a_voice_and_repeats_itself_with_a_seed(
    say: Say, tiny_ending: Path, reference: str
) -> None:
    flags = ("--ref-audio", reference, "--seed")
    first = say(tiny_ending, *flags, "7")
    assert say(tiny_ending, *flags, "7") == first != say(tiny_ending, *flags, "8")
    assert len(first) % (2 * FRAME) == 0
    in_context = say(tiny_ending, *flags, "7", "--ref-text", "What I say.")
    assert in_context != first


def test_say_takes_speaker_instruction_layout_length_and_greed(
    say: Say, tiny_custom_voice: Path
) -> None:
    flags = ["--greedy", "--max-frames", "9"]
    heard = [
        say(tiny_custom_voice, *flags, *more)
        for more in (
            ["--speaker", "VIVIAN"],
            ["--voice", "vivian", "--temperature", "2"],  # which means nothing to greed
            ["--speaker", "ryan"],
            ["--speaker", "vivian", "--instruct", "Whisper."],
            ["--speaker", "vivian", "--text-layout", "track"],
        )
    ]
    assert heard[0] == heard[1]
    assert len(set(heard)) == 4
    assert {len(samples) for samples in heard} == {9 * FRAME * 2}


@pytest.mark.parametrize(
    ("flags", "clue"),
    [
        (["--ref-audio", "/no/such.wav"], "no reference audio"),
        (["--temperature", "0"], "greedy"),
        (["--slots", "0"], "slots"),
        (["--engine", "qwen:/no/such/folder"], "give its folder"),
        (["--engine", "preview:", "--greedy"], "only qwen: engines"),
        ([], "--ref-audio"),
    ],
)
def test_mistakes_get_one_plain_line(
    tiny_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    clue: str,
) -> None:
    command = ["say", "x", "--engine", f"qwen:{tiny_base}", "-o", str(tmp_path / "out.wav")]
    assert main([*command, "--voices-folder", str(tmp_path), *flags]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ") and clue in last
    assert not (tmp_path / "out.wav").exists()


# ------------------------------------------------------------------ voices


def test_voices_are_added_listed_spoken_with_and_removed(
    say: Say,
    tiny_ending: Path,
    reference: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = ["--folder", str(tmp_path)]
    add = ["--ref-audio", reference, "--model-path", str(tiny_ending), *folder]
    assert main(["voices", "list", *folder]) == 0
    assert capsys.readouterr().out == ""
    assert main(["voices", "add", "anna", *add]) == 0
    assert main(["voices", "add", "bert", *add, "--ref-text", "What I say."]) == 0
    capsys.readouterr()
    (tmp_path / "broken.safetensors").write_bytes(b"?")
    assert main(["voices", "list", *folder]) == 0
    listed, complaints = capsys.readouterr()
    rows = [line.split("\t") for line in listed.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [("anna", ""), ("bert", "What I say.")]
    assert "broken" in complaints
    seed = ("--seed", "1")
    assert say(tiny_ending, "--voice", "anna", *seed) != say(tiny_ending, "--voice", "bert", *seed)
    assert main(["voices", "remove", "anna", *folder]) == 0
    assert main(["voices", "remove", "anna", *folder]) == 2
    assert "no stored voice anna" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "clue"),
    [
        (["../anna", "--ref-audio", "me.wav", "--model-path", "nowhere"], "no name for a voice"),
        (["anna", "--model-path", "nowhere"], "--ref-audio"),
        (["anna", "--ref-audio", "nowhere.wav", "--model-path", "nowhere"], "no reference audio"),
    ],
)
def test_what_is_wrong_with_a_new_voice_is_said_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], clue: str
) -> None:
    assert main(["voices", "add", *flags, "--folder", str(tmp_path)]) == 2
    assert clue in capsys.readouterr().err


def test_a_taken_name_is_kept_unless_told_otherwise(
    tiny_base: Path, reference: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["voices", "add", "anna", "--ref-audio", reference, "--model-path", str(tiny_base)]
    add += ["--folder", str(tmp_path)]
    assert main(add) == 0
    assert main(add) == 2
    assert "already" in capsys.readouterr().err
    assert main([*add, "--replace"]) == 0


# ------------------------------------------------------------------ serve


def parsed(*flags: str, **environment: str) -> QwenOptions:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser, environment)
    return from_arguments(parser.parse_args(flags)).qwen


def test_the_documented_defaults_of_serve_reach_the_engine() -> None:
    options = parsed()
    assert (options.temperature, options.repetition_penalty) == (0.8, 1.1)
    assert (options.chunks.size, options.chunks.pre_buffer) == (1, 0)
    assert parsed(REF_AUDIO_PATH="me.wav").ref_audio == "me.wav"
    assert parsed("--ref-audio", "you.wav", REF_AUDIO_PATH="me.wav").ref_audio == "you.wav"
    options = parsed("--temperature", "1", "--chunk-size", "4", "--speaker", "anna", "--seed", "3")
    assert (options.temperature, options.chunk_size) == (1.0, 4)
    assert (options.speaker, options.seed) == ("anna", 3)


@pytest.fixture
def server(
    tiny_ending: Path, reference: str, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that has just begun to load, and its address."""
    flags = ["--host", "127.0.0.1", "--model-path", str(tiny_ending), "--voices-folder"]
    process = subprocess.Popen(
        [*COMMAND, "serve", *flags, str(tmp_path), "--slots", "2"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PORT": "0", "REF_AUDIO_PATH": reference},
    )
    assert process.stderr is not None
    try:
        lines = (re.search(r"listening at (http://\S+?)/;", line) for line in process.stderr)
        listening = next(filter(None, lines), None)
        assert listening is not None, "the server did not start"
        yield process, listening[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_serve_tells_that_it_loads_then_speaks_and_ends_well(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server
    assert get(f"{url}/ready") == (503, '{"status":"loading"}')
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "speaks at" in line:
            break
    assert get(f"{url}/ready")[0] == 200
    for clue in ("onto cpu", "took", "is ready"):
        assert clue in "".join(said)
    request = urllib.request.Request(
        f"{url}/tts/stream",
        data=json.dumps({"text": "Hello there.", "client_id": "a"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        pcm = response.read()
    assert len(pcm) > 2 * FRAME * 2 and len(pcm) % (2 * FRAME) == 0
    status, metrics = get(f"{url}/metrics")
    assert status == 200
    assert 'tts_engine_ended_total{reason="eos"}' in metrics
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_serve_that_is_told_to_stop_while_it_loads_stops(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server
    assert get(f"{url}/health") == (200, '{"status":"loading"}')
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
