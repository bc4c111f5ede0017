"""The page around the player: what it shows, says and asks, by keyboard and for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, WebSocketRoute, expect

from qwen3_tts_live import SessionLimits
from webui import CONTRAST, CountingBackend, Serve, WebUi

LONG = "I go on and on until somebody stops me. " * 20


async def test_a_refused_request_is_told_in_plain_words(page: Page, serve: Serve) -> None:
    ui = WebUi(
        page, f"http://localhost:{await serve(CountingBackend(), SessionLimits(max_text=10))}/"
    )
    await ui.open()
    await ui.play("Longer than that")
    await expect(ui.status()).to_contain_text("10 characters")
    await expect(ui.queue()).to_have_count(0)
    await ui.play("Shorter")
    await expect(ui.status()).to_have_text("Done.")


async def test_text_with_nothing_to_say_ends_at_once(page: Page, preview_url: str) -> None:
    ui = WebUi(page, preview_url)
    await ui.open()
    await ui.play("🎉")
    await expect(ui.status()).to_have_text("Nothing to say in that text.")
    await expect(page.locator("#history")).to_be_hidden()


async def test_the_page_shows_what_is_spoken_beside_what_is_written(ui: WebUi) -> None:
    await ui.part("text").fill("**Hello** there. It costs $5.")
    await ui.part("language").select_option("English")
    await ui.lane().get_by_text("What will be said").click()
    rows = ui.part("saidRows").locator("tr")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0).locator("td")).to_have_text(["**Hello** there.", "Hello there."])
    await expect(rows.nth(1).locator("td")).to_have_text(["It costs $5.", "It costs five dollars."])
    await ui.part("text").fill("🎉")
    await expect(rows.nth(0).locator("td")).to_have_text(["🎉", "(nothing)"])
    await ui.part("text").fill("")
    await expect(rows).to_have_count(0)


async def test_the_request_is_shown_as_a_command_that_a_shell_reads(ui: WebUi) -> None:
    await ui.part("text").fill('It\'s "me" & <you>')
    await ui.part("voice").select_option("bert")
    await ui.lane().get_by_text("As a request").click()
    shown = await ui.part("curl").inner_text()
    assert f"curl -N '{ui.url}tts/stream'" in shown
    assert """{"text":"It'\\''s \\"me\\" & <you>","language":"Auto","voice":"bert",""" in shown
    await ui.part("copy").click()
    await expect(ui.status()).to_have_text("Copied.")


async def test_the_voice_and_the_language_are_those_that_are_picked(ui: WebUi) -> None:
    await ui.part("voice").select_option("bert")
    await ui.part("language").select_option("Chinese")
    sent = ui.sent()
    await ui.play("One")
    await expect(ui.status()).to_have_text("Done.")
    (asked,) = (message for message in sent if message["type"] == "utter")
    assert (asked["options"]["language"], asked["options"]["voice"]) == ("Chinese", "bert")
    (opened,) = (message for message in sent if message["type"] == "open")
    assert opened["id"] == await ui.inside("lane.client")


async def test_the_keyboard_plays_and_interrupts(ui: WebUi) -> None:
    await ui.part("text").fill(LONG)
    await ui.page.keyboard.press("Control+Enter")
    await ui.until("lane.player?.position > 0.1")
    await ui.page.keyboard.press("Escape")
    await expect(ui.status()).to_contain_text("Interrupted: 1 stopped")
    await expect(ui.part("text")).to_be_focused()


async def test_the_tab_key_visits_the_controls_in_the_order_of_the_work(ui: WebUi) -> None:
    await ui.part("text").focus()
    visited = []
    for _ in range(5):
        await ui.page.keyboard.press("Tab")
        visited.append(await ui.page.evaluate("document.activeElement.dataset.part"))
    assert visited == ["whole", "voice", "language", "interrupt", "play"]


async def test_every_control_has_a_name_and_news_are_announced(ui: WebUi) -> None:
    assert await ui.status().get_attribute("role") == "status"
    await ui.page.click("#add-client")
    await ui.play("Keep me")
    await expect(ui.page.locator("#history li")).to_have_count(1)
    await ui.part("live").check(force=True)
    session = await ui.page.context.new_cdp_session(ui.page)
    tree = await session.send("Accessibility.getFullAXTree")
    controls = {"button", "textbox", "combobox", "slider", "radio", "link", "DisclosureTriangle"}
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree["nodes"]
        if not node["ignored"] and node["role"]["value"] in controls
    ]
    assert len(found) > 25
    assert [role for role, name in found if not name.strip()] == []


async def test_the_theme_is_the_systems_until_the_user_picks_one(ui: WebUi) -> None:
    page = ui.page

    async def background() -> str:
        return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))

    await page.emulate_media(color_scheme="dark")
    dark = await background()
    await page.emulate_media(color_scheme="light")
    light = await background()
    assert light != dark
    await page.click("#theme")
    await page.click("#theme")
    assert await background() == dark
    await page.reload()
    assert await background() == dark
    assert await page.get_by_role("button", name="Theme: dark").count() == 1


async def test_a_server_with_keys_is_asked_with_one(page: Page, serve: Serve) -> None:
    """The page asks its user, and keeps the key in this tab only."""
    key = "a-key-that-is-long-enough"
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend(), api_keys=(key,))}/")
    await page.goto(ui.url)
    dialog = page.locator("#key")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#engine")).to_have_class("bad")
    await ui.play("One")
    for typed in ("wrong", key):
        await dialog.get_by_label("API key", exact=True).fill(typed)
        await dialog.get_by_role("button", name="Use key").click()
        if typed == "wrong":
            await expect(dialog.get_by_role("alert")).to_contain_text("send one of")
    await expect(ui.status()).to_have_text("Done.")
    await expect(page.locator("#engine")).to_have_class("ok")
    await ui.lane().get_by_text("As a request").click()
    assert "Bearer $API_KEY" in await ui.part("curl").inner_text()
    kept = "JSON.stringify({ ...localStorage })"
    assert key not in await page.evaluate(kept)
    await page.reload()
    await expect(page.locator("#engine")).to_have_class("ok")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_is_readable_on_screens_large_and_small(
    browser: Browser, preview_url: str, scheme: Any
) -> None:
    page = await browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    ui = WebUi(page, preview_url)
    await ui.open()
    await ui.lane().get_by_text("What will be said").click()
    await ui.play("It costs $3.50, and takes 20 min.")
    await expect(page.locator("#history li")).to_have_count(1)
    for _ in range(3):
        await ui.play(
            "Dr. Smith has 42 questions. Press Interrupt at any moment, and I stop at once."
        )
    await ui.until("lane.queue.turns[0].taken > 48_000")
    for name, width, height in (("", 1280, 800), ("-phone", 390, 844)):
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await ui.picture(scheme + name)
        assert await page.evaluate(CONTRAST) == []
    await page.close()


async def test_the_page_says_when_the_server_is_not_ready(page: Page, serve: Serve) -> None:
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend())}/")

    async def refuse(route: Route) -> None:
        error = {"code": "overloaded", "message": "the model is loading", "retryable": True}
        await route.fulfill(status=418, json={"error": error})

    await page.route("**/info", refuse)
    await page.goto(ui.url)
    await expect(page.locator("#model")).to_have_text("the model is loading")
    await page.unroute("**/info")
    await expect(page.locator("#engine")).to_have_class("ok")
    await expect(ui.part("language").locator("option")).to_have_count(3)


async def test_a_lost_connection_is_told_and_the_next_play_dials_again(
    page: Page, serve: Serve
) -> None:
    backend = CountingBackend(free=False)
    ui = WebUi(page, f"http://localhost:{await serve(backend)}/")
    await ui.open()

    async def cut(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        cuts.append(server)

    cuts: list[WebSocketRoute] = []
    await page.route_web_socket("**/tts/ws", cut)
    await ui.play("One")
    while not backend.running:
        await page.wait_for_timeout(5)
    await cuts[0].close()
    await expect(ui.status()).to_contain_text("The connection to the server was lost.")
    await expect(ui.queue()).to_have_count(0)
    backend.free = True
    await ui.play("Two")
    await expect(ui.status()).to_have_text("Done.")
