"""Rules about the code itself that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import qwen3_tts_live

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for top in ("plugin", "standalone_server") for path in (ROOT / top).rglob("*.py")
)


def test_the_public_names_are_these() -> None:
    assert set(qwen3_tts_live.__all__) == {
        "SAMPLE_RATE",
        "AudioChunk",
        "Finished",
        "InterruptReport",
        "Mark",
        "QwenOptions",
        "Session",
        "SessionLimits",
        "SessionOptions",
        "SpeechError",
        "Synthesizer",
        "Utterance",
        "open_synthesizer",
    }


def test_importing_the_library_loads_no_heavy_package() -> None:
    heavy = "{'torch', 'transformers', 'qwen_tts', 'aiohttp', 'espeakng_loader', 'wetext', 'tn'}"
    code = f"import sys, qwen3_tts_live; sys.stdout.write(repr({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    assert text.startswith('"""')


def test_no_file_patches_other_modules_or_the_import_path() -> None:
    forbidden = re.compile(r"sys\.path|sys\.modules\[|\.forward = |types\.MethodType|basicConfig")
    found = {path for path in SOURCES if forbidden.search(path.read_text())}
    names = {str(path.relative_to(ROOT / "plugin/qwen3_tts_live")) for path in found}
    # The command line configures logging; the official package is imported without a part of it.
    assert names <= {"cli/__init__.py", "model/qwen_tts.py"}


def test_namespace_packages_have_no_init_file() -> None:
    for folder in ("plugin", "plugin/livekit", "plugin/livekit/plugins", "standalone_server"):
        assert not (ROOT / folder / "__init__.py").exists()


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} <= {
        "qwen3_tts_live",
        "qwen3_tts_server",
        "pipecat_qwen3_tts",
        "livekit",
    }
    page = ROOT / "standalone_server/qwen3_tts_server/webui"
    assert {f"qwen3_tts_server/webui/{path.name}" for path in page.iterdir()} <= set(names)
    assert "qwen3_tts_live/py.typed" in names
