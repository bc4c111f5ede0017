"""What integration tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

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
