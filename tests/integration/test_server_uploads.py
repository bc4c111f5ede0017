"""Uploads of voices, most of them by those who mean no good."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import aiohttp
import numpy as np
import pytest

from cloning import RATE, RECORDED, WAV, Cloning, StartCloning, audio, tone

# ------------------------------------------------------------------ recordings


def lying_flac(seconds: float, claimed: int) -> bytes:
    """Silence, whose header claims so many samples."""
    data = bytearray(audio(np.zeros((round(seconds * 8000), 2), np.float32), "flac", 8000))
    (packed,) = struct.unpack(">Q", data[18:26])
    data[18:26] = struct.pack(">Q", packed >> 36 << 36 | claimed)
    return bytes(data)


RECORDINGS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an hour of silence in a few bytes": (lambda: lying_flac(1, 3600 * 8000), "3600.00 s"),
    "more than the header says": (lambda: lying_flac(120, 8000), "silent"),
    "a length that is not known": (lambda: lying_flac(1, 0), "s long"),
    "seven channels at studio rate": (
        lambda: audio(np.zeros((192_000 * 10, 7), np.float32), "flac", 192_000),
        "too much",
    ),
    "silence": (lambda: audio(np.zeros(RATE, np.float32)), "silent"),
    "too short": (lambda: audio(tone(0.2)), "0.20 s"),
    "too long": (lambda: audio(tone(61, 8000), rate=8000), "61.00 s"),
    "text": (lambda: b"This is no audio, but long enough to be some." * 10, "known kind"),
    "nothing": (lambda: b"", "known kind"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000), "known kind"),
    "a page": (lambda: b"<!doctype html><script>alert(1)</script>", "known kind"),
    "a pickle": (lambda: b"\x80\x04\x95" + bytes(100), "known kind"),
    "an old format that nobody asked for": (lambda: audio(tone(1), "voc"), "known kind"),
    "a head without a body": (lambda: WAV[:44], "0.00 s"),
    "half a head": (lambda: WAV[:20], "cannot be read"),
    "an ftyp and then noise": (lambda: b"\0\0\0\x18ftypM4A " + bytes(range(256)), "cannot be read"),
    "a fLaC and then noise": (lambda: b"fLaC" + bytes(range(256)) * 8, "cannot be read"),
}


@pytest.mark.parametrize("name", RECORDINGS)
async def test_what_is_no_recording_is_refused_and_leaves_nothing(
    cloning: StartCloning, name: str
) -> None:
    one = await cloning()
    make, words = RECORDINGS[name]
    status, body = await one.add("anna", make())
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert words in body["error"]["message"]
    assert (one.files(), await one.names()) == ([], ["reference"])
    assert await one.code("anna") == (201, "")


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "m4a", "webm"])
async def test_damaged_files_are_taken_or_refused_and_nothing_worse(
    cloning: StartCloning, kind: str
) -> None:
    one = await cloning()
    whole = audio(tone(2.0, 16_000), kind, 16_000)
    random = np.random.default_rng(7)
    for number in range(12 if kind not in RECORDED else 4):
        data = bytearray(whole)
        if number % 2:
            data = data[: random.integers(4, len(data))]
        for place in random.integers(4, len(data), 8):
            data[place] ^= 1 << random.integers(8)
        assert await one.code(f"v{number}", bytes(data)) in (
            (201, ""),
            (400, "invalid_request"),
        )
    assert await one.code("anna") == (201, "")


# ------------------------------------------------------------------ bodies


async def test_fields_that_are_missing_twice_there_unknown_or_no_text_are_named(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    assert await one.code("anna", None) == (400, "invalid_request")
    assert await one.code("anna", b"", path="/etc/passwd") == (400, "invalid_request")
    assert await one.code("anna", url="http://169.254.169.254/") == (400, "invalid_request")
    assert await one.code("anna", text="a\0b") == (400, "invalid_request")
    for fields in ((("name", b"\xff"), ("file", WAV)), (("name", b"a"), ("name", b"b"))):
        form = aiohttp.FormData(default_to_multipart=True)
        for field, value in fields:
            form.add_field(field, value, filename=field)
        async with one.running.client.post("/tts/voices", data=form) as response:
            assert response.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b"--x\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nanna',
        b"--x\r\nContent-Disposition: form-data\r\n\r\nanna\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\nanna\r\n--x--\r\n",
        b"--x\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\nanna\r\n--x--\r\n",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n\r\n--y--\r\n--x--",
        b'--x\r\nContent-Length: z\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--x--',
        b"--x--\r\n",
    ],
)
async def test_bodies_that_are_no_forms_are_refused(cloning: StartCloning, body: bytes) -> None:
    one = await cloning()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with one.running.client.post("/tts/voices", data=body, headers=headers) as response:
        assert response.status == 400, await response.text()
    for kind in ("multipart/form-data", "application/json", "text/plain"):
        headers = {"Content-Type": kind}
        async with one.running.client.post("/tts/voices", data=b"{}", headers=headers) as response:
            assert response.status in (400, 415)
    assert await one.code("anna") == (201, "")


@pytest.mark.parametrize("told", [True, False])
async def test_no_more_is_read_of_an_upload_than_the_limit(
    cloning: StartCloning, told: bool
) -> None:
    one = await cloning(max_upload=100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        while sent < 300_000_000:
            sent += 100_000
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if told:
        headers["Content-Length"] = "300000000"
    try:
        async with one.running.client.post(
            "/tts/voices", data=endless(), headers=headers
        ) as response:
            assert response.status == 413
    except aiohttp.ClientConnectionError:
        pass  # the server hung up while we still sent
    assert sent < 100_000_000
    assert await one.code("anna") == (201, "")


async def open_upload(one: Cloning) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which half of an upload was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", one.running.port)
    head = "POST /tts/voices HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    writer.write((head + part).encode() + WAV[:1000])
    await writer.drain()
    return reader, writer


async def test_an_upload_that_breaks_off_or_drips_leaves_nothing(cloning: StartCloning) -> None:
    one = await cloning(upload_timeout=0.2)
    _, writer = await open_upload(one)
    await one.running.until(lambda: one.running.server._voices._uploading == 1)
    writer.close()
    await one.running.until(lambda: one.running.server._voices._uploading == 0)
    reader, writer = await open_upload(one)
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    assert (one.files(), await one.names()) == ([], ["reference"])


async def test_a_client_that_leaves_while_its_voice_is_made_leaves_no_half_of_it(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    one.encoder.may.clear()
    adding = asyncio.create_task(one.add("anna"))
    await asyncio.to_thread(one.encoder.asked.wait)
    adding.cancel()
    await asyncio.wait([adding])
    await one.running.until(lambda: one.running.server._voices._uploading == 0)
    one.encoder.may.set()
    assert await one.code("bert") == (201, "")  # one thread: what was before it is over
    assert (one.files(), await one.names()) == (["bert.safetensors"], ["reference", "bert"])


async def test_too_many_uploads_at_once_and_too_many_voices_are_refused(
    cloning: StartCloning,
) -> None:
    one = await cloning(max_voices=2)
    opened = [await open_upload(one) for _ in range(4)]
    await one.running.until(lambda: one.running.server._voices._uploading == 4)
    assert await one.code() == (503, "overloaded")
    for _, writer in opened:
        writer.close()
    await one.running.until(lambda: one.running.server._voices._uploading == 0)
    for name, answer in (("a", (201, "")), ("b", (201, "")), ("c", (507, "storage"))):
        assert await one.code(name) == answer


async def test_a_stopping_server_takes_no_voice_and_lets_an_upload_end(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    one.encoder.may.clear()
    adding = asyncio.create_task(one.add())
    await asyncio.to_thread(one.encoder.asked.wait)
    stopping = asyncio.create_task(one.running.server.stop())
    await one.running.until(lambda: one.running.server.streams.draining)
    assert await one.code("bert") == (503, "overloaded")
    one.encoder.may.set()
    assert (await adding)[0] == 201
    await stopping
