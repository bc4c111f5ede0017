"""Adding a voice in the page, from a file or a microphone, and speaking with it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest_asyncio
import soundfile
from playwright.async_api import Locator, Page, expect

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.synthesizer import Recording
from webui import CountingBackend, Serve, WebUi


class GrowingVoices:
    """A voice library that only remembers what it was given."""

    def __init__(self) -> None:
        self.added: dict[str, tuple[Recording, str | None]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.added)

    async def add(self, name: str, recording: Recording, *, text: str | None = None) -> None:
        if name == "anna":
            raise InvalidRequestError("there is a voice anna already")
        self.added[name] = (recording, text)

    async def remove(self, name: str) -> None:
        del self.added[name]

    async def aclose(self) -> None:
        pass


class LearningBackend(CountingBackend):
    """Its voices are two of its own and those of the library."""

    def __init__(self, library: GrowingVoices) -> None:
        super().__init__()
        self.library = library

    @property
    def voices(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("anna", "bert", *self.library.names)


@pytest_asyncio.fixture(loop_scope="session")
async def library() -> GrowingVoices:
    return GrowingVoices()


@pytest_asyncio.fixture(loop_scope="session")
async def ui(page: Page, serve: Serve, library: GrowingVoices) -> WebUi:
    port = await serve(LearningBackend(library), voices=library)
    ui = WebUi(page, f"http://localhost:{port}/")
    await ui.open()
    await page.click("#open-voices")
    await expect(page.locator("#voices li")).to_have_count(2)
    return ui


def dialog(ui: WebUi) -> Locator:
    return ui.page.locator("#voices")


async def test_an_uploaded_voice_speaks_at_once(
    ui: WebUi, library: GrowingVoices, tmp_path: Path
) -> None:
    soundfile.write(recording := tmp_path / "me.wav", np.zeros(24_000), 24_000)
    await dialog(ui).get_by_label("Name").fill("clara")
    await dialog(ui).get_by_label("Recording", exact=True).set_input_files(recording)
    await dialog(ui).get_by_label("What is said in it").fill("Good morning.")
    await ui.picture("voices")
    await dialog(ui).get_by_role("button", name="Add voice").click()
    await expect(dialog(ui).get_by_role("status")).to_have_text("clara is ready to speak.")
    assert library.added["clara"] == (recording.read_bytes(), "Good morning.")
    await dialog(ui).get_by_role("button", name="Close").click()
    await expect(ui.part("voice")).to_have_value("clara")
    sent = ui.sent()
    await ui.play("It is me")
    await expect(ui.status()).to_have_text("Done.")
    assert [m["options"]["voice"] for m in sent if m["type"] == "utter"] == ["clara"]
    await expect(ui.page.locator("#history li")).to_contain_text("clara")


async def test_a_voice_can_be_recorded(ui: WebUi, library: GrowingVoices) -> None:
    record = dialog(ui).locator("[data-part=record]")
    await dialog(ui).get_by_label("Name").fill("dora")
    await record.click()
    await expect(record).to_have_text("Stop recording")
    await expect(dialog(ui).locator("[data-part=recorded]")).to_have_text(
        re.compile(r"^[1-9]\.\d s$")
    )
    await record.click()
    await expect(dialog(ui).locator("[data-part=recorded]")).to_contain_text("recorded")
    await dialog(ui).get_by_role("button", name="Add voice").click()
    await expect(dialog(ui).get_by_role("status")).to_have_text("dora is ready to speak.")
    recording, text = library.added["dora"]
    assert isinstance(recording, bytes)
    samples, rate = soundfile.read(io.BytesIO(recording))
    assert len(samples) / rate >= 0.9
    assert np.abs(samples).max() > 0.01  # the browser's test device beeps
    assert text is None


async def test_what_is_wrong_with_a_voice_is_told(ui: WebUi, tmp_path: Path) -> None:
    status = dialog(ui).get_by_role("status")
    await dialog(ui).get_by_label("Name").fill("anna")
    await dialog(ui).get_by_role("button", name="Add voice").click()
    await expect(status).to_have_text("Choose a recording, or make one.")
    soundfile.write(recording := tmp_path / "me.wav", np.zeros(24_000), 24_000)
    await dialog(ui).get_by_label("Recording", exact=True).set_input_files(recording)
    await dialog(ui).get_by_role("button", name="Add voice").click()
    await expect(status).to_have_text("there is a voice anna already")


async def test_an_added_voice_can_be_removed(ui: WebUi, library: GrowingVoices) -> None:
    await library.add("emil", b"")
    await dialog(ui).get_by_role("button", name="Close").click()
    await ui.page.click("#open-voices")
    ui.page.on("dialog", lambda question: question.accept())
    await dialog(ui).get_by_role("button", name="Remove emil").click()
    await expect(dialog(ui).get_by_role("status")).to_have_text("emil is gone.")
    await expect(ui.page.locator("#voices li")).to_have_count(2)
    assert library.names == ()


async def test_an_engine_with_fixed_voices_says_so(page: Page, serve: Serve) -> None:
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend())}/")
    await ui.open()
    await page.click("#open-voices")
    await expect(dialog(ui)).to_contain_text("its own voices only")
    await expect(dialog(ui).locator("form")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(dialog(ui)).to_be_hidden()


async def test_a_plain_http_origin_says_why_it_cannot_record(
    page: Page, serve: Serve, library: GrowingVoices
) -> None:
    port = await serve(LearningBackend(library), voices=library)
    ui = WebUi(page, f"http://tts.lan:{port}/")
    await ui.open()
    await page.click("#open-voices")
    await expect(dialog(ui)).to_contain_text("Recording here needs https:// or localhost.")
    await expect(dialog(ui).locator("[data-part=record]")).to_be_hidden()
