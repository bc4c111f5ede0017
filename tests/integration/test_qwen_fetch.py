"""Downloading a checkpoint from a stand-in for the model hub: whole, resumed, refused, offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789" * 4
FILES = {
    "config.json": b"{}",
    "generation_config.json": b"{}",
    "model.safetensors": bytes(range(256)),
    "speech_tokenizer/config.json": b"{}",
    "speech_tokenizer/model.safetensors": b"weights",
    "README.md": b"not wanted",
    "assets/sample.wav": b"not wanted",
}
FETCH = """
import sys
from qwen3_tts_live.backends.qwen_fetch import checkpoint_folder
from qwen3_tts_live.errors import SpeechError
try:
    sys.stdout.write(str(checkpoint_folder(sys.argv[1])))
except SpeechError as error:
    sys.stdout.write(f"{error.code}: {error.message}")
"""


class Hub(ThreadingHTTPServer):
    """Serves one repository, `someone/voice`; any other is not there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusal: tuple[int, str] | None = None  # status and code of every answer
        self.files = dict(FILES)
        self.cut_weights = False  # break off in the middle of model.safetensors
        self.sent: list[tuple[str, str]] = []  # path and range of each file sent

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.server.refusal is not None:
            status, code = self.server.refusal
            self.answer(status, b"", {"X-Error-Code": code})
        elif self.path.startswith("/api/models/someone/voice"):
            siblings = [{"rfilename": name} for name in FILES]
            info = {"id": "someone/voice", "sha": COMMIT, "siblings": siblings}
            self.answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith(f"/someone/voice/resolve/{COMMIT}/"):
            self.send_file(self.path.split(COMMIT + "/")[1])
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def send_file(self, name: str) -> None:
        body, wanted = self.server.files[name], self.headers.get("Range", "")
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if self.command == "GET":
            self.server.sent.append((name, wanted))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if self.server.cut_weights and name == "model.safetensors" and self.command == "GET":
            self.answer(200, body, headers, send=len(body) // 2)
            self.close_connection = True
        else:
            self.answer(206 if start else 200, body[start:], headers)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str], send: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:send])


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(wanted: str, home: Path, **environment: str) -> str:
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        if name not in environment:
            env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", FETCH, wanted], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_repository_is_downloaded_once_and_only_what_is_needed(hub: Hub, tmp_path: Path) -> None:
    folder = Path(fetch("someone/voice", tmp_path, HF_ENDPOINT=hub.url))
    weights = folder / "model.safetensors"
    assert weights.read_bytes() == FILES["model.safetensors"]
    assert {name for name, _ in hub.sent} == set(FILES) - {"README.md", "assets/sample.wav"}
    hub.sent.clear()
    assert fetch("someone/voice", tmp_path, HF_ENDPOINT=hub.url) == str(folder)
    assert fetch("someone/voice", tmp_path, HF_HUB_OFFLINE="1") == str(folder)
    assert hub.sent == []


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    # What arrives is written in pieces of 10 MB; it goes on behind the last whole piece.
    weights = hub.files["model.safetensors"] = bytes(range(256)) * 90_000
    hub.cut_weights = True
    said = fetch("someone/voice", tmp_path, HF_ENDPOINT=hub.url)
    assert said.startswith("backend_unavailable: downloading someone/voice failed")
    assert "run the same again" in said
    said = fetch("someone/voice", tmp_path, HF_HUB_OFFLINE="1")
    assert "here only in part, without *.safetensors" in said
    hub.cut_weights = False
    hub.sent.clear()
    folder = Path(fetch("someone/voice", tmp_path, HF_ENDPOINT=hub.url))
    assert (folder / "model.safetensors").read_bytes() == weights
    ((_, wanted),) = [sent for sent in hub.sent if sent[0] == "model.safetensors"]
    assert wanted.startswith("bytes=") and not wanted.startswith("bytes=0")


@pytest.mark.parametrize(
    ("refusal", "code", "clue"),
    [
        ((403, "GatedRepo"), "backend_unavailable", "ask for access"),
        ((404, "RepoNotFound"), "invalid_request", "no folder and no repository"),
        ((503, "Busy"), "backend_unavailable", "check the network"),
    ],
)
def test_a_refusal_says_what_to_do(
    hub: Hub, tmp_path: Path, refusal: tuple[int, str], code: str, clue: str
) -> None:
    hub.refusal = refusal
    said = fetch("someone/voice", tmp_path, HF_ENDPOINT=hub.url)
    assert said.startswith(f"{code}: ") and clue in said


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_without_a_network_it_says_how_to_do_without(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    said = fetch("someone/voice", tmp_path, **environment)
    assert said.startswith("backend_unavailable: ") and "give its folder" in said


def test_a_folder_is_taken_as_it_is_and_has_to_be_whole(tmp_path: Path) -> None:
    from qwen3_tts_live.backends.qwen_fetch import checkpoint_folder
    from qwen3_tts_live.errors import InvalidRequestError

    for name in FILES:
        path = tmp_path / "whole" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert checkpoint_folder(str(tmp_path / "whole")) == tmp_path / "whole"
    (tmp_path / "whole" / "speech_tokenizer" / "model.safetensors").unlink()
    with pytest.raises(InvalidRequestError, match=r"holds no speech_tokenizer/\*.safetensors"):
        checkpoint_folder(str(tmp_path / "whole"))
    for wrong in ("/no/such/folder", "a/b/c", "name", "../x", "a b/c"):
        with pytest.raises(InvalidRequestError, match="give its folder"):
            checkpoint_folder(wrong)
