"""The page around the player: what it shows, says and asks, by keyboard and for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from webui import CountingBackend, Serve, WebUi

LONG = "I go on and on until somebody stops me. " * 20


async def test_a_refused_request_is_told_in_plain_words(ui: WebUi) -> None:
    await ui.play("   ")
    await expect(ui.status()).to_contain_text("text is empty")
    await expect(ui.queue()).to_have_count(0)


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
    async with ui.page.expect_request("**/tts/stream") as sent:
        await ui.play("One")
    body: dict[str, Any] = (await sent.value).post_data_json
    assert body == {
        "text": "One",
        "language": "Chinese",
        "voice": "bert",
        "client_id": await ui.inside("lane.client"),
    }
    await expect(ui.status()).to_have_text("Done.")


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
    for _ in range(4):
        await ui.page.keyboard.press("Tab")
        visited.append(await ui.page.evaluate("document.activeElement.dataset.part"))
    assert visited == ["voice", "language", "interrupt", "play"]


async def test_every_control_has_a_name(ui: WebUi) -> None:
    await ui.page.click("#add-client")
    await ui.play("Keep me")
    await expect(ui.page.locator("#history li")).to_have_count(1)
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


async def test_what_happens_is_announced(ui: WebUi) -> None:
    assert await ui.status().get_attribute("role") == "status"
    await ui.play("One")
    await expect(ui.status()).to_have_text("Done.")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_what_is_behind_it(ui: WebUi, scheme: Any) -> None:
    await ui.page.emulate_media(color_scheme=scheme)
    await ui.play(LONG)
    await expect(ui.status()).to_have_text("Speaking.")
    weak = await ui.page.evaluate(CONTRAST)
    assert weak == []


# Every visible text with a contrast below 4.5 to 1 (WCAG AA).
CONTRAST = """(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const over = (colors) => {
        canvas.clearRect(0, 0, 1, 1);
        for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
        const c = rgb[i] / 255;
        return sum + weight * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    }, 0);
    const weak = [];
    for (const element of document.querySelectorAll('body *')) {
        const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
        if (!text || !element.checkVisibility() || element.closest(':disabled, template')) continue;
        const behind = [];
        for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
        const background = over(behind);
        const ink = over([...behind, getComputedStyle(element).color]);
        const [dark, light] = [luminance(background), luminance(ink)].sort((a, b) => a - b);
        const ratio = (light + 0.05) / (dark + 0.05);
        if (ratio < 4.5) weak.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return weak;
})()"""


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


@pytest.mark.parametrize("name", ["light", "dark", "light-phone", "dark-phone"])
async def test_pictures_for_people_to_look_at(
    browser: Browser, preview_url: str, name: str
) -> None:
    phone = name.endswith("phone")
    page = await browser.new_page(
        color_scheme="dark" if "dark" in name else "light",
        viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 800},
    )
    ui = WebUi(page, preview_url)
    await ui.open()
    await ui.lane().get_by_text("What will be said").click()
    for _ in range(3):
        await ui.part("play").click()
    await ui.until("lane.player?.position > 2.5")
    await ui.picture(name)
    # Nothing is wider than the screen.
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
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
