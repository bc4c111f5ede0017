"""The WebUI in a real Chromium: it plays exactly what was served, and falls silent at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from qwen3_tts_live import open_synthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
]

TEXT = "Play every sample of this, please. And this one too."
LONG = "I go on and on until somebody stops me. " * 400
APP = "(await import('/static/app.js'))"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with await open_synthesizer("preview:") as synthesizer:
        server = Server(ServerOptions(host="0.0.0.0", port=0, drain_timeout=0.1))
        port = await server.start()
        server.open(synthesizer)
        yield f"http://localhost:{port}/"
        await server.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page(viewport={"width": 800, "height": 720})
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    # Chromium reports every refusal here; the page tells the user itself.
    assert [line for line in problems if "status of 400" not in line] == []


async def served(page: Page) -> list[bytes]:
    """Collect the bodies of the page's speech requests while letting them through."""
    bodies: list[bytes] = []

    async def collect(route: Route) -> None:
        response = await route.fetch()
        bodies.append(await response.body())
        await route.fulfill(response=response)

    await page.route("**/tts/stream", collect)
    return bodies


async def record(page: Page) -> None:
    """Open the player as a first click would, and record what it renders."""
    await page.fill("#text", "🎉")
    await page.click("#play")
    await expect(page.locator("#status")).to_contain_text("Nothing")
    await page.evaluate(f"(async () => {APP}.player.record(true))()")


async def recorded(page: Page) -> np.ndarray:
    values = await page.evaluate(
        f"(async () => {APP}.player.recorded.flatMap((part) => Array.from(part)))()"
    )
    return np.array(values)


async def until_played(page: Page, samples: int) -> None:
    """Wait until the player has played that much; the test's timeout is the limit."""
    # Not `wait_for_function`: it evaluates strings in the page, which the page's policy forbids.
    while await page.evaluate(f"(async () => {APP}.player.state.played)()") < samples:
        await page.wait_for_timeout(20)


async def screenshot(page: Page, name: str) -> None:
    """Keep a picture for people to look at, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"))


async def test_play_sounds_exactly_as_served(page: Page, url: str) -> None:
    await page.goto(url)
    await record(page)
    bodies = await served(page)
    await page.fill("#text", TEXT)
    await page.select_option("#language", "English")
    await page.click("#play")
    await expect(page.locator("#status")).to_have_text("Done.", timeout=20_000)
    await screenshot(page, "played")
    (body,) = bodies
    sent = np.frombuffer(body, "<i2") / 32768
    assert len(sent) > 24_000
    heard = await recorded(page)
    assert heard.tolist() == sent.tolist()
    assert await page.inner_text("#underruns") == "0"
    for tile in ("#ttfb", "#ttfa"):
        assert (await page.inner_text(tile)).endswith(" ms")
    assert float(await page.inner_text("#rtf")) < 1


async def test_interrupt_is_silence_and_the_next_play_speaks(page: Page, url: str) -> None:
    await page.goto(url)
    await record(page)
    await page.fill("#text", LONG)
    for _ in range(3):
        await page.click("#play")
    await until_played(page, 24_000)
    await screenshot(page, "playing")
    await page.click("#interrupt")
    await expect(page.locator("#status")).to_contain_text("Interrupted: 1 stopped, 2 flushed")
    await screenshot(page, "interrupted")
    heard = len(await recorded(page))
    await page.wait_for_timeout(300)  # nothing may be heard in this time
    assert len(await recorded(page)) == heard
    assert (await page.inner_text("#interrupted")).endswith(" ms")
    await page.fill("#text", "I speak again.")
    await page.click("#play")
    await expect(page.locator("#status")).to_have_text("Done.", timeout=20_000)
    assert len(await recorded(page)) > heard + 12_000


async def test_a_stream_that_stalls_is_counted_as_an_underrun(page: Page, url: str) -> None:
    await page.goto(url)
    await record(page)
    await page.evaluate(
        f"""(async () => {{
            const {{ player }} = {APP};
            player.expect(true);
            player.push(new Float32Array(2400).fill(0.1));
        }})()"""
    )
    await expect(page.locator("#underruns")).to_have_text("1")


async def test_a_page_without_a_secure_context_plays_through_buffers(
    browser: Browser, url: str
) -> None:
    """What a page has on plain HTTP from another machine: no AudioWorklet."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.add_init_script(
        "Object.defineProperty(AudioContext.prototype, 'audioWorklet', { value: undefined })"
    )
    await page.goto(url)
    await page.fill("#text", LONG)
    await page.click("#play")
    await expect(page.locator("#status")).to_have_text("Playing.")
    assert await page.evaluate(f"(async () => {APP}.player.kind)()") == "buffers"
    await until_played(page, 1)
    await page.click("#interrupt")
    await expect(page.locator("#status")).to_contain_text("Interrupted: 1 stopped")
    await expect(page.locator("#buffered")).to_have_text("0.0 s")
    await context.close()


async def test_a_refused_request_is_told_in_plain_words(page: Page, url: str) -> None:
    await page.goto(url)
    await page.fill("#text", "   ")
    await page.click("#play")
    await page.wait_for_selector("#status.bad")
    assert "text is empty" in await page.inner_text("#status")
    await screenshot(page, "refused")


async def test_the_page_shows_what_is_said(page: Page, url: str) -> None:
    await page.goto(url)
    await page.fill("#text", "**Hello** there, my friend. How are you?")
    await page.click("#said summary")
    items = page.locator("#said li")
    await expect(items).to_have_text(["Hello there, my friend.", "How are you?"])
    assert await items.first.get_attribute("title") == "**Hello** there, my friend. "
    await page.fill("#text", "🎉")
    await expect(items).to_have_text(["(nothing)"])
    await page.fill("#text", "")
    await expect(items).to_have_count(0)
    await screenshot(page, "said")
