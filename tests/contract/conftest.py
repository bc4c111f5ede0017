"""The server that others' clients are tried on; see `integration/conftest.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fakes import ScriptedBackend
from qwen3_tts_live import SessionLimits
from serving import Running


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    one = Running(ScriptedBackend(), SessionLimits())
    await one.start()
    yield one
    await one.stop()
