"""Two servers behind the proxies of `deploy/`: what a client is promised holds through them.

Both backends speak when the test says so; each server has a voice of its own, so that /info says
who answered.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes import CHUNK, ScriptedBackend, voice_of
from proxies import is_installed, proxy
from qwen3_tts_live import open_synthesizer, wire
from raw_client import RawClient
from serving import Running, Start

VOICES = ("first", "second")


@dataclass
class Fleet:
    """Two servers, and a client of the proxy before them."""

    proxy: str
    servers: tuple[Running, ...]
    port: int
    client: aiohttp.ClientSession

    async def server_of(self, name: str, **how: Any) -> Running:
        """Return the server that a client of that name is sent to."""
        async with self.client.get("/info", **(how or header(name))) as response:
            (voice,) = (await response.json())["voices"]
        return self.servers[VOICES.index(voice)]

    async def clients(self, each: int) -> dict[str, Running]:
        """Return names of clients, as many of each server."""
        found: dict[str, Running] = {}
        count = dict.fromkeys(VOICES, 0)
        for number in range(1000):
            name = f"client-{number}"
            server = await self.server_of(name)
            voice = VOICES[self.servers.index(server)]
            if count[voice] < each:
                count[voice] += 1
                found[name] = server
            if len(found) == 2 * each:
                return found
        raise AssertionError(f"all go to one server: {count}")

    def speak(self, name: str, text: str, **how: Any) -> asyncio.Task[aiohttp.ClientResponse]:
        body = {"text": text, "client_id": name}
        return asyncio.create_task(
            self.client.post("/tts/stream", json=body, **(how or header(name)))
        )

    async def interrupt(self, name: str, **how: Any) -> dict[str, Any]:
        async with self.client.post("/tts/interrupt", **(how or query(name))) as response:
            assert response.status == 200
            return dict(await response.json())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that others do; the test's timeout is the limit."""
        while not condition():
            await asyncio.sleep(0.001)

    async def until_speaking(self, server: Running, count: int) -> None:
        await self.until(lambda: len(server.backend.running) == count)


def header(name: str) -> dict[str, Any]:
    return {"headers": {"X-Client-Id": name}}


def query(name: str) -> dict[str, Any]:
    return {"params": {"client_id": name}}


class OneVoice(ScriptedBackend):
    """Speaks with the voice that its server is known by."""

    def __init__(self, voice: str) -> None:
        super().__init__(free=False)
        self.voices = (voice,)


@pytest.fixture(params=["nginx", "envoy"])
async def fleet(
    request: pytest.FixtureRequest, start: Start, tmp_path: Path
) -> AsyncIterator[Fleet]:
    """Behind each proxy; a test may set how often Envoy looks whether the servers are ready."""
    name = str(request.param)
    if not is_installed(name):
        pytest.skip(f"needs {name}")
    marker = request.node.get_closest_marker("check_every")
    check_every = marker.args[0] if marker else 0.05
    servers = tuple([await start(OneVoice(voice)) for voice in VOICES])
    ports = [server.port for server in servers]
    async with (
        proxy(name, tmp_path, ports, check_every) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield Fleet(name, servers, port, client)


async def test_a_client_is_always_sent_to_its_server_and_its_interrupt_too(fleet: Fleet) -> None:
    clients = await fleet.clients(each=4)
    for name, server in clients.items():
        assert await fleet.server_of(name, **query(name)) is server

    first = {name: fleet.speak(name, "one two three") for name in clients}
    for server in fleet.servers:
        await fleet.until_speaking(server, 4)
    # A request that waits says how many are before it: only its own server knows.
    for number, name in enumerate(clients):
        response = await fleet.speak(name, "later", **(header, query)[number % 2](name))
        assert response.headers["X-Queue-Position"] == "1"
    for number, name in enumerate(clients):
        report = await fleet.interrupt(name, **(header, query)[number % 2](name))
        assert (report["stopped"], report["flushed"]) == (1, 1)
    for asked in first.values():
        assert await (await asked).read() == b""
    assert [server.backend.running for server in fleet.servers] == [[], []]


async def test_audio_passes_as_it_is_made_and_hanging_up_frees_the_stream(fleet: Fleet) -> None:
    name = "alpha"
    server = await fleet.server_of(name)
    asked = fleet.speak(name, "four")
    await fleet.until_speaking(server, 1)
    server.backend.permit()
    response = await asked
    heard = await response.content.readexactly(2 * CHUNK)
    assert heard == voice_of("four").to_bytes(2, "little") * CHUNK
    assert response.headers["X-Audio-Format"] == "s16le"
    response.close()
    await fleet.until_speaking(server, 0)


async def test_one_that_reads_nothing_is_not_sent_half_a_minute_ahead(fleet: Fleet) -> None:
    length = 500  # chunks: 40 s, much more than is on its way, much less than the kernel would take
    asked = [fleet.speak(name, "x" * length) for name in ("alpha", "bravo")]
    await fleet.until(lambda: sum(len(one.backend.running) for one in fleet.servers) == 2)
    for server in fleet.servers:
        server.backend.free = True
        server.backend.permit()
    idle, reading = [await one for one in asked]
    assert len(await reading.read()) == length * 2 * CHUNK
    assert sum(one.synthesizer.status.active for one in fleet.servers) == 1
    idle.close()
    await fleet.until(lambda: not any(one.synthesizer.status.active for one in fleet.servers))


async def test_a_websocket_passes_and_its_sessions_can_be_interrupted_over_http(
    fleet: Fleet,
) -> None:
    name = "alpha"
    server = await fleet.server_of(name)
    async with RawClient(f"ws://127.0.0.1:{fleet.port}", **query(name)) as client:
        session = await client.open(name)
        utterance = await client.utter(session, "four")
        await fleet.until_speaking(server, 1)
        server.backend.permit()
        await client.hear_samples(utterance, CHUNK)
        assert (await fleet.interrupt(name))["stopped"] == 1
        ending = await client.end_of(utterance)
        assert isinstance(ending, wire.Done) and ending.reason == "interrupted"


async def test_our_own_client_interrupts_on_its_connection_and_its_connections_spread(
    fleet: Fleet,
) -> None:
    used: set[int] = set()
    for _ in range(100):
        async with await open_synthesizer(f"ws://127.0.0.1:{fleet.port}") as synthesizer:
            session = await synthesizer.open_session(session_id="one-for-all")
            utterance = session.utter("four")
            await fleet.until(lambda: any(server.backend.running for server in fleet.servers))
            report = await session.interrupt()
            assert report.stopped == (utterance.id,)
            used |= {server.port for server in fleet.servers if server.backend.started}
            assert not any(server.backend.running for server in fleet.servers)
        if len(used) == 2:
            return
    raise AssertionError("all went to one server")


async def test_pages_and_every_websocket_pass_and_metrics_do_not(fleet: Fleet) -> None:
    page = {"Origin": f"http://127.0.0.1:{fleet.port}"}
    async with fleet.client.get("/") as response:
        assert response.status == 200
    for path in (wire.PATH, "/v1/speak", "/v1/audio/speech/stream"):
        async with fleet.client.ws_connect(path, headers=page, protocols=[wire.SUBPROTOCOL]):
            pass
    foreign = {"Origin": "http://other.example"}
    async with fleet.client.post("/tts/interrupt", headers=foreign) as response:
        assert response.status == 403
    async with fleet.client.get("/metrics") as response:
        assert response.status == 404
    # As large as nginx lets nothing else be; the engine of these servers just cannot clone.
    recording = aiohttp.FormData({"name": "anna"})
    recording.add_field("file", io.BytesIO(bytes(9 * 1024 * 1024)), filename="anna.wav")
    async with fleet.client.post("/tts/voices", data=recording) as response:
        assert response.status == 501


async def test_one_that_drains_ends_what_it_speaks_while_websockets_go_elsewhere(
    fleet: Fleet,
) -> None:
    name = "alpha"
    server = await fleet.server_of(name)
    (other,) = (one for one in fleet.servers if one is not server)
    asked = fleet.speak(name, "four")
    await fleet.until_speaking(server, 1)
    stopping = asyncio.create_task(server.server.stop())
    await fleet.until(lambda: server.server.streams.draining)

    if fleet.proxy == "envoy":  # it asks the servers, and sends one that drains nothing new
        while await fleet.server_of(name) is not other:
            await asyncio.sleep(0.001)
        assert (await fleet.interrupt(name))["status"] == "idle"
    # All that a WebSocket says stays on it: its handshake may go to any server.
    async with fleet.client.ws_connect(wire.PATH, protocols=[wire.SUBPROTOCOL], **header(name)):
        assert len(other.server._websocket._peers) == 1
    if fleet.proxy == "nginx":  # and nothing else moves because of it
        assert (await fleet.speak(name, "next")).status == 503

    server.backend.permit(4)
    assert len(await (await asked).read()) == 4 * 2 * CHUNK
    await stopping


@pytest.mark.check_every(60.0)
async def test_what_a_server_has_refused_goes_to_no_other_before_it_is_gone(fleet: Fleet) -> None:
    name = "alpha"
    server = await fleet.server_of(name)
    (other,) = (one for one in fleet.servers if one is not server)
    server.server.streams.draining = True
    # The interrupt would go where the stream is not.
    refused = await fleet.speak(name, "next")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    await server.server.stop()
    asked = fleet.speak(name, "four")
    await fleet.until_speaking(other, 1)
    assert (await fleet.interrupt(name))["stopped"] == 1
    assert await (await asked).read() == b""


async def test_nginx_limits_what_one_address_asks_for_but_never_interrupts(
    start: Start, tmp_path: Path
) -> None:
    if not is_installed("nginx"):
        pytest.skip("needs nginx")
    servers = [await start(), await start()]
    async with (
        proxy("nginx", tmp_path, [server.port for server in servers]) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        statuses = [await status(client.get("/health")) for _ in range(202)]
        assert (statuses[:201], statuses[201]) == ([200] * 201, 429)
        assert await status(client.post("/tts/interrupt", **query("alpha"))) == 200


async def status(asked: Any) -> int:
    async with asked as response:
        return int(response.status)
