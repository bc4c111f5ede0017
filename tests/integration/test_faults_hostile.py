"""Clients that mean harm: slow ones, small bodies that grow, paths that lead out, floods."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import numpy as np
import pytest

from cloning import StartCloning, audio
from fakes import CHUNK, ScriptedBackend
from qwen3_tts_live import wire
from raw_http import RawHttp, frame, post, upgrade
from serving import Running, Start

SOCKETS = (wire.PATH, "/v1/speak", "/v1/audio/speech/stream")


async def speaks(running: Running) -> None:
    """See that somebody else is served as ever."""
    async with await running.speak("I am served", "somebody") as response:
        assert len(await response.read()) == len("I am served") * CHUNK * 2


@contextmanager
def taking_at_most(most: int) -> Iterator[None]:
    """See that no more memory is taken at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------ slow


async def test_headers_that_come_byte_by_byte_are_not_waited_for(start: Start) -> None:
    running = await start(keepalive_timeout=0.2)
    client = RawHttp(running.port)
    reader = await client.send(b"POST /tts/stream HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    reading = asyncio.create_task(reader.read())
    while not (await asyncio.wait([reading], timeout=0.01))[0]:  # each byte is a sign of life
        client.connections[0][1].write(b"x")
    assert await reading == b""
    client.leave()
    await speaks(running)


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_message_may_come_byte_by_byte_and_holds_up_nobody(start: Start, path: str) -> None:
    running = await start()
    client = RawHttp(running.port)
    reader = await client.send(upgrade(path))
    await reader.readuntil(b"\r\n\r\n")
    for byte in frame('{"type": "nonsense"}'):
        client.connections[0][1].write(bytes([byte]))
        await asyncio.sleep(0)
    await speaks(running)
    await reader.readuntil(b"nonsense")  # it was understood in the end: it is complained about
    client.leave()


async def test_half_a_message_and_then_nothing_is_given_up(start: Start) -> None:
    running = await start()
    running.server._websocket.heartbeat = 0.1
    client = RawHttp(running.port)
    reader = await client.send(upgrade(wire.PATH) + frame('{"type": "open"}')[:-5])
    await reader.readuntil(b"hello")
    await reader.read()  # until the server hangs up
    await running.until(lambda: not running.server._websocket._peers)
    client.leave()


async def test_who_asks_again_and_again_and_reads_nothing_is_cut_off(start: Start) -> None:
    running = await start(write_timeout=0.3)
    client = RawHttp(running.port)
    reader = await client.send(b"")
    transport = client.connections[0][1].transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    runner = running.server._runner
    assert runner is not None and runner.server is not None
    connections = runner.server
    asked = b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    # More than all buffers on the way hold: then nothing moves any more, and the kernel ends it.
    writer = client.connections[0][1]
    await running.until(lambda: len(connections.connections) == 1)
    while connections.connections:
        if not writer.transport.get_write_buffer_size():
            writer.write(asked)
        await asyncio.sleep(0.01)
    client.leave()
    assert reader.exception() is None or isinstance(reader.exception(), ConnectionError)
    await speaks(running)


async def test_who_complains_of_nothing_but_nonsense_is_hung_up_on(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(ScriptedBackend(free=False))
    client = RawHttp(running.port)
    busy = frame(json.dumps({"type": "Speak", "text": "busy"})) + frame('{"type": "Flush"}')
    reader = await client.send(upgrade("/v1/speak") + busy)
    await running.until(lambda: bool(running.backend.running))
    client.connections[0][1].write(frame("no JSON") * 300)
    assert (await reader.read()).endswith(b"read what you are sent")
    await running.until(lambda: not running.backend.running)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    client.leave()


# ------------------------------------------------------------------ small things that grow


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip"])
@pytest.mark.parametrize("path", ["/tts/stream", "/v1/audio/speech", "/tts/voices"])
async def test_compressed_bodies_are_refused_unopened(
    start: Start, path: str, encoding: str
) -> None:
    running = await start()
    kind = "multipart/form-data; boundary=x" if path == "/tts/voices" else "application/json"
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    bomb = gzip.compress(b" " * 10_000_000)
    with taking_at_most(5_000_000):
        async with running.client.post(path, data=bomb, headers=headers) as response:
            assert response.status == 415
            assert (await response.json())["error"]["code"] == "content_encoding"
    await speaks(running)


@pytest.mark.parametrize("path", SOCKETS)
async def test_compressed_messages_are_refused_unopened(start: Start, path: str) -> None:
    running = await start()
    protocols = [wire.SUBPROTOCOL]
    async with running.client.ws_connect(path, protocols=protocols, compress=15) as socket:
        assert not socket.compress  # it was not agreed to
    client = RawHttp(running.port)
    squeeze = zlib.compressobj(wbits=-15)
    bomb = squeeze.compress(b" " * 30_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    with taking_at_most(5_000_000):
        reader = await client.send(upgrade(path) + frame(bomb[:-4], compressed=True))
        assert aiohttp.WSCloseCode.PROTOCOL_ERROR.to_bytes(2, "big") in await reader.read()
    client.leave()
    await speaks(running)


BOMBS = {
    "flac": lambda: audio(np.zeros(3600 * 4000, np.int16), "flac", 4000),
    "mp3": lambda: audio(np.zeros(10 * 8000, np.int16), "mp3", 8000) * 360,
    "opus": lambda: audio(np.zeros(10 * 8000, np.int16), "opus", 8000) * 360,
}


@pytest.mark.parametrize("kind", BOMBS)
async def test_an_hour_of_sound_in_a_small_file_is_refused_undecoded(
    cloning: StartCloning, kind: str
) -> None:
    one = await cloning()
    bomb = BOMBS[kind]()
    # A minute of it, at 24 kHz: what every recording may come to. The hour would be 346 MB.
    with taking_at_most(4 * len(bomb) + 60 * 24_000 * 4 * 3):
        assert await one.code("anna", bomb) == (400, "invalid_request")
    assert one.files() == []
    assert await one.code("anna") == (201, "")


# ------------------------------------------------------------------ paths that lead out

UP = ("..", "%2e%2e", ".%2e", "%2E%2E", "..;", "%252e%252e", "..%5c..", "..%00", "....//..")
WAYS = [f"{up}/app.py" for up in UP] + [
    "..%2fapp.py",
    "%2e%2e%2fapp.py",
    "..%5capp.py",
    "%2e%2e%5capp.py",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "../" * 20 + "etc/passwd",
    "%2e%2e%2f" * 20 + "etc%2fpasswd",
    "",
    ".",
    "app.js/../../app.py",
    "app.js%00.txt",
]


async def test_no_path_leads_out_of_the_page_s_folder(start: Start) -> None:
    running = await start()
    for way in WAYS:
        client = RawHttp(running.port)  # libraries would tidy the path up
        request = f"GET /static/{way} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await (await client.send(request.encode())).read()
        status, body = int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]
        assert status in (400, 403, 404), (way, status)
        assert b"import" not in body and b"root:" not in body, way
        client.leave()
    async with running.client.get("/static/app.js") as response:
        assert response.status == 200
    await speaks(running)


async def test_what_is_no_http_gets_400_and_nothing_else(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start()
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",  # TLS
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        post("/tts/stream", text="x").replace(b"Content-Length: ", b"Content-Length: -"),
        post("/tts/stream", text="x").replace(
            b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
    ):
        client = RawHttp(running.port)
        answer = await (await client.send(data)).read()
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), data[:40]
        client.leave()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    await speaks(running)
