"""The plugin beside one of LiveKit's own, in the namespace that both of them share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

UV = Path(sys.executable).with_name("uv")

IMPORT_BOTH = """
import sys
from livekit.plugins import deepgram, qwen3_tts
for module in (deepgram, qwen3_tts):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
from livekit.agents import Plugin
assert {plugin.package for plugin in Plugin.registered_plugins} == {
    "livekit.plugins.deepgram", "livekit.plugins.qwen3_tts"
}
"""


def run(*command: str | Path, **more: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **more})
    assert done.returncode == 0, done.stderr


def install(folder: Path, wheel: Path) -> None:
    run(UV, "pip", "install", "--offline", "--no-deps", "--target", folder, wheel)


def uninstall(folder: Path, name: str) -> None:
    run(UV, "pip", "uninstall", "--target", folder, name)


def test_both_import_and_uninstalling_one_leaves_the_other(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    official = distribution("livekit-plugins-deepgram")
    for file in official.files or ():
        if "__pycache__" not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(official.locate_file(file)), site / file)
    plugins = site / "livekit" / "plugins"

    install(site, wheel)
    assert not (site / "livekit" / "__init__.py").exists()
    assert not (plugins / "__init__.py").exists()
    assert (plugins / "qwen3_tts" / "py.typed").exists()
    run(sys.executable, "-c", IMPORT_BOTH, str(site), PYTHONPATH=str(site))

    uninstall(site, "qwen3-tts-live")
    assert not (plugins / "qwen3_tts" / "__init__.py").exists()
    assert (plugins / "deepgram" / "__init__.py").exists()
    install(site, wheel)
    uninstall(site, "livekit-plugins-deepgram")
    assert not (plugins / "deepgram" / "__init__.py").exists()
    assert (plugins / "qwen3_tts" / "__init__.py").exists()
