"""Every route that speaks, used once as its clients do: for what all of them have to do alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp

from raw_client import RawClient
from serving import Running

Talk = Callable[[Running, str], Awaitable[str]]


async def stream(running: Running, text: str) -> str:
    return await _post(running, "/tts/stream", {"text": text, "client_id": "anna"})


async def openai(running: Running, text: str) -> str:
    body = {"input": text, "user": "anna", "response_format": "pcm"}
    return await _post(running, "/v1/audio/speech", body)


async def deepgram(running: Running, text: str) -> str:
    return await _post(running, "/v1/speak?container=none", {"text": text})


async def _post(running: Running, path: str, body: dict[str, Any]) -> str:
    """Return the id by which the log knows it."""
    async with running.client.post(path, json=body) as response:
        with suppress(aiohttp.ClientError):  # its voice may fail in the middle
            await response.read()
        return response.headers["X-Request-Id"]


async def deepgram_socket(running: Running, text: str) -> str:
    messages = [{"type": "Speak", "text": text}, {"type": "Flush"}]
    return await _converse(running, "/v1/speak", messages, "Flushed")


async def omni_socket(running: Running, text: str) -> str:
    messages: list[dict[str, Any]] = [
        {"type": "session.config", "stream_audio": True, "response_format": "pcm"},
        {"type": "input.text", "text": text},
        {"type": "input.done"},
    ]
    return await _converse(running, "/v1/audio/speech/stream", messages, "session.done")


async def _converse(running: Running, path: str, said: list[dict[str, Any]], last: str) -> str:
    headers = {"X-Request-Id": "socket"}
    async with running.client.ws_connect(path, headers=headers) as socket:
        for message in said:
            await socket.send_json(message)
        async for answer in socket:
            if answer.type is aiohttp.WSMsgType.TEXT and answer.json()["type"] == last:
                break
    return "socket-1"


async def our_socket(running: Running, text: str) -> str:
    headers = {"X-Request-Id": "socket"}
    async with RawClient(f"http://127.0.0.1:{running.port}", headers=headers) as client:
        session = await client.open("anna", max_lead=None)
        utterance = await client.utter(session, text)
        await client.end_of(utterance)
    return f"socket-{utterance}"


HTTP: dict[str, Talk] = {
    "/tts/stream": stream,
    "/v1/audio/speech": openai,
    "/v1/speak": deepgram,
}
SOCKETS: dict[str, Talk] = {
    "WS /tts/ws": our_socket,
    "WS /v1/speak": deepgram_socket,
    "WS /v1/audio/speech/stream": omni_socket,
}
