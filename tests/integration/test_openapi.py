"""/openapi.json says what the server does: no route more or less, and examples that work."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import schemathesis

from cloning import WAV, StartCloning
from qwen3_tts_live import wire
from qwen3_tts_live.text.languages import LANGUAGES
from qwen3_tts_server.app import Server
from qwen3_tts_server.openapi import document
from qwen3_tts_server.options import ServerOptions
from serving import Start

CONFIG = Path(__file__).with_name("schemathesis.toml")
KEY = "a-key-that-is-long-enough"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
DOCUMENT = document(ServerOptions())
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_the_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


async def test_every_route_is_in_the_document_and_every_operation_is_a_route() -> None:
    router = Server(ServerOptions()).app.router
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in router.routes()
        if route.resource is not None and route.method != "HEAD"  # which every GET has
    }
    assert {(method, path) for method, path, _ in OPERATIONS} == routes


async def test_a_key_is_wanted_where_the_document_says_so(start: Start) -> None:
    running = await start()
    async with running.client.get("/openapi.json") as response:
        assert await response.json() == DOCUMENT
        assert "security" not in DOCUMENT
    running = await start(api_keys=(KEY,))
    async with running.client.get("/openapi.json") as response:
        assert (await response.json())["security"] == [{"bearer": []}, {"apiKey": []}]
    for method, path, operation in OPERATIONS:
        async with running.client.request(method, filled(path, operation)) as response:
            wanted = response.status == 401
        assert wanted == ("401" in operation["responses"]) == ("security" not in operation), path


async def test_every_example_is_answered_as_documented(cloning: StartCloning) -> None:
    one = await cloning()
    one.backend.free = True
    for method, path, operation in OPERATIONS:
        if "101" in operation["responses"]:
            protocols = [wire.SUBPROTOCOL] if path == wire.PATH else []
            async with one.running.client.ws_connect(path, protocols=protocols) as socket:
                assert not socket.closed
            continue
        url = filled(path, operation).replace("qwen3-tts", one.backend.name)
        for body in bodies(operation):
            async with one.running.client.request(method, url, **body) as response:
                status, kind = str(response.status), response.headers["Content-Type"]
                text = await response.read()
            documented = operation["responses"][status].get("content", {})
            assert status in ("200", "201"), (path, body, text)
            assert "*/*" in documented or kind.replace("; ", ";").split(";charset")[0] in documented
            if (shown := documented.get("application/json", {}).get("example")) is not None:
                assert set(json.loads(text)) == set(shown)


async def test_every_parameter_of_speak_is_read(start: Start) -> None:
    """What no model reads; a value that cannot be is blamed on the parameter that has it."""
    running = await start(strict_voices=True)
    for method in ("get", "post"):
        for parameter in DOCUMENT["paths"]["/v1/speak"][method]["parameters"]:
            name = parameter["name"]
            url = f"/v1/speak?encoding={'mp3' if name == 'bit_rate' else 'linear16'}"
            asked = url.replace("linear16", "x") if name == "encoding" else f"{url}&{name}=7"
            headers = UPGRADE if method == "get" else {}
            sent = {"json": {"text": "x"}} if method == "post" else {}
            async with running.client.request(method, asked, headers=headers, **sent) as response:
                assert response.status == 400, asked
                assert (await response.json())["error"]["param"] == name


async def test_schemathesis_finds_no_answer_that_is_not_documented(cloning: StartCloning) -> None:
    """No 500 either, and whatever breaks a schema is refused; see schemathesis.toml."""
    one = await cloning(api_keys=(KEY,))
    one.backend.free = True
    one.backend.languages = tuple(LANGUAGES)
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run"),
        *(f"http://127.0.0.1:{one.running.port}/openapi.json", "--no-color"),
        *("--header", f"Authorization: Bearer {KEY}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"Fuzzing" in output


def filled(path: str, operation: dict[str, Any]) -> str:
    examples = {one["name"]: one.get("example", "") for one in operation.get("parameters", [])}
    return re.sub(r"\{(\w+)\}", lambda name: str(examples[name[1]]), path)


def bodies(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """What to send for each example of a body, as arguments of `request`."""
    content = operation.get("requestBody", {"content": {}})["content"]
    if "multipart/form-data" in content:
        fields = content["multipart/form-data"]["example"].items()
        sent = {name: io.BytesIO(WAV) if ".wav" in value else value for name, value in fields}
        return [{"data": aiohttp.FormData(sent, default_to_multipart=True)}]
    examples = content.get("application/json", {"examples": {}})["examples"]
    return [{"json": example["value"]} for example in examples.values()] or [{}]
