"""Where users choose how text is read, and see it: flags, request fields, POST /tts/text."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes import ScriptedBackend
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.text import LexiconEntry, NormalizerSettings, speakable
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments

TEXT = "**Hello** there, ACME. 你好😀世界。"


def say(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "qwen3_tts_live", "say", *arguments]
    return subprocess.run(command, capture_output=True, timeout=60)


class Site:
    """A server on a free port with one lexicon entry, and a client for it."""

    def __init__(self) -> None:
        self.backend = ScriptedBackend()
        text = NormalizerSettings(lexicon=(LexiconEntry("ACME", "ack me"),))
        self.options = ServerOptions(host="127.0.0.1", port=0, text=text, max_text=1000)

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        async with self.client.post(path, json=body) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.read())


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    server = Server(site.options)
    port = await server.start()
    async with LiveSynthesizer(site.backend) as synthesizer:
        server.open(synthesizer)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as site.client:
            yield site
        await server.stop()


# ------------------------------------------------------------------ the server


async def test_the_text_route_shows_segments_that_join_to_the_text(site: Site) -> None:
    status, body = await site.post("/tts/text", text=TEXT, language="en")
    assert status == 200
    assert "".join(segment["raw"] for segment in body["segments"]) == TEXT
    said = " ".join(segment["spoken"] for segment in body["segments"])
    assert said.startswith("Hello there, ack me.")
    assert {segment["language"] for segment in body["segments"]} == {"English"}
    assert site.backend.started == []


async def test_what_is_shown_is_what_is_spoken(site: Site) -> None:
    _, shown = await site.post("/tts/text", text=TEXT, language="English")
    status, _ = await site.post("/tts/stream", text=TEXT, language="English")
    assert status == 200
    assert site.backend.started == [s["spoken"] for s in shown["segments"] if s["spoken"]]


async def test_a_request_chooses_for_itself(site: Site) -> None:
    for normalize, said in (
        (None, "Ask ack me."),
        (True, "Ask ack me."),
        (False, "Ask ACME."),
        ({"enabled": False, "markup": False}, "Ask **ACME**."),
        ({"lexicon": {"Ask": "Tell"}}, "Tell ack me."),
        ({"lexicon": {"ACME": "ay see"}}, "Ask ay see."),
        ({"lexicon": {"ACME": {"en": "ay see", "de": "ah zeh"}}}, "Ask ay see."),
        ({}, "Ask ack me."),
    ):
        body = {"text": "Ask **ACME**.", "language": "en"}
        _, shown = await site.post("/tts/text", **body, normalize=normalize)
        assert [segment["spoken"] for segment in shown["segments"]] == [said], normalize
        await site.post("/tts/stream", **body, normalize=normalize)
        assert site.backend.started[-1] == said


@pytest.mark.parametrize(
    ("normalize", "clue"),
    [
        ("yes", "true, false or an object"),
        (1, "true, false or an object"),
        (["acronyms"], "true, false or an object"),
        ({"acronyms": "loud"}, "acronyms must be 'spaces', 'dots' or 'off'"),
        ({"acronyms": 5}, "acronyms must be 'spaces', 'dots' or 'off'"),
        ({"enabled": "no"}, "enabled must be a bool"),
        ({"grammar": "wetextprocessing"}, "grammar is unknown; known: enabled"),
        ({"code_phrase": "x" * 101}, "may have 100 characters"),
        ({"lexicon": [["a", "b"]]}, "lexicon must be an object"),
        ({"lexicon": {"a": 5}}, "must be a string"),
        ({"lexicon": {" ": "b"}}, "empty"),
        ({"lexicon": {"a": "b" * 101}}, "100 characters"),
        ({"lexicon": {str(n): "b" for n in range(1001)}}, "1000 entries"),
    ],
)
async def test_a_bad_choice_is_told_in_plain_words(site: Site, normalize: Any, clue: str) -> None:
    for path in ("/tts/text", "/tts/stream"):
        status, body = await site.post(path, text="hello", normalize=normalize)
        assert status == 400
        assert clue in body["error"]["message"]
    assert site.backend.started == []


async def test_the_text_route_refuses_what_the_speech_route_refuses(site: Site) -> None:
    for body, status in (
        ({"text": "  "}, 400),
        ({"text": 5}, 400),
        ({}, 400),
        ({"text": "x", "language": "Klingon"}, 400),
        ({"text": "x" * 1001}, 413),
        ({"text": "\0"}, 400),
    ):
        assert (await site.post("/tts/text", **body))[0] == status
    async with site.client.post("/tts/text", data=b"{}") as response:
        assert response.status == 415


# ------------------------------------------------------------------ flags


def parsed(*arguments: str) -> NormalizerSettings:
    parser = argparse.ArgumentParser()
    add_arguments(parser, {})
    return from_arguments(parser.parse_args(arguments)).text


def test_flags_choose_for_the_whole_server(tmp_path: Path) -> None:
    assert parsed() == NormalizerSettings()
    assert parsed("--normalizer", "off") == NormalizerSettings(enabled=False)
    assert parsed("--normalizer", "none") == NormalizerSettings(grammar="none")
    assert parsed("--acronyms", "dots") == NormalizerSettings(acronyms="dots")
    (tmp_path / "words.tsv").write_text("# my words\n\nRISC-V\trisk five\nGIF\tjif\ten\n")
    assert parsed("--lexicon", str(tmp_path / "words.tsv")).lexicon == (
        LexiconEntry("RISC-V", "risk five"),
        LexiconEntry("GIF", "jif", "English"),
    )


@pytest.mark.parametrize("line", ["alone", "a\tb\ten\tmore", "\tb", "a\tb\tKlingon"])
def test_a_bad_line_of_a_lexicon_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "words.tsv").write_text(f"fine\tfine\n{line}\n")
    with pytest.raises(InvalidRequestError):
        parsed("--lexicon", str(tmp_path / "words.tsv"))


# ------------------------------------------------------------------ the command line


def test_say_shows_what_it_would_say_and_makes_no_file(tmp_path: Path) -> None:
    done = say(TEXT, "--show-text", "--language", "en")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "English: **Hello** there, ACME."
    assert lines[1].startswith("  -> Hello there, ")
    assert list(tmp_path.iterdir()) == []


def test_say_shows_and_speaks_if_it_is_told_where(tmp_path: Path) -> None:
    done = say("Hello *there*.", "--show-text", "-o", str(tmp_path / "out.wav"))
    assert done.returncode == 0
    assert done.stdout.decode() == "English: Hello *there*.\n  -> Hello there.\n"
    assert (tmp_path / "out.wav").stat().st_size > 10_000
    piped = say("Hello.", "--show-text", "-o", "-")
    assert b"-> Hello." in piped.stderr
    assert len(piped.stdout) > 10_000


def test_say_can_leave_the_text_alone() -> None:
    done = say("In 2025 AI won.", "--show-text", "--no-normalize")
    assert done.stdout.decode().splitlines()[1] == "  -> In 2025 AI won."


def test_text_with_nothing_to_say_is_shown_as_such() -> None:
    done = say("🎉", "--show-text")
    assert done.stdout.decode() == "English: 🎉\n  -> (nothing)\n"
    assert speakable("🎉") == ""
