"""Voices that come and go while the server runs, and the uploads of those who mean no good."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from cloning import RATE, WAV, Cloning, StartCloning, audio, tone
from fakes import CHUNK
from qwen3_tts_live.voices.store import VoiceStore
from serving import Start

# ------------------------------------------------------------------ what they are for


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
async def test_a_recording_of_any_usual_kind_becomes_a_voice_that_speaks_at_once(
    cloning: StartCloning, kind: str
) -> None:
    one = await cloning()
    assert await one.add("anna", audio(tone(1.0, 48_000, 2), kind, 48_000)) == (
        201,
        {"name": "anna"},
    )
    assert one.files() == ["anna.safetensors"]
    async with one.running.client.get("/tts/voices") as response:
        assert await response.json() == {
            "voices": [
                {"name": "reference", "default": True, "removable": False},
                {"name": "anna", "default": False, "removable": True},
            ],
            "can_add": True,
        }
    for path, key in (("/info", "voices"), ("/v1/audio/voices", "voices")):
        async with one.running.client.get(path) as response:
            assert (await response.json())[key] == ["reference", "anna"]
    asking = asyncio.create_task(one.running.speak("hi", voice="Anna"))
    await one.running.until(lambda: bool(one.backend.running))
    one.backend.permit(2)
    assert len(await (await asking).read()) == 2 * CHUNK * 2
    assert one.backend.spoken_with[0].name == "anna"


async def test_what_the_recording_says_goes_with_the_voice(cloning: StartCloning) -> None:
    one = await cloning()
    assert await one.code("anna", text=" Hello there. ") == (201, "")
    voice = one.store.load("anna")
    assert (voice.ref_text, voice.codes is not None) == ("Hello there.", True)


async def test_a_voice_is_there_again_after_a_restart_and_holds_no_audio(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    await one.add("anna")
    (file,) = one.store.folder.iterdir()
    assert file.stat().st_size < 1000
    assert file.stat().st_mode & 0o077 == 0
    assert VoiceStore(one.store.folder).names() == ["anna"]


async def test_a_voice_that_is_removed_while_it_speaks_speaks_to_the_end(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    await one.add("anna")
    asking = [asyncio.create_task(one.running.speak(text, voice="anna")) for text in ("One", "Two")]
    await one.running.until(lambda: one.running.synthesizer.status.queued == 1)
    assert await one.remove("anna") == (200, {"name": "anna", "status": "removed"})
    assert (await one.names(), one.files()) == (["reference"], [])
    async with await one.running.speak("too late", voice="anna") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "unknown_voice")
    one.backend.free = True
    one.backend.permit(9)
    assert [len(await (await task).read()) for task in asking] == [3 * CHUNK * 2] * 2
    assert [voice.name for voice in one.backend.spoken_with] == ["anna", "anna"]
    assert (await one.remove("anna"))[0] == 404
    assert await one.code("anna") == (201, "")


async def test_an_engine_that_cannot_clone_says_which_can(start: Start) -> None:
    running = await start()
    async with running.client.get("/tts/voices") as response:
        body = await response.json()
        assert ([voice["name"] for voice in body["voices"]], body["can_add"]) == (
            ["anna", "bert"],
            False,
        )
    for method, path in (("DELETE", "/tts/voices/anna"), ("POST", "/tts/voices")):
        async with running.client.request(method, path) as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"]) == (501, "cannot_clone")
            assert "Base" in error["message"]


async def test_what_speaks_does_not_wait_for_a_recording_to_be_encoded(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    one.encoder.may.clear()
    adding = asyncio.create_task(one.add("anna"))
    await asyncio.to_thread(one.encoder.asked.wait)
    one.backend.free = True
    async with await one.running.speak("hello") as response:
        assert len(await response.read()) == 5 * CHUNK * 2
    assert not adding.done()
    assert await one.names() == ["reference"]
    one.encoder.may.set()
    assert (await adding)[0] == 201


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../anna",
        "/etc/passwd",
        "..\\anna",
        "a/b",
        "anna.safetensors",
        "Anna",
        "-anna",
        "ａnna",
        "a" * 65,
        "an na",
        "anna\n",
        "http://example.com/a.wav",
    ],
)
async def test_a_name_never_leaves_the_folder(
    cloning: StartCloning, tmp_path: Path, name: str
) -> None:
    one = await cloning()
    assert await one.code(name) == (400, "invalid_request")
    assert one.files() == []
    (tmp_path / "anna.safetensors").write_bytes(b"not ours to remove")
    quoted = "".join(f"%{byte:02x}" for byte in name.encode()) or "%20"
    async with one.running.client.delete(f"/tts/voices/{quoted}") as response:
        assert response.status in (400, 404)
    assert (tmp_path / "anna.safetensors").exists()


async def test_a_name_is_taken_once_whoever_comes_first(cloning: StartCloning) -> None:
    one = await cloning()
    statuses = [status for status, _ in await asyncio.gather(*(one.add() for _ in range(3)))]
    assert sorted(statuses) == [201, 409, 409]
    assert await one.code("reference") == (409, "voice_exists")
    assert (await one.remove("reference"))[0] == 409
    assert await one.names() == ["reference", "anna"]


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


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
async def test_damaged_files_are_taken_or_refused_and_nothing_worse(
    cloning: StartCloning, kind: str
) -> None:
    one = await cloning()
    whole = audio(tone(2.0, 16_000), kind, 16_000)
    random = np.random.default_rng(7)
    for number in range(12):
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
