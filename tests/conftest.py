"""How all tests run, and what those of several areas load, each made once a session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Before anybody imports torch, and for the processes that tests start: threads only wait for each
# other on tensors as small as these, and the other worker has the other core.
os.environ["OMP_NUM_THREADS"] = "1"

# The same examples in every run, and no limit of time for one: a busy machine fails nothing.
# `--hypothesis-profile=explore` looks for new ones.
_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", _unhurried, derandomize=True)
settings.register_profile("explore", _unhurried, derandomize=False)
settings.load_profile("suite")

WriteCheckpoint = Callable[..., Path]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For `-m alone`, import only files that say it: importing all takes as long as running those."""
    if config.getoption("markexpr") == "alone" and collection_path.suffix == ".py":
        return "mark.alone" not in collection_path.read_text() or None
    return None


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*build, Path(__file__).parents[1]], check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def checkpoint_at(tmp_path_factory: pytest.TempPathFactory) -> WriteCheckpoint:
    """Return a function that takes what `write_checkpoint` takes after the folder.

    Equal arguments give the same folder, so nobody may change what is in it.
    """
    from random_checkpoint import write_checkpoint  # imports torch, which few tests need

    written: dict[tuple[Any, ...], Path] = {}

    def at(*shape: Any, **options: Any) -> Path:
        key = (*shape, *sorted(options.items()))
        if key not in written:
            folder = tmp_path_factory.mktemp("checkpoint")
            written[key] = write_checkpoint(folder, *shape, **options)
        return written[key]

    return at


@pytest.fixture(scope="session")
def tiny_base(checkpoint_at: WriteCheckpoint) -> Path:
    return checkpoint_at(model_type="base")


@pytest.fixture(scope="session")
def tiny_custom_voice(checkpoint_at: WriteCheckpoint) -> Path:
    """Takes instructions, as the 1.7B does."""
    return checkpoint_at(model_type="custom_voice", size="1b7")


@pytest.fixture(scope="session")
def tiny_voice_design(checkpoint_at: WriteCheckpoint) -> Path:
    return checkpoint_at(model_type="voice_design", size="1b7")


@pytest.fixture(scope="session")
def tiny_ending(checkpoint_at: WriteCheckpoint) -> Path:
    """A Base checkpoint that ends N + 1 frames after a text of N tokens (layout `track`)."""
    return checkpoint_at(model_type="base", ends=True)
