"""The frameworkless WebRTC demo: a real peer hears it speak, and fall silent when told to."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import pytest
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from playwright.async_api import async_playwright, expect

import webrtc_speaker
from webrtc import Listener, needs_a_network_address
from webrtc_speaker import FRAME, SPEAKER, Speaker, SpeechTrack, build, main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LOUD = re.compile(r"^(1|0\.(0[1-9]|[1-9]))")  # of 1: a voice, not the noise of a codec
LONG = "I go on and on until somebody stops me, and nobody does, so here I am still talking. " * 50


class Running:
    """The demo on a free port."""

    def __init__(self, url: str, speaker: Speaker) -> None:
        self.url = url
        self.speaker = speaker

    async def until_alone(self) -> None:
        while self.speaker.peers:
            await asyncio.sleep(0.01)
        assert self.speaker.synthesizer.status.sessions == 0


@pytest.fixture
async def demo(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """The running demo, which must leave no task and no process behind."""
    tasks, processes = asyncio.all_tasks(), psutil.Process().children(recursive=True)
    # Unless a test is about it, patience has no end: a busy machine may need long to connect.
    app = build("preview:", patience=getattr(request, "param", math.inf))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Running(f"http://127.0.0.1:{runner.addresses[0][1]}", app[SPEAKER])
    await runner.cleanup()
    while (
        left := asyncio.all_tasks() - tasks - {asyncio.current_task()}
    ):  # the test's timeout is the limit
        await asyncio.wait(left)
    assert set(psutil.Process().children(recursive=True)) <= set(processes)


@needs_a_network_address
async def test_a_peer_hears_speech_then_silence_then_speech_over_one_connection(
    demo: Running,
) -> None:
    async with Listener.connected(f"{demo.url}/offer") as peer:
        peer.send({"type": "say", "text": LONG})
        peer.send({"type": "say", "text": "And this was waiting."})
        await peer.until_loud()
        peer.send({"type": "interrupt"})
        report = await peer.until_message("interrupted")
        assert 0 < report["delivered_ms"] <= report["generated_ms"] < 60_000
        await peer.until_quiet()

        peer.send({"type": "say", "text": "Here I am again."})
        await peer.until_loud()
        while (await peer.until_message("finished"))["reason"] != "completed":
            pass
        await peer.until_quiet()
    await demo.until_alone()


@needs_a_network_address
async def test_what_is_not_understood_is_said_and_nothing_else_happens(
    demo: Running,
) -> None:
    async with Listener.connected(f"{demo.url}/offer") as peer:
        for message in ({"type": "sing"}, {"type": "say"}, {"type": "say", "text": "x" * 200_000}):
            peer.send(message)
            assert "message" in await peer.until_message("error")
        peer.send({"type": "say", "text": "Still here."})
        await peer.until_loud()


@needs_a_network_address
async def test_the_server_ends_while_a_peer_is_listening(demo: Running) -> None:
    async with Listener.connected(f"{demo.url}/offer") as peer:
        peer.send({"type": "say", "text": LONG})
        await peer.until_loud()
        await demo.speaker.aclose()
        assert demo.speaker.peers == 0


@pytest.mark.parametrize("demo", [0.2], indirect=True)
async def test_a_browser_that_never_connects_is_forgotten(
    demo: Running, caplog: pytest.LogCaptureFixture
) -> None:
    browser = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    browser.addTransceiver("audio", direction="recvonly")
    await browser.setLocalDescription(await browser.createOffer())
    offer = {"sdp": browser.localDescription.sdp, "type": "offer"}
    async with aiohttp.ClientSession(demo.url) as client:
        async with client.post("/offer", json=offer) as response:
            assert response.status == 200
        await demo.until_alone()
    assert "never connected" in caplog.text
    await browser.close()


async def test_what_is_no_offer_is_refused(demo: Running) -> None:
    async with aiohttp.ClientSession(demo.url) as client:
        for body in (b"\xff", b'{"type": "offer"}', b'{"sdp": "v=0", "type": "offer"}'):
            async with client.post("/offer", data=body) as response:
                assert response.status == 400
            await demo.until_alone()


async def test_a_track_plays_every_sample_once_and_then_silence() -> None:
    track = SpeechTrack()
    samples = np.arange(1, 2 * FRAME + 101, dtype=np.int16)
    await track.write(samples.tobytes())
    heard = [(await track.recv()).to_ndarray()[0] for _ in range(4)]
    assert np.concatenate(heard).tolist() == [*samples, *[0] * (2 * FRAME - 100)]
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_cleared_track_fades_out_and_lets_its_writer_go_on() -> None:
    track = SpeechTrack()
    writing = asyncio.create_task(track.write(np.full(20 * FRAME, 1000, np.int16).tobytes()))
    assert (await track.recv()).to_ndarray().min() == 1000
    assert not writing.done()
    track.clear()
    await writing
    fading, silent = [(await track.recv()).to_ndarray()[0] for _ in range(2)]
    assert fading[0] == 1000 and fading[-1] == 0 and (np.diff(fading) <= 0).all()
    assert not silent.any()


@pytest.mark.parametrize(
    ("flags", "said"), [(["--help"], "--engine ADDRESS"), (["--engine", "what:"], "preview:")]
)
def test_the_command_explains_itself(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert said in capsys.readouterr().out + str(ended.value)


async def test_the_command_serves_its_page_until_it_is_told_to_end() -> None:
    program = [sys.executable, webrtc_speaker.__file__, "--port", "0"]
    running = await asyncio.create_subprocess_exec(*program, stderr=asyncio.subprocess.PIPE)
    assert running.stderr is not None
    assert b"open http" in await running.stderr.readline()
    running.send_signal(signal.SIGTERM)
    assert await running.wait() == 0


@pytest.mark.alone
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
@needs_a_network_address
async def test_a_browser_hears_it_and_silences_it(demo: Running) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 700, "height": 640})
        await page.goto(demo.url)
        level, log = page.locator("#level"), page.locator("#log li").first
        await page.fill("#text", LONG)
        await page.click("#say")
        await expect(level).to_have_text(LOUD, timeout=60_000)
        await expect(page.locator("#state")).to_have_text("connected")
        if folder := os.environ.get("SCREENSHOTS"):
            await page.screenshot(path=str(Path(folder) / "webrtc_speaker.png"))
        await page.click("#interrupt")
        await expect(page.locator("#log")).to_contain_text("delivered_ms", timeout=60_000)
        await expect(level).to_have_text("0.000", timeout=60_000)
        await page.fill("#text", "Once more.")
        await page.click("#say")
        await expect(level).to_have_text(LOUD, timeout=60_000)
        await expect(log).to_contain_text("completed", timeout=60_000)
        assert demo.speaker.peers == 1
        await page.goto("about:blank")
        await demo.until_alone()
        await browser.close()
