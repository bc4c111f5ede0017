"""A driver for the WebUI: the page as its user has it, and a backend whose every sample is known."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Locator, Page, expect

from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live.backend import Segment

PICTURES = Path(__file__).parents[1] / "out" / "screenshots"

Serve = Callable[..., Awaitable[int]]

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


class CountingBackend(ScriptedBackend):
    """Speaks a chunk a character, of samples that count up: a lost or doubled one is seen."""

    def samples(self, segment: Segment, start: int) -> NDArray[np.int16]:
        return np.arange(start + 1, start + 1 + CHUNK, dtype=np.int64).astype(np.int16)


class WebUi:
    """The page as its user has it, and a look inside."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    async def open(self) -> None:
        await self.page.goto(self.url)
        await expect(self.page.locator("#engine")).to_have_class("ok")

    def lane(self, index: int = 0) -> Locator:
        return self.page.locator(".lane").nth(index)

    def part(self, name: str, lane: int = 0) -> Locator:
        return self.lane(lane).locator(f"[data-part={name}]")

    def tile(self, name: str, lane: int = 0) -> Locator:
        return self.lane(lane).locator(f"[data-tile={name}]")

    def status(self, lane: int = 0) -> Locator:
        return self.part("status", lane)

    def queue(self, lane: int = 0) -> Locator:
        return self.lane(lane).locator(".queue li")

    async def play(self, text: str, lane: int = 0) -> None:
        await self.part("text", lane).fill(text)
        await self.part("play", lane).click()

    async def interrupt(self, lane: int = 0) -> None:
        await self.part("interrupt", lane).click()

    async def inside(self, expression: str, lane: int = 0) -> Any:
        """Evaluate JavaScript with `lane` bound; it may await."""
        # Not `wait_for_function`: it evaluates strings, which the page's policy forbids.
        return await self.page.evaluate(
            f"""(async () => {{
                const {{ lanes }} = await import('/static/app.js');
                const lane = lanes[{lane}];
                return {expression};
            }})()"""
        )

    async def until(self, condition: str, lane: int = 0) -> None:
        """Wait until the expression is true; the test's timeout is the limit."""
        while not await self.inside(condition, lane):
            await self.page.wait_for_timeout(20)

    async def record(self) -> None:
        """Keep what the player renders from now on."""
        await self.inside("(await lane.open()).record(true)")

    async def recorded(self) -> NDArray[np.int16]:
        parts = await self.inside("lane.player.recorded.flatMap((part) => Array.from(part))")
        return (np.array(parts) * 32768).astype(np.int16)

    def sent(self) -> list[dict[str, Any]]:
        """Collect what the page says on a WebSocket that it has yet to open."""
        messages: list[dict[str, Any]] = []

        def collect(frame: str | bytes) -> None:
            messages.append(json.loads(frame))

        self.page.on("websocket", lambda socket: socket.on("framesent", collect))
        return messages

    async def picture(self, name: str) -> None:
        """Keep a picture for people to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=str(PICTURES / f"{name}.png"), full_page=True)
