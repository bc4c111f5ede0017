"""Voices that come and go while the server runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from cloning import WAV, StartCloning, audio, tone
from fakes import CHUNK
from qwen3_tts_live.voices.store import VoiceStore
from serving import Start

# ------------------------------------------------------------------ what they are for


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "m4a", "webm"])
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


async def test_an_engine_without_a_voice_says_what_to_do_until_it_has_its_first(
    cloning: StartCloning,
) -> None:
    one = await cloning(voiceless=True)
    async with one.running.client.get("/tts/voices") as response:
        assert await response.json() == {"voices": [], "can_add": True}
    for path, field in (("/tts/stream", "text"), ("/v1/audio/speech", "input")):
        async with one.running.client.post(path, json={field: "Hello."}) as response:
            error = (await response.json())["error"]
            assert (response.status, error["param"]) == (400, "voice")
            assert "upload one" in error["message"] and "--ref-audio" in error["message"]
    assert await one.code("anna") == (201, "")
    one.backend.free = True
    async with await one.running.speak("hi") as response:
        assert len(await response.read()) == 2 * CHUNK * 2
    assert one.backend.spoken_with[-1].name == "anna"
    async with one.running.client.get("/tts/voices") as response:
        anna = {"name": "anna", "default": True, "removable": True}
        assert (await response.json())["voices"] == [anna]


async def test_vllm_omnis_routes_add_list_and_remove_the_same_voices(
    cloning: StartCloning,
) -> None:
    one = await cloning()
    path, client = "/v1/audio/voices", one.running.client
    about = {"name": "anna", "consent": "id-1", "ref_text": "Hello.", "speaker_description": "warm"}
    form = aiohttp.FormData(about)
    form.add_field("audio_sample", WAV, filename="anna.wav", content_type="audio/wav")
    async with client.post(path, data=form) as response:
        body = await response.json()
        assert (response.status, body) == (200, {"success": True, "voice": {"name": "anna"}})
    assert one.store.load("anna").ref_text == "Hello."
    listed = {"voices": ["reference", "anna"], "uploaded_voices": [{"name": "anna"}]}
    async with client.get(path) as response:
        assert await response.json() == listed
    async with client.ws_connect("/v1/audio/speech/stream") as socket:
        await socket.send_json({"type": "voice.list"})
        assert await socket.receive_json() == {"type": "voice.list"} | listed
    async with client.post(path, data=aiohttp.FormData({"name": "b", "consent": "c"})) as response:
        assert response.status == 415  # no multipart
    async with client.delete(f"{path}/anna") as response:
        assert (response.status, (await response.json())["success"]) == (200, True)
    async with client.delete(f"{path}/anna") as response:
        assert response.status == 404
    assert await one.names() == ["reference"]


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
