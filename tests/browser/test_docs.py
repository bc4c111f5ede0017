"""The page that shows the API."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from qwen3_tts_server.openapi import document
from qwen3_tts_server.options import ServerOptions
from webui import CONTRAST, CountingBackend, Serve, WebUi

DOCUMENT = document(ServerOptions())


async def test_the_api_page_shows_every_route_with_a_command_that_a_shell_reads(
    page: Page, serve: Serve
) -> None:
    keys = ("a-key-that-is-long-enough",)
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend(), api_keys=keys)}/")
    await page.goto(ui.url + "docs#post_tts_stream")
    routes = page.locator("details.route")
    wanted = [path for path, methods in DOCUMENT["paths"].items() for _ in methods]
    await expect(routes).to_have_count(len(wanted))
    assert sorted(await routes.locator("> summary code").all_inner_texts()) == sorted(wanted)
    await page.get_by_text("The shape of every error").click()
    await expect(page.get_by_text("error.retryable", exact=True)).to_be_visible()
    (named,) = await page.locator("details.route[open]").all()
    command = await named.locator(".command pre").first.inner_text()
    assert command.startswith(f"curl -N '{ui.url}tts/stream' \\\n  -H \"Authorization: Bearer $")
    assert '-d \'{"text":"Hello world."' in command
    await named.get_by_role("button", name="Copy").first.click()
    await expect(named.get_by_role("button", name="Copied")).to_be_visible()
    socket = page.locator("#get_tts_ws .command pre")
    assert 'new WebSocket("ws://localhost' in (await socket.text_content() or "")
    await page.get_by_role("link", name="WebUI").click()
    await expect(page.get_by_role("link", name="API")).to_have_attribute("href", "/docs")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
async def test_the_api_page_is_readable_on_screens_large_and_small(
    browser: Browser, serve: Serve, scheme: Any, width: int
) -> None:
    page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 844})
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend())}/")
    await page.goto(ui.url + "docs#post_v1_audio_speech")
    await page.locator("details.route[open] details.errors summary").click()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(CONTRAST) == []
    await ui.picture(f"docs-{scheme}")
    await page.close()
