"""What is heard in a real Chromium: exactly what was served, and silence at once."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.async_api import Browser, Page, expect

from fakes import CHUNK
from webui import CountingBackend, Serve, WebUi

pytestmark = pytest.mark.alone  # what is played is played in real time

TEXT = "Play it all"
LONG = "I go on and on until somebody stops me. " * 20


async def test_play_sounds_exactly_as_served(ui: WebUi) -> None:
    await ui.record()
    await ui.play(TEXT)
    await expect(ui.status()).to_have_text("Done.", timeout=20_000)
    served = np.arange(1, 1 + CHUNK * len(TEXT)).astype(np.int16)
    assert (await ui.recorded()).tolist() == served.tolist()
    await expect(ui.tile("underruns")).to_have_text("0")
    for tile in ("firstByte", "firstAudio"):
        assert (await ui.tile(tile).inner_text()).endswith(" ms")
    assert float(await ui.tile("rtf").inner_text()) > 0
    await expect(ui.tile("audio")).to_have_text(f"{CHUNK * len(TEXT) / 24_000:.1f} s")


async def test_an_interrupt_is_heard_within_100_ms(ui: WebUi) -> None:
    await ui.record()
    for round_ in range(4):
        await ui.play(LONG)
        await ui.until("lane.player.running && lane.queue.turns[0]?.state === 'speaking'")
        await ui.interrupt()
        await ui.until(f"lane.interrupts.length > {round_}")
        heard = len(await ui.recorded())
        await ui.page.wait_for_timeout(150)  # nothing may be heard in this time
        assert len(await ui.recorded()) == heard
    await expect(ui.status()).to_contain_text("Interrupted: 1 stopped, 0 flushed")
    # By the clock of what is rendered. On a busy machine a round may wait for a processor.
    silences = await ui.inside("lane.interrupts.map(({ silence }) => silence)")
    assert min(silences) < 100
    assert (await ui.tile("silence").inner_text()).endswith(" ms")
    assert (await ui.tile("ack").inner_text()).endswith(" ms")


async def test_an_interrupt_fades_what_it_cuts(ui: WebUi) -> None:
    await ui.record()
    await ui.play(LONG)
    await ui.until("lane.player.position > 0.3")
    await ui.interrupt()
    await ui.until("lane.interrupts.length")
    heard = np.abs((await ui.recorded()).astype(int))
    fade = 120  # 5 ms
    body = heard[:-fade]
    assert (
        body.tolist() == np.abs(np.arange(1, 1 + len(body)).astype(np.int16).astype(int)).tolist()
    )
    assert heard[-1] == 0
    assert (np.diff(heard[-fade:]) <= 0).all()


async def test_an_interrupt_reaches_what_is_queued(page: Page, serve: Serve) -> None:
    backend = CountingBackend(free=False)
    ui = WebUi(page, f"http://localhost:{await serve(backend)}/")
    await ui.open()
    await ui.record()
    for _ in range(3):
        await ui.play("Never heard.")
    await expect(ui.queue()).to_have_count(3)
    await expect(ui.queue().nth(1)).to_contain_text("Next")
    await expect(ui.queue().nth(2)).to_contain_text("Queued")
    await ui.interrupt()
    await expect(ui.status()).to_contain_text("Interrupted: 1 stopped, 2 flushed")
    await expect(ui.queue()).to_have_count(0)
    await ui.play("Heard")
    await ui.until("lane.queue.turns.length === 1")
    backend.free = True
    while not backend.running:
        await page.wait_for_timeout(5)
    backend.permit(5)
    await expect(ui.status()).to_have_text("Done.")
    assert len(await ui.recorded()) == 5 * CHUNK


async def test_one_of_the_queue_can_be_cancelled_alone(page: Page, serve: Serve) -> None:
    backend = CountingBackend(free=False)
    ui = WebUi(page, f"http://localhost:{await serve(backend)}/")
    await ui.open()
    await ui.record()
    for text in ("First", "Second", "Third"):
        await ui.play(text)
    await expect(ui.queue().nth(2)).to_contain_text("Queued")
    await page.get_by_role("button", name="Cancel: Second").click()
    await expect(ui.queue()).to_have_count(2)
    while len(backend.started) < 2:
        backend.permit()
        await page.wait_for_timeout(5)
    while await ui.queue().count():
        backend.permit()
        await page.wait_for_timeout(5)
    assert backend.started == ["First", "Third"]
    assert len(await ui.recorded()) == 10 * CHUNK


async def test_a_server_that_stalls_is_counted_as_an_underrun(page: Page, serve: Serve) -> None:
    backend = CountingBackend(free=False)
    ui = WebUi(page, f"http://localhost:{await serve(backend)}/")
    await ui.open()
    await ui.record()
    await ui.play(TEXT)
    while not backend.running:
        await page.wait_for_timeout(5)
    backend.permit(3)
    await expect(ui.tile("underruns")).to_have_text("1")
    backend.permit(len(TEXT))
    await expect(ui.status()).to_have_text("Done.")
    await expect(ui.tile("underruns")).to_have_text("1")
    served = np.arange(1, 1 + CHUNK * len(TEXT)).astype(np.int16)
    assert (await ui.recorded()).tolist() == served.tolist()  # a gap loses nothing


async def test_clients_side_by_side_have_queues_of_their_own(ui: WebUi) -> None:
    await ui.page.click("#add-client")
    await ui.play(LONG)
    await ui.play(LONG, lane=1)
    for lane in (0, 1):
        await ui.until("lane.player?.position > 0.2", lane)
    await ui.interrupt(lane=1)
    await expect(ui.status(1)).to_contain_text("Interrupted: 1 stopped")
    before = await ui.inside("lane.player.position")
    await ui.until(f"lane.player.position > {before + 0.2}")
    assert await ui.inside("lane.client") != await ui.inside("lane.client", 1)
    await ui.part("close").click()
    await expect(ui.page.locator(".lane")).to_have_count(1)
    assert await ui.inside("lane.queue.turns.length") == 0


async def test_the_history_replays_and_saves_what_was_served(ui: WebUi) -> None:
    await ui.play("Keep me")
    await expect(ui.status()).to_have_text("Done.")
    entry = ui.page.locator("#history li")
    await expect(entry).to_contain_text("Keep me")
    async with ui.page.expect_download() as download:
        await entry.get_by_role("link", name="Download: Keep me").click()
    saved = await download.value
    assert saved.suggested_filename == "keep-me.wav"
    data = (await saved.path()).read_bytes()
    assert data[:4] == b"RIFF"
    samples = np.frombuffer(data[44:], "<i2")
    assert samples.tolist() == np.arange(1, 1 + 7 * CHUNK).astype(np.int16).tolist()
    replay = entry.get_by_role("button", name="Replay: Keep me")
    await replay.click()
    await expect(replay.locator("use")).to_have_attribute("href", "#i-stop")
    await expect(replay.locator("use")).to_have_attribute("href", "#i-play")  # it ends
    await ui.page.click("#clear-history")
    await expect(entry).to_have_count(0)


async def test_a_plain_http_origin_plays_through_buffers(page: Page, serve: Serve) -> None:
    """What a page of a machine in the LAN has: no secure context, so no AudioWorklet."""
    ui = WebUi(page, f"http://tts.lan:{await serve(CountingBackend())}/")
    await ui.open()
    assert not await page.evaluate("isSecureContext")
    await ui.play(TEXT)
    await ui.until("lane.player?.position > 0.2")
    assert (await ui.inside("(await lane.openAudio()).kind")) == "buffers"
    await expect(ui.status()).to_have_text("Done.")
    assert await ui.inside("lane.player.position") == CHUNK * len(TEXT) / 24_000
    await ui.play(LONG)
    await ui.until("lane.queue.turns[0]?.state === 'speaking'")
    await ui.interrupt()
    await expect(ui.status()).to_contain_text("Interrupted: 1 stopped")
    await expect(ui.tile("buffered")).to_have_text("0.0 s")
    assert await ui.inside("lane.interrupts[0].silence") < 1000


async def test_buffers_count_gaps_too(page: Page, serve: Serve) -> None:
    backend = CountingBackend(free=False)
    ui = WebUi(page, f"http://tts.lan:{await serve(backend)}/")
    await ui.open()
    await ui.play(TEXT)
    while not backend.running:
        await page.wait_for_timeout(5)
    backend.permit(3)
    await expect(ui.tile("underruns")).to_have_text("1")
    backend.permit(len(TEXT))
    await expect(ui.status()).to_have_text("Done.")
    await expect(ui.tile("underruns")).to_have_text("1")


async def test_a_context_at_another_rate_plays_at_the_right_speed(
    browser: Browser, serve: Serve
) -> None:
    page = await browser.new_page()
    await page.add_init_script(
        """const Real = AudioContext;
        AudioContext = function (options) {
            if (options?.sampleRate === 24000) throw new DOMException("", "NotSupportedError");
            return new Real({ sampleRate: 44100 });
        };"""
    )
    ui = WebUi(page, f"http://localhost:{await serve(CountingBackend())}/")
    await ui.open()
    await ui.record()
    await ui.play(TEXT)
    await expect(ui.status()).to_have_text("Done.")
    heard = await ui.recorded()
    assert abs(len(heard) - CHUNK * len(TEXT) * 44_100 / 24_000) < 50
    await page.close()


async def test_resampling_in_pieces_is_that_of_the_whole(ui: WebUi) -> None:
    worst, apart, lengths = await ui.page.evaluate(
        """(async () => {
            const { Resampler } = await import('/static/resample.js');
            const sine = Float32Array.from({ length: 4800 }, (_, i) => Math.sin(2 * Math.PI * 1000 * i / 24000));
            const whole = new Resampler(24000, 44100);
            const one = [...whole.push(sine), ...whole.end()];
            const pieces = new Resampler(24000, 44100);
            const many = [];
            for (let at = 0, size = 1; at < sine.length; at += size, size = (size * 7 + 2) % 123)
                many.push(...pieces.push(sine.slice(at, at + size)));
            many.push(...pieces.end());
            const wrong = one.map((value, i) => Math.abs(value - Math.sin(2 * Math.PI * 1000 * i / 44100)));
            const apart = one.map((value, i) => Math.abs(value - many[i]));
            return [Math.max(...wrong.slice(60, -60)), Math.max(...apart), [one.length, many.length]];
        })()"""
    )
    assert worst < 1e-3
    assert apart < 1e-6
    assert lengths == [8820, 8820]
