"""Text that arrives a word at a time, as a language model writes it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from webui import WebUi

pytestmark = pytest.mark.alone  # no underrun: a real voice keeps ahead of a real player

TEXT = "I speak while I am written. This comes later, and this is the end."


async def test_speech_begins_before_the_text_is_complete(page: Page, preview_url: str) -> None:
    ui = WebUi(page, preview_url)
    await ui.open()
    sent = ui.sent()
    await ui.part("live").check(force=True)
    await ui.part("rate").fill("6")
    await expect(ui.part("rateShown")).to_have_text("6 words/s")
    await ui.play(TEXT)
    await ui.until("lane.queue.turns[0]?.state === 'speaking'")
    assert "end" not in [message["type"] for message in sent]
    assert await ui.inside("lane.queue.turns[0].written.length") < len(TEXT)
    await expect(ui.status()).to_have_text("Done.")
    pieces = [message["text"] for message in sent if message["type"] == "text"]
    assert len(pieces) == len(TEXT.split())
    assert "".join(pieces) == TEXT
    await expect(ui.tile("underruns")).to_have_text("0")
    await expect(ui.part("heard")).to_have_text(TEXT)


async def test_an_interrupt_stops_the_writer_too(page: Page, preview_url: str) -> None:
    ui = WebUi(page, preview_url)
    await ui.open()
    sent = ui.sent()
    await ui.part("live").check(force=True)
    await ui.part("rate").fill("10")
    await ui.play(TEXT * 10)
    await expect(ui.part("heard")).not_to_be_empty()  # it speaks before it was heard to
    await ui.interrupt()
    await expect(ui.status()).to_contain_text("Interrupted: 1 stopped")
    said = len(sent)
    # What was heard is set apart from what was not, however late the click came.
    heard = await ui.part("heard").text_content()
    unheard = await ui.part("unheard").text_content()
    assert heard and unheard
    assert (TEXT * 10).startswith(heard + unheard)
    assert len(heard + unheard) < len(TEXT * 10)
    await ui.play("I speak again.")
    await expect(ui.status()).to_have_text("Done.")
    later = "".join(message["text"] for message in sent[said:] if message["type"] == "text")
    assert later == "I speak again."


async def test_text_in_any_script_is_dripped_whole(ui: WebUi) -> None:
    for text in ("  two  spaces \n\n and lines\n", "你好，世界。", "", "a"):
        pieces = await ui.page.evaluate(
            """async (text) => {
                const { drip } = await import('/static/drip.js');
                const pieces = [];
                await drip(text, 1000, (piece) => pieces.push(piece), () => false);
                return pieces;
            }""",
            text,
        )
        assert "".join(pieces) == text
