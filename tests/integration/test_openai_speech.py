"""`openai+http://` against servers that do everything wrong, on real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import numpy as np
import pytest
from aiohttp import web

from qwen3_tts_live import AudioChunk, Finished, SessionOptions, SpeechError, open_synthesizer
from qwen3_tts_live.backend import Pcm, Segment
from qwen3_tts_live.backends.openai_speech import OpenAiSpeechBackend, Patience
from qwen3_tts_live.errors import (
    AuthenticationError,
    BackendCrashedError,
    BackendError,
    BackendUnavailableError,
    ConnectionLostError,
    InvalidRequestError,
    OverloadedError,
    UnknownVoiceError,
)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
SOUND = np.arange(4000, dtype=np.int16)
DATA = SOUND.astype("<i2").tobytes()
QUICK = Patience(connect=5.0, first_byte=0.2, gap=0.2)


class Server:
    """A speech server that answers as its `speak` says, and remembers what it was asked."""

    def __init__(self, speak: Handler | None = None, **lists: Any) -> None:
        self.speak = speak or answering(DATA)
        self.lists = {"models": {"data": [{"id": "m1"}]}, "audio/voices": {"voices": ["v1", "v2"]}}
        self.lists |= lists
        self.asked: list[dict[str, Any]] = []
        self.headers: list[str | None] = []
        self.open = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Authorization"))
        if request.method == "GET":
            listed = self.lists[request.path.removeprefix("/v1/")]
            if isinstance(listed, int):
                return web.Response(status=listed)
            return web.Response(text=listed if isinstance(listed, str) else json.dumps(listed))
        self.asked.append(await request.json())
        self.open += 1
        try:
            return await self.speak(request)
        finally:
            self.open -= 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"openai+http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def backend(
        self, patience: Patience | None = None, query: str = ""
    ) -> AsyncIterator[OpenAiSpeechBackend]:
        async with self.running() as address:
            backend = await OpenAiSpeechBackend.open(address + query, patience=patience)
            try:
                yield backend
            finally:
                await backend.aclose()


def answering(*pieces: bytes, content_type: str = "audio/pcm", cut: bool = False) -> Handler:
    """Send the pieces; then end well, or break off."""

    async def speak(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        if cut and request.transport is not None:
            request.transport.close()
        return response

    return speak


def refusing(status: int, body: str = "", **headers: str) -> Handler:
    async def speak(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return speak


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def stuck(request: web.Request) -> web.StreamResponse:
    """Begin, and go no further."""
    response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
    await response.prepare(request)
    await response.write(DATA)
    return await silent(request)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
    await response.prepare(request)
    while True:
        await response.write(DATA)


def segment(text: str = "Hello.", **more: Any) -> Segment:
    return Segment(text=text, language="English", **more)


async def spoken(backend: OpenAiSpeechBackend, **more: Any) -> bytes:
    events = [event async for event in backend.synthesize(segment(**more))]
    return b"".join(event.samples.tobytes() for event in events if isinstance(event, Pcm))


# ------------------------------------------------------------------ what is asked and heard


async def test_a_server_of_the_kin_is_asked_for_everything() -> None:
    server = Server()
    async with server.backend() as backend:
        assert (backend.name, backend.voices) == ("m1", ("v1", "v2"))
        assert await spoken(backend, voice="v2", instruct="Softly.", seed=7) == DATA
    (asked,) = server.asked
    assert asked == {
        "model": "m1",
        "input": "Hello.",
        "voice": "v2",
        "instructions": "Softly.",
        "response_format": "pcm",
        "stream_format": "audio",
        "language": "English",
        "seed": 7,
        "stream": True,
    }


async def test_a_server_without_lists_is_asked_for_what_openai_knows() -> None:
    server = Server(**{"models": 404, "audio/voices": 404})
    async with server.backend(query="?model=gpt-4o-mini-tts&voice=ash") as backend:
        assert backend.voices == ("ash",)
        assert await spoken(backend) == DATA
    (asked,) = server.asked
    assert asked == {
        "model": "gpt-4o-mini-tts",
        "input": "Hello.",
        "voice": "ash",
        "response_format": "pcm",
        "stream_format": "audio",
    }


async def test_lists_may_have_objects_and_uploads() -> None:
    voices = {"voices": [{"name": "a"}, {"id": "b"}, 7], "uploaded_voices": [{"name": "c"}]}
    async with Server(**{"audio/voices": voices}).backend(query="?voice=c") as backend:
        assert backend.voices == ("c", "a", "b")


async def test_the_key_goes_with_every_request() -> None:
    server = Server()
    async with (
        server.running() as address,
        await open_synthesizer(address, api_key="secret") as synthesizer,
    ):
        session = await synthesizer.open_session()
        events = [event async for event in session.utter("Hello.")]
    heard = [event.data for event in events if isinstance(event, AudioChunk)]
    assert b"".join(heard) == DATA
    assert server.headers == ["Bearer secret"] * 3


async def test_events_are_heard_like_bytes() -> None:
    audio = base64.b64encode(DATA).decode()
    lines = f'data: {{"type": "speech.audio.delta", "audio": "{audio}"}}\n\n'
    lines += 'data: {"type": "speech.audio.done"}\n\n'
    pieces = [lines[i : i + 777].encode() for i in range(0, len(lines), 777)]
    server = Server(answering(*pieces, content_type="text/event-stream"))
    async with server.backend() as backend:
        assert await spoken(backend) == DATA


async def test_odd_bytes_are_carried() -> None:
    pieces = [DATA[i : i + 333] for i in range(0, len(DATA), 333)]
    async with Server(answering(*pieces)).backend() as backend:
        assert await spoken(backend) == DATA


async def test_a_connection_that_was_read_to_its_end_is_used_again() -> None:
    server = Server()
    peers = set()

    async def speak(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await answering(DATA)(request)

    server.speak = speak
    async with server.backend() as backend:
        for _ in range(3):
            await spoken(backend)
    assert len(peers) == 1


# ------------------------------------------------------------------ stopping


async def test_an_interrupt_closes_the_request() -> None:
    server = Server(endless)
    async with server.running() as address, await open_synthesizer(address) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=0.5))
        events = aiter(session.utter("Hello."))
        while not isinstance(await anext(events), AudioChunk):
            pass
        await session.interrupt()
        assert [type(event) async for event in events] == [Finished]
        while server.open:  # the server notices on its own; the test's timeout is the limit
            await asyncio.sleep(0.001)


async def test_closing_before_the_answer_closes_the_request_too() -> None:
    server = Server(silent)
    async with server.backend() as backend:
        asking = asyncio.create_task(spoken(backend))
        while not server.open:
            await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.wait([asking])
        while server.open:
            await asyncio.sleep(0.001)


async def test_a_consumer_that_waits_holds_the_server_up() -> None:
    """What it makes ahead is bounded by buffers, not by its speed."""
    sent = 0

    async def speak(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        while sent < 200_000_000:
            await response.write(bytes(100_000))
            sent += 100_000
        return response

    async with Server(speak).backend() as backend:
        events = backend.synthesize(segment())
        await anext(events)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 100_000_000
        await events.aclose()


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("speak", "kind", "retryable", "clue"),
    [
        (refusing(429, '{"error": {"message": "slow down"}}'), OverloadedError, True, "slow down"),
        (refusing(503), OverloadedError, True, "503"),
        (refusing(502), ConnectionLostError, True, "502"),
        (refusing(500, "Traceback"), BackendError, False, "Traceback"),
        (refusing(400, '{"error": "no such voice"}'), InvalidRequestError, False, "no such voice"),
        (refusing(401), AuthenticationError, False, "401"),
        (refusing(302, Location="http://example.com/"), InvalidRequestError, False, "302"),
        (answering(b"{}", content_type="application/json"), BackendError, False, "json"),
        (answering(b"ID3", content_type="audio/mpeg"), BackendError, False, "audio/mpeg"),
        (answering(DATA, cut=True), BackendCrashedError, True, "broke off"),
        (answering(b"data: {", content_type="text/event-stream"), BackendError, False, "sense"),
        (answering(b"", content_type="text/event-stream"), BackendCrashedError, True, "last one"),
        (silent, ConnectionLostError, True, "does not answer"),
        (stuck, BackendCrashedError, True, "does not answer"),
    ],
)
async def test_each_failure_has_its_type_and_says_whether_to_try_again(
    speak: Handler, kind: type[SpeechError], retryable: bool, clue: str
) -> None:
    server = Server(speak)
    async with server.backend(QUICK) as backend:
        with pytest.raises(kind, match=clue) as caught:
            await spoken(backend)
        assert caught.value.retryable is retryable
        server.speak = answering(DATA)
        assert await spoken(backend) == DATA


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", 1.0), ("", 1.0)],
)
async def test_retry_after_is_passed_on(header: str, seconds: float) -> None:
    async with Server(refusing(429, **{"Retry-After": header})).backend() as backend:
        with pytest.raises(OverloadedError) as caught:
            await spoken(backend)
    assert caught.value.retry_after == seconds


async def test_a_server_that_goes_away_is_a_lost_connection() -> None:
    server = Server()
    async with server.running() as address:
        backend = await OpenAiSpeechBackend.open(address)
    with pytest.raises(ConnectionLostError, match="cannot be reached"):
        await spoken(backend)
    with pytest.raises(ConnectionLostError):
        await OpenAiSpeechBackend.open(address)
    await backend.aclose()


@pytest.mark.parametrize(
    ("lists", "kind", "clue"),
    [
        ({"models": {"data": [{"id": "a"}, {"id": "b"}]}}, InvalidRequestError, r"\?model="),
        ({"models": 401}, AuthenticationError, "401"),
        ({"models": 503}, OverloadedError, "503"),
        ({"models": "<html>"}, BackendUnavailableError, "something else"),
        ({"models": "[]"}, BackendUnavailableError, "something else"),
        ({"audio/voices": {"voices": 7}}, BackendUnavailableError, "something else"),
    ],
)
async def test_what_is_wrong_with_a_server_is_found_when_it_is_opened(
    lists: dict[str, Any], kind: type[SpeechError], clue: str
) -> None:
    async with Server(**lists).running() as address:
        with pytest.raises(kind, match=clue):
            await OpenAiSpeechBackend.open(address)


@pytest.mark.parametrize(
    "address",
    ["openai+http://", "openai+http:///v1", "openai+http://h:x/v1", "openai+http://h/v1?speed=2"],
)
async def test_an_address_that_makes_no_sense_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError):
        await open_synthesizer(address)


async def test_a_voice_that_the_server_does_not_list_is_refused() -> None:
    async with Server().running() as address, await open_synthesizer(address) as synthesizer:
        with pytest.raises(UnknownVoiceError):
            await synthesizer.open_session(SessionOptions(voice="v3"))
