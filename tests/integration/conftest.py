"""What integration tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloning import Cloning, StartCloning
from fakes import ScriptedBackend, settle
from qwen3_tts_live import SessionLimits
from serving import Running, Start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[Running] = []

    async def start_one(
        backend: ScriptedBackend | None = None,
        limits: SessionLimits | None = None,
        **flags: Any,
    ) -> Running:
        one = Running(backend or ScriptedBackend(), limits or SessionLimits(), **flags)
        await one.start()
        running.append(one)
        return one

    yield start_one
    for one in running:
        one.backend.stopping.set()
        await one.stop()
        await settle()
        assert one.backend.running == []


@pytest.fixture
async def cloning(start: Start, tmp_path: Path) -> AsyncIterator[StartCloning]:
    made: list[Cloning] = []

    async def make(folder: Path | None = None, *, voiceless: bool = False, **flags: Any) -> Cloning:
        one = Cloning(folder or tmp_path / "voices", voiceless=voiceless)
        one.running = await start(one.backend, voices=one.library, **flags)
        made.append(one)
        return one

    yield make
    for one in made:
        one.encoder.may.set()
        await one.library.aclose()
