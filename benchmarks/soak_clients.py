"""What the clients of `soak.py` do: everything that a client may do, and much that it should not.

Each deed is a coroutine that says how it went; whatever it raises is a fault of the server's.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import numpy as np
import soundfile

from qwen3_tts_live import SessionOptions, wire
from qwen3_tts_live.errors import UnknownVoiceError
from qwen3_tts_live.synthesizer import Synthesizer

WORDS = (
    "your",
    "order",
    "arrives",
    "on",
    "Monday",
    "at",
    "half past nine",
    "with",
    "17 items",
    "for",
    "$12.50",
)
FORMATS = ("pcm", "wav", "mp3", "opus", "flac")


class Clients:
    """All clients of one server.

    Args:
        port: the server's.
        http: keeps connections, as pooling clients do.
        synthesizer: `ws://` to the same server.
        seed: of what they do.
    """

    def __init__(
        self, port: int, http: aiohttp.ClientSession, synthesizer: Synthesizer, seed: int
    ) -> None:
        self._port = port
        self._http = http
        self._synthesizer = synthesizer
        self._random = random.Random(seed)
        self.can_add = False
        common, rare = (self.stream, self.speech, self.session), (self.vanish, self.refused)
        also = (self.interrupted, self.half_read, self.silenced, self.socket, self.conversation)
        self.deeds: tuple[Callable[[], Awaitable[str]], ...] = (
            *common * 3,
            *also * 2,
            *rare * 2,
            self.voice,
            self.page,
        )

    def any(self) -> tuple[str, Callable[[], Awaitable[str]]]:
        """Return something to do, and its name."""
        deed = self._random.choice(self.deeds)
        return deed.__name__, deed

    def _text(self, most: int = 15) -> str:
        # Never the same twice: what remembers texts must not remember them for ever.
        words = self._random.choices(WORDS, k=self._random.randint(1, most))
        return f"{' '.join(words)} {self._random.randrange(10**9)}."

    def _name(self) -> str:
        # Half of them come back, the others are never seen again.
        new = self._random.random() < 0.5
        return secrets.token_hex(8) if new else f"regular-{self._random.randrange(50)}"

    def _post(self, text: str, name: str) -> aiohttp.client._RequestContextManager:
        return self._http.post("/tts/stream", json={"text": text, "client_id": name})

    # ------------------------------------------------------------ HTTP

    async def stream(self) -> str:
        """Read a whole answer."""
        async with self._post(self._text(), self._name()) as response:
            response.raise_for_status()
            if len(await response.read()) % 2:
                raise RuntimeError("half a sample")
        return "heard"

    async def speech(self) -> str:
        """Ask as OpenAI's clients do, in any format."""
        fields = {"input": self._text(), "response_format": self._random.choice(FORMATS)}
        fields["stream_format"] = self._random.choice(("audio", "sse"))
        async with self._http.post("/v1/audio/speech", json=fields) as response:
            response.raise_for_status()
            if not await response.read():
                raise RuntimeError("no audio")
        return "heard"

    async def half_read(self) -> str:
        """Read a little, wait, and hang up."""
        async with self._post(self._text(60), self._name()) as response:
            response.raise_for_status()
            await response.content.read(1000)
            await asyncio.sleep(self._random.random())
            response.close()
        return "left"

    async def interrupted(self) -> str:
        """Interrupt what plays, and what waits behind it."""
        name = self._name()
        async with self._post(self._text(60), name) as first, self._post("Me too.", name) as second:
            await first.content.read(1000)
            async with self._http.post(f"/tts/interrupt?client_id={name}") as response:
                response.raise_for_status()
            await first.read()
            await second.read()
        return "interrupted"

    async def vanish(self) -> str:
        """Be gone in the middle of a request, wherever that is."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        body = json.dumps({"text": self._text(60), "client_id": self._name()})
        head = "POST /tts/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        whole = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        writer.write(whole[: self._random.randint(1, len(whole))])
        await asyncio.sleep(self._random.random() / 10)
        writer.transport.abort()
        return "vanished"

    async def refused(self) -> str:
        """Ask for what nobody gets."""
        path, kind, body = self._random.choice(
            (
                ("/tts/stream", "application/json", b"{"),
                ("/tts/stream", "application/json", b'{"text": "Hi.", "voice": "nobody"}'),
                ("/tts/stream", "application/json", b'{"text": "%s"}' % (b"x" * 3000)),
                ("/tts/stream", "text/plain", b"Hi."),
                ("/tts/voices", "multipart/form-data; boundary=x", b"--x--\r\n"),
                ("/nowhere", "application/json", b"{}"),
            )
        )
        headers = {"Content-Type": kind}
        async with self._http.post(path, data=body, headers=headers) as response:
            if response.status < 400:
                raise RuntimeError(f"{body[:40]!r} was taken")
            await response.read()
        return "refused"

    async def page(self) -> str:
        """Look at what is there for people and machines."""
        path = self._random.choice(("/", "/static/app.js", "/metrics", "/info", "/ready"))
        async with self._http.get(path) as response:
            response.raise_for_status()
            await response.read()
        return "seen"

    async def voice(self) -> str:
        """Add a voice, speak with it, and remove it."""
        if not self.can_add:
            return "not here"
        name, file = secrets.token_hex(4), io.BytesIO()
        noise = np.random.default_rng().normal(0, 0.1, 24_000)
        soundfile.write(file, noise, 24_000, format=self._random.choice(("wav", "flac", "mp3")))
        form = aiohttp.FormData({"name": name}, default_to_multipart=True)
        form.add_field("file", file.getvalue(), filename="voice")
        async with self._http.post("/tts/voices", data=form) as response:
            if response.status == 503:
                return "busy"
            response.raise_for_status()
        async with self._http.post("/tts/stream", json={"text": "Hi.", "voice": name}) as response:
            response.raise_for_status()
            await response.read()
        async with self._http.delete(f"/tts/voices/{name}") as response:
            response.raise_for_status()
        return "added"

    # ------------------------------------------------------------ WebSocket

    async def session(self) -> str:
        """Speak live text over the shared connection, then close the session."""
        session = await self._synthesizer.open_session()
        utterance = session.utter()
        for word in self._text().split(" "):
            utterance.push_text(word + " ")
            await asyncio.sleep(0)
        utterance.end_input()
        async for _ in utterance:
            pass
        await session.aclose()
        return "heard"

    async def silenced(self) -> str:
        """Interrupt or cancel on the shared connection, and let a wrong voice be refused."""
        session = await self._synthesizer.open_session(SessionOptions(max_lead=1.0))
        playing, waiting = session.utter(self._text(60)), session.utter(self._text())
        await anext(aiter(playing))
        if self._random.random() < 0.5:
            await session.interrupt()
        else:
            playing.cancel()
            async for _ in waiting:
                pass
        with suppress(UnknownVoiceError):
            async for _ in session.utter("Hi.", options=SessionOptions(voice="nobody")):
                raise RuntimeError("nobody spoke")
        await session.aclose()
        return "interrupted"

    async def socket(self) -> str:
        """Dial, say something, or half of it, and vanish."""
        url = f"http://127.0.0.1:{self._port}{wire.PATH}"
        async with aiohttp.ClientSession() as http:
            socket = await http.ws_connect(url, protocols=[wire.SUBPROTOCOL])
            said = (
                wire.Open(request=1, session=1),
                wire.Utter(session=1, utterance=2),
                wire.Text(utterance=2, text=self._text(60)),
                wire.End(utterance=2),
                wire.Interrupt(request=3, session=1),
            )
            for message in said[: self._random.randint(0, len(said))]:
                await socket.send_str(message.dump())
            await socket.receive()
            connection = socket._response.connection
            if connection is not None and connection.transport is not None:
                connection.transport.abort()
            await socket.close()
        return "vanished"

    async def conversation(self) -> str:
        """Speak as Deepgram's clients do; sometimes without a goodbye."""
        polite = self._random.random() < 0.5
        async with self._http.ws_connect("/v1/speak") as socket:
            await socket.send_json({"type": "Speak", "text": self._text()})
            await socket.send_json({"type": "Flush"})
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and "Flushed" in message.data:
                    break
                if not polite and message.type is aiohttp.WSMsgType.BINARY:
                    return "left"
        return "heard"
