"""Who may use the server: keys, sites, host names, rates; over real sockets."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from fakes import CHUNK, FakeClock, ScriptedBackend
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_server.access import RateLimit, key_subprotocol
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments
from serving import Running, Start

KEY, OTHER = "first-key-0123456789", "second-key-0123456789"
MINE = {"Authorization": f"Bearer {KEY}"}
APP = "https://app.example.com"


async def ask(
    running: Running, headers: Mapping[str, str], path: str = "/tts/interrupt", method: str = "POST"
) -> tuple[int, str]:
    """Return the status, and the code of the error if it is one."""
    async with running.client.request(method, path, headers=headers) as response:
        if response.status < 400:
            return response.status, ""
        return response.status, (await response.json())["error"]["code"]


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY} "},
        {"Authorization": f"Token {KEY}"},
        {"X-API-Key": KEY},
        {"Sec-WebSocket-Protocol": f"qwen3-tts.v1, {key_subprotocol(KEY)}"},
        {"Sec-WebSocket-Protocol": f"token, {KEY}"},
        {"X-API-Key": OTHER},
    ],
)
async def test_each_usual_way_to_send_a_key_is_taken(
    start: Start, headers: Mapping[str, str]
) -> None:
    running = await start(api_keys=(KEY, OTHER))
    assert await ask(running, headers) == (200, "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"X-API-Key": ""},
        {"X-API-Key": "ключ"},
        {"Sec-WebSocket-Protocol": f"qwen3-tts.v1, {KEY}"},
    ],
)
async def test_without_one_of_the_keys_nothing_is_done(
    start: Start, headers: Mapping[str, str]
) -> None:
    running = await start(api_keys=(KEY, OTHER))
    for method, path in (
        ("POST", "/tts/stream"),
        ("POST", "/tts/interrupt"),
        ("POST", "/tts/text"),
        ("GET", "/info"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("POST", "/"),
    ):
        assert await ask(running, headers, path, method) == (401, "unauthorized"), path
    async with running.client.get("/info", headers=headers) as response:
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert running.synthesizer.status.sessions == 0


async def test_a_key_in_a_handshake_is_taken_and_never_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(api_keys=(KEY,))
    for path in ("/v1/speak", "/v1/audio/speech/stream"):
        for offered in (("token", KEY), (key_subprotocol(KEY),)):
            async with running.client.ws_connect(path, protocols=offered) as socket:
                assert socket.protocol == offered[0]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await running.client.ws_connect("/tts/ws", protocols=("other", key_subprotocol(KEY)))
    assert caught.value.status == 400
    assert KEY not in caplog.text


async def test_the_page_and_the_probes_need_no_key(start: Start) -> None:
    running = await start(api_keys=(KEY,))
    for path in ("/", "/health", "/ready", "/static/app.js"):
        assert await ask(running, {}, path, "GET") == (200, ""), path


async def test_a_key_never_reaches_the_clients_of_another(start: Start) -> None:
    running = await start(ScriptedBackend(free=False), api_keys=(KEY, OTHER))
    body = {"text": "hello", "client_id": "a"}
    asking = [
        asyncio.create_task(running.client.post("/tts/stream", json=body, headers=headers))
        for headers in (MINE, {"X-API-Key": OTHER})
    ]
    await running.until(lambda: len(running.backend.running) == 2)
    async with running.client.post("/tts/interrupt?client_id=a", headers=MINE) as response:
        report = await response.json()
    assert (report["status"], report["client_id"]) == ("interrupted", "a")
    running.backend.permit(9)
    mine, theirs = [await task for task in asking]
    assert await mine.read() == b""
    assert len(await theirs.read()) == 5 * CHUNK * 2


@pytest.mark.parametrize("key", ["short", "with a space 0123456789", "x" * 257, "a/b+c=0123456789"])
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(InvalidRequestError, match="API key") as caught:
        ServerOptions(api_keys=(KEY, key))
    assert key not in caught.value.message


# ------------------------------------------------------------------ sites


async def upgrade(running: Running, headers: Mapping[str, str]) -> int:
    """Return the status of the answer to a WebSocket's handshake; 404 is past the guards."""
    wanted = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    wanted |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    async with running.client.get("/nowhere", headers={**wanted, **headers}) as response:
        return response.status


def foreign(running: Running) -> dict[str, dict[str, str]]:
    here = f"127.0.0.1:{running.port}"
    return {
        "another site": {"Origin": "https://evil.example"},
        "another port": {"Origin": "http://127.0.0.1:1"},
        "another port, no scheme": {"Origin": f"http://127.0.0.1:{running.port}x"},
        "the port as a name": {"Origin": f"http://{here}@evil.example"},
        "a sandboxed page": {"Origin": "null"},
        "no origin, but another site": {"Sec-Fetch-Site": "cross-site"},
        "a sibling domain": {"Sec-Fetch-Site": "same-site"},
    }


async def test_pages_of_other_sites_can_neither_post_nor_delete_nor_open_a_socket(
    start: Start,
) -> None:
    running = await start()
    for name, headers in foreign(running).items():
        for method in ("POST", "DELETE", "PUT"):
            assert await ask(running, headers, method=method) == (403, "cross_site"), name
        assert await upgrade(running, headers) == 403, name
        async with running.client.get("/info", headers=headers) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_our_own_page_and_programs_pass(start: Start) -> None:
    running = await start()
    here = f"http://127.0.0.1:{running.port}"
    for headers in (
        {},
        {"Origin": here},
        {"Origin": here, "Sec-Fetch-Site": "same-origin"},
        # A proxy that ends TLS, on the default port; and one that also renames the host.
        {"Origin": "https://tts.example.com", "Host": "tts.example.com"},
        {"Origin": "https://tts.example.com", "Sec-Fetch-Site": "same-origin"},
    ):
        assert await ask(running, headers) == (200, ""), headers
        assert await upgrade(running, headers) == 404, headers


async def test_pages_on_the_allowlist_may_ask_and_read_with_a_key_too(start: Start) -> None:
    running = await start(cors_origins=(APP,), api_keys=(KEY,))
    question = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    async with running.client.options("/tts/stream", headers=question) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == APP
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    for headers, status in ((MINE, 200), ({}, 401)):  # the page may also read why it was refused
        both = {"Origin": APP, "Sec-Fetch-Site": "cross-site", **headers}
        body = {"text": "hi"}
        async with running.client.post("/tts/stream", json=body, headers=both) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == APP
            assert "Origin" in response.headers["Vary"]
    question["Origin"] = "https://evil.example"
    async with running.client.options("/tts/stream", headers=question) as response:
        assert response.status == 401
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("origin", ["*", "app.example.com", "https://app.example.com/", "https://"])
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(InvalidRequestError, match="cors-origin"):
        ServerOptions(cors_origins=(origin,))


async def test_with_an_allowlist_other_host_names_get_only_the_probes(start: Start) -> None:
    running = await start(allowed_hosts=("tts.example.com", "::1"))
    for host in ("tts.example.com", "TTS.example.com:9000", "[::1]:9000"):
        assert await ask(running, {"Host": host}, "/info", "GET") == (200, ""), host
    for host in ("evil.example", "127.0.0.1", "tts.example.com.evil.example", ""):
        assert await ask(running, {"Host": host}, "/", "GET") == (421, "unknown_host"), host
        assert await ask(running, {"Host": host}, "/ready", "GET") == (200, "")


# ------------------------------------------------------------------ bodies and rates


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_a_form_can_send_is_taken_by_no_route(start: Start, kind: str) -> None:
    running = await start()
    for path in ("/tts/stream", "/tts/interrupt", "/tts/text"):
        headers = {"Content-Type": kind}
        async with running.client.post(path, data=b'{"text": "x"}', headers=headers) as response:
            assert response.status == 415


async def test_a_body_that_comes_drop_by_drop_is_refused_in_the_end(start: Start) -> None:
    running = await start(read_timeout=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /tts/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(b'Content-Length: 1000\r\n\r\n{"text": ')
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_connection_that_never_asks_is_closed(start: Start) -> None:
    running = await start(keepalive_timeout=0.1)
    for head in (b"", b"POST /tts/stream HTTP/1.1\r\nHost: x\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(head)
        assert await reader.read() == b""
        writer.close()


async def test_over_its_rate_a_client_is_told_when_to_come_back_but_may_interrupt(
    start: Start,
) -> None:
    running = await start(rate_limit=3, api_keys=(KEY, OTHER))
    for headers in (MINE, {"X-API-Key": OTHER}, {}):  # each has its own allowance
        for _ in range(3):
            assert (await ask(running, headers, "/tts/text"))[0] in (400, 401)
        async with running.client.post("/tts/text", headers=headers) as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 20
            assert (await response.json())["error"]["code"] == "rate_limited"
    assert await ask(running, MINE) == (200, "")
    assert await ask(running, MINE, "/info", "GET") == (200, "")


async def test_a_request_that_never_ends_is_cut(start: Start) -> None:
    running = await start(ScriptedBackend(free=False), max_stream_seconds=0.2)
    async with await running.speak("nothing comes of this") as response:
        assert response.status == 503
    asking = asyncio.create_task(running.speak("hello"))
    await running.until(lambda: bool(running.backend.running))
    running.backend.permit(2)
    with pytest.raises(aiohttp.ClientError):
        await (await asking).read()
    assert running.backend.running == []


def test_a_rate_is_an_allowance_that_comes_back_and_is_forgotten() -> None:
    clock = FakeClock()
    limit = RateLimit(60, clock)
    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") == pytest.approx(1.0, abs=1e-3)
    assert limit.take("b") == 0.0
    clock.now += 1.0
    assert limit.take("a") == 0.0
    assert limit.take("a") == pytest.approx(1.0, abs=1e-3)
    clock.now += 61.0
    assert limit.take("c") == 0.0
    assert len(limit) == 1


# ------------------------------------------------------------------ settings


def test_keys_come_from_flags_the_environment_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{OTHER}  # theirs\n\n{KEY}\n")
    parser = argparse.ArgumentParser()
    add_arguments(parser, {"API_KEYS": f"{KEY},from-the-environment-1"})
    arguments = parser.parse_args(["--api-key", "from-a-flag-0123456", "--api-key-file", str(file)])
    keys = (KEY, "from-the-environment-1", "from-a-flag-0123456", OTHER)
    assert from_arguments(arguments).api_keys == keys
    assert KEY not in parser.format_help()
    file.write_text("# nothing\n")
    with pytest.raises(InvalidRequestError, match="no key"):
        from_arguments(parser.parse_args(["--api-key-file", str(file)]))
