"""One Chromium for all browser tests, and servers for it to visit."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from fakes import ScriptedBackend
from qwen3_tts_live import SessionLimits, open_synthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions
from serving import Running
from webui import CountingBackend, Serve, WebUi

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder: one event loop for all, as they share a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="needs Chromium: apt install chromium"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    # What is waited for takes as long as it takes; 5 s is too short for a busy machine.
    expect.set_options(timeout=60_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--autoplay-policy=no-user-gesture-required",
                # A name that is not localhost: the page has no secure context there.
                "--host-resolver-rules=MAP tts.lan 127.0.0.1",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, serve: Serve) -> AsyncIterator[Page]:
    """A page that is closed before the servers it may be on, and that met no trouble."""
    page = await browser.new_page(viewport={"width": 1280, "height": 860})
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    await page.close()
    # Chromium reports every refusal here; the page tells the user itself.
    assert [
        line for line in problems if "the server responded with a status of 4" not in line
    ] == []


@pytest_asyncio.fixture(loop_scope="session")
async def serve() -> AsyncIterator[Serve]:
    """Return a function that serves a backend on a port, with any of the server's options."""
    running: list[Running] = []

    async def start(
        backend: ScriptedBackend, limits: SessionLimits | None = None, **options: Any
    ) -> int:
        one = Running(backend, limits or SessionLimits(), drain_timeout=0.1, **options)
        running.append(one)
        await one.start()
        return one.port

    yield start
    for one in running:
        await one.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def ui(page: Page, serve: Serve) -> WebUi:
    """The page of a server that speaks at once and without end."""
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend())}/")
    await ui.open()
    return ui


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def preview_url() -> AsyncIterator[str]:
    """A server with a real voice."""
    async with await open_synthesizer("preview:") as synthesizer:
        server = Server(ServerOptions(host="127.0.0.1", port=0, drain_timeout=0.1))
        port = await server.start()
        server.open(synthesizer)
        yield f"http://localhost:{port}/"
        await server.stop()
