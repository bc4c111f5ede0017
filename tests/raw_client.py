"""A client of the WebSocket protocol that says what a test says and remembers all that it hears."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import aiohttp

from qwen3_tts_live import wire


@dataclass(frozen=True)
class Audio:
    """A binary frame."""

    utterance: int
    offset: int
    samples: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.offset + len(self.samples)


Heard: TypeAlias = wire.ServerMessage | Audio
HeardT = TypeVar("HeardT", bound=Heard)


class RawClient:
    """One connection; use it as a context manager."""

    def __init__(self, address: str, **options: Any) -> None:
        self.heard: list[Heard] = []
        self.numbers = itertools.count(1)
        self.closed_with: int | None = None
        self._address = address
        self._options = {"protocols": [wire.SUBPROTOCOL]} | options
        self._more = asyncio.Event()

    async def __aenter__(self) -> RawClient:
        self.http = aiohttp.ClientSession()
        try:
            url = self._address + wire.PATH
            self.socket = await self.http.ws_connect(url, **self._options)
        except BaseException:
            await self.http.close()
            raise
        self.reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reading.cancel()
        await asyncio.wait([self.reading])
        await self.socket.close()
        await self.http.close()

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                utterance, offset, samples = wire.unpack_audio(message.data)
                self.heard.append(Audio(utterance, offset, tuple(samples.tolist())))
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.heard.append(wire.parse_from_server(message.data))
            self._more.set()
        self.closed_with = self.socket.close_code
        self._more.set()

    def vanish(self) -> None:
        """Be gone without a word."""
        connection = self.socket._response.connection
        assert connection is not None and connection.transport is not None
        connection.transport.abort()

    # ------------------------------------------------------------ saying

    async def say(self, *messages: wire.ClientMessage | str) -> None:
        for message in messages:
            await self.socket.send_str(message if isinstance(message, str) else message.dump())

    async def open(self, session_id: str | None = None, **options: Any) -> int:
        """Open a session; return its number, as soon as it was said."""
        number = next(self.numbers)
        chosen = wire.Options(**options)
        await self.say(wire.Open(request=number, session=number, id=session_id, options=chosen))
        return number

    async def utter(self, session: int, *texts: str, end: bool = True, **options: Any) -> int:
        """Queue an utterance; return its number, as soon as it was said."""
        number = next(self.numbers)
        chosen = wire.Options(**options) if options else None
        await self.say(
            wire.Utter(session=session, utterance=number, options=chosen),
            *(wire.Text(utterance=number, text=text) for text in texts),
            *([wire.End(utterance=number)] if end else []),
        )
        return number

    async def interrupt(self, session: int) -> wire.Interrupted:
        request = next(self.numbers)
        await self.say(wire.Interrupt(request=request, session=session))
        return await self.hear(wire.Interrupted, lambda answer: answer.request == request)

    # ------------------------------------------------------------ hearing

    async def hear(
        self, kind: type[HeardT], matching: Callable[[HeardT], bool] = lambda _: True
    ) -> HeardT:
        """Wait for a message of that kind; return the first. The test's timeout is the limit."""
        while True:
            for one in self.heard:
                if isinstance(one, kind) and matching(one):
                    return one
            assert self.closed_with is None, f"closed with {self.closed_with}"
            self._more.clear()
            await self._more.wait()

    async def end_of(self, utterance: int) -> wire.Done | wire.Error:
        """Wait for the end of an utterance."""
        while True:
            for one in self.heard:
                if isinstance(one, wire.Done | wire.Error) and one.utterance == utterance:
                    return one
            assert self.closed_with is None, f"closed with {self.closed_with}"
            self._more.clear()
            await self._more.wait()

    async def hear_samples(self, utterance: int, count: int) -> None:
        """Wait until that much audio of an utterance has come."""
        await self.hear(Audio, lambda audio: audio.utterance == utterance and audio.end >= count)

    async def hang_up(self) -> int:
        """Wait until the server has closed the connection; return the code."""
        await asyncio.wait([self.reading])
        assert self.closed_with is not None
        return self.closed_with

    def audio(self, utterance: int) -> list[Audio]:
        return [x for x in self.heard if isinstance(x, Audio) and x.utterance == utterance]

    def samples(self, utterance: int) -> int:
        """The samples heard of an utterance, which join without a gap."""
        position = 0
        for audio in self.audio(utterance):
            assert audio.offset == position
            position = audio.end
        return position

    def text(self, utterance: int) -> str:
        marks = [x for x in self.heard if isinstance(x, wire.Mark) and x.utterance == utterance]
        return "".join(mark.text for mark in marks)
