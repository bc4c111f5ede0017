"""The synthesizer behind ws:// and unix: what it does about servers and networks that fail."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from fakes import CHUNK, ScriptedBackend, settle, voice_of
from qwen3_tts_live import SAMPLE_RATE, AudioChunk, SessionOptions, open_synthesizer, wire
from qwen3_tts_live.client import RemoteSynthesizer
from qwen3_tts_live.connection import Settings
from qwen3_tts_live.errors import (
    AuthenticationError,
    BackendError,
    BackendUnavailableError,
    ConnectionLostError,
    InvalidRequestError,
    OverloadedError,
    QueueFullError,
    SpeechError,
    TextTooLongError,
    UnknownVoiceError,
)
from qwen3_tts_live.session import LiveSynthesizer, SessionLimits
from qwen3_tts_live.synthesizer import Event, Finished, Utterance
from qwen3_tts_live.text.settings import LexiconEntry, NormalizerSettings
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions
from serving import serving

QUICK = Settings(dial_timeout=2.0, first_delay=0.01, longest_delay=0.02)
LONG = "x" * 4000


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens on its own; the test's timeout is the limit."""
    while not condition():
        await asyncio.sleep(0.001)


async def listen(utterance: Utterance) -> list[Event]:
    return [event async for event in utterance]


def heard(events: list[Event]) -> set[int]:
    return {v for event in events if isinstance(event, AudioChunk) for v in event.samples.tolist()}


@asynccontextmanager
async def remote(
    backend: ScriptedBackend, settings: Settings = QUICK, **flags: Any
) -> AsyncIterator[RemoteSynthesizer]:
    limits = SessionLimits(max_text=ServerOptions().max_text)
    async with LiveSynthesizer(backend, limits) as behind, serving(behind, **flags) as address:
        async with await RemoteSynthesizer.open(address, settings=settings) as opened:
            yield opened
        await until(lambda: not behind._sessions)
    await settle()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, others


# ------------------------------------------------------------------ one connection


async def test_all_who_name_a_server_share_a_connection_until_the_last_has_left() -> None:
    async with LiveSynthesizer(ScriptedBackend()) as behind:
        server = Server(ServerOptions(host="127.0.0.1", port=0))
        address = f"ws://127.0.0.1:{await server.start()}"
        server.open(behind)
        peers = server._websocket._peers
        opened = await asyncio.gather(*(open_synthesizer(address) for _ in range(3)))
        sessions = [await one.open_session(session_id="same") for one in opened]
        assert len(peers) == 1
        spoken = await asyncio.gather(*(listen(session.utter("Hi.")) for session in sessions))
        assert all(heard(events) == {voice_of("Hi.")} for events in spoken)
        for one in opened[:2]:
            await one.aclose()
            await one.aclose()
        assert heard(await listen(sessions[2].utter("Hi."))) == {voice_of("Hi.")}
        await opened[2].aclose()
        await until(lambda: not peers)
        await server.stop()


async def test_ids_of_utterances_differ_whoever_made_them() -> None:
    async with remote(ScriptedBackend()) as one:
        sessions = [await one.open_session() for _ in range(3)]
        utterances = [session.utter("a") for session in sessions for _ in range(3)]
        assert len({utterance.id for utterance in utterances}) == 9


# ------------------------------------------------------------------ the promises, at a distance


async def test_an_interrupt_silences_what_is_on_its_way_before_the_server_has_answered() -> None:
    backend = ScriptedBackend()
    async with remote(backend) as one:
        session = await one.open_session()
        utterance = session.utter(LONG)
        events = aiter(utterance)
        while not isinstance(await anext(events), AudioChunk):
            pass
        backend.stopping.clear()  # the server cannot answer yet
        interrupting = asyncio.create_task(session.interrupt())
        await settle()
        (end,) = [event async for event in events]
        assert isinstance(end, Finished)
        assert (end.reason, end.samples) == ("interrupted", CHUNK)
        assert not interrupting.done()
        after = session.utter("New.")
        backend.stopping.set()
        report = await interrupting
        assert report.stopped == (utterance.id,)
        assert report.delivered == CHUNK < report.generated
        assert heard(await listen(after)) == {voice_of("New.")}


async def test_what_was_made_and_not_taken_is_counted_as_generated_even_if_all_was_sent() -> None:
    async with remote(ScriptedBackend()) as one:
        session = await one.open_session()
        utterance = session.utter("abcdefgh")
        events = aiter(utterance)
        while not isinstance(await anext(events), AudioChunk):
            pass
        await until(lambda: utterance._turn.complete)
        report = await session.interrupt()
        assert report.stopped == (utterance.id,)
        assert (report.generated, report.delivered) == (8 * CHUNK, CHUNK)


async def test_dropping_cancelling_or_leaving_an_utterance_stops_the_work_at_the_server() -> None:
    backend = ScriptedBackend(free=False)
    async with remote(backend) as one:
        session = await one.open_session()

        utterance = session.utter(LONG)
        await until(lambda: bool(backend.running))
        del utterance
        gc.collect()
        await until(lambda: not backend.running)

        listening = asyncio.create_task(listen(session.utter(LONG)))
        await until(lambda: bool(backend.running))
        listening.cancel()
        await until(lambda: not backend.running)

        async with session.utter(LONG):
            await until(lambda: bool(backend.running))
        await until(lambda: not backend.running)
        assert session.queued == 0


async def test_the_server_is_told_what_the_consumer_took_in_few_messages() -> None:
    backend = ScriptedBackend()
    async with remote(backend) as one:
        session = await one.open_session(SessionOptions(max_lead=1.0))
        sent: list[wire.ClientMessage] = []
        said = one._connection.send_later
        one._connection.send_later = lambda dump: (sent.append(dump), said(dump))[1]  # type: ignore[assignment,func-returns-value]
        events = await listen(session.utter("x" * 100))
        assert isinstance(events[-1], Finished)
        assert events[-1].samples == 100 * CHUNK
        # 8 seconds of audio, told each quarter of a second at the most, and three to begin with.
        assert len(sent) <= 8 / 0.25 + 1 + 3


async def test_a_consumer_that_stops_to_take_parks_the_work_at_its_lead() -> None:
    backend = ScriptedBackend()
    async with remote(backend) as one:
        session = await one.open_session(SessionOptions(max_lead=1.0))
        utterance = session.utter(LONG)
        events = aiter(utterance)
        taken = 0
        while taken < SAMPLE_RATE:
            event = await anext(events)
            taken += len(event.samples) if isinstance(event, AudioChunk) else 0
        await settle(500)
        made = backend.running[0].made
        await settle(500)
        assert backend.running[0].made == made
        assert made - taken <= SAMPLE_RATE + 2 * CHUNK
        utterance.cancel()


async def test_limits_that_the_server_named_are_kept_here() -> None:
    async with remote(ScriptedBackend(free=False), max_text=10, max_queued=2) as one:
        session = await one.open_session()
        with pytest.raises(TextTooLongError):
            session.utter("x" * 11)
        assert session.queued == 0
        utterance = session.utter()
        utterance.push_text("x" * 10)
        with pytest.raises(TextTooLongError):
            utterance.push_text("x")
        session.utter("a")
        with pytest.raises(QueueFullError):
            session.utter("b")
        await session.interrupt()


async def test_a_lexicon_travels_and_what_only_the_server_may_choose_is_refused() -> None:
    backend = ScriptedBackend()
    async with remote(backend) as one:
        lexicon = (LexiconEntry("ACME", "ack me"), LexiconEntry("SQL", "sequel", "English"))
        session = await one.open_session(
            SessionOptions(language="en", normalizer=NormalizerSettings(lexicon=lexicon))
        )
        await listen(session.utter("ACME SQL"))
        assert backend.started == ["ack me sequel"]
        with pytest.raises(InvalidRequestError, match="grammar"):
            session.utter(
                "Hi.", options=SessionOptions(normalizer=NormalizerSettings(grammar="none"))
            )
        assert session.queued == 0


async def test_half_a_surrogate_pair_is_no_reason_to_lose_the_connection() -> None:
    async with remote(ScriptedBackend()) as one:
        session = await one.open_session()
        assert heard(await listen(session.utter("a \ud83d b")))


async def test_a_voice_is_the_server_s_to_judge_and_options_may_change() -> None:
    backend = ScriptedBackend()
    async with remote(backend) as one:
        with pytest.raises(UnknownVoiceError):
            await one.open_session(SessionOptions(voice="nobody"), session_id="me")
        assert one.get_session("me") is None
        session = await one.open_session(session_id="me")
        assert await one.open_session(SessionOptions(voice="bert"), session_id="me") is session
        await listen(session.utter("Hi."))
        for wrong in (0.0, -1.0, float("inf"), float("nan")):
            with pytest.raises(InvalidRequestError, match="max_lead"):
                await one.open_session(SessionOptions(max_lead=wrong))


# ------------------------------------------------------------------ servers that come and go


async def test_a_restarted_server_costs_each_utterance_one_error_and_nothing_else() -> None:
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as behind:
        options = ServerOptions(host="127.0.0.1", port=0, drain_timeout=0.01)
        server = Server(options)
        port = await server.start()
        server.open(behind)
        async with await RemoteSynthesizer.open(f"ws://127.0.0.1:{port}", settings=QUICK) as one:
            session = await one.open_session(SessionOptions(voice="bert"), session_id="me")
            playing, queued = session.utter("abc"), session.utter("def")
            events = aiter(playing)
            await until(lambda: bool(backend.running))
            backend.permit(1)
            await until(lambda: playing._turn.generated > 0)
            await server.stop()
            got: list[Event] = []
            with pytest.raises(ConnectionLostError) as caught:
                got += [event async for event in events]
            assert caught.value.retryable
            assert caught.value.retry_after is not None
            with pytest.raises(ConnectionLostError):
                await listen(queued)
            assert backend.running == []
            assert session.queued == 0

            # While there is no server, all is refused at once, and nothing hangs.
            with pytest.raises(ConnectionLostError):
                await listen(session.utter("abc"))
            assert (await session.interrupt()).stopped == ()
            with pytest.raises(ConnectionLostError):
                await one.open_session(SessionOptions(voice="anna"), session_id="other")

            server = Server(ServerOptions(host="127.0.0.1", port=port))
            await server.start()
            server.open(behind)
            backend.free = True
            await one._connection.ready()
            assert heard(await listen(session.utter("abc"))) == {voice_of("abc")}
            assert await one.open_session(session_id="me") is session
        await server.stop()


async def test_what_had_come_before_the_connection_broke_is_heard_before_the_error() -> None:
    backend = ScriptedBackend(free=False)
    async with LiveSynthesizer(backend) as behind:
        server = Server(ServerOptions(host="127.0.0.1", port=0, drain_timeout=0.01))
        address = f"ws://127.0.0.1:{await server.start()}"
        server.open(behind)
        async with await RemoteSynthesizer.open(address, settings=QUICK) as one:
            utterance = (await one.open_session()).utter("abc")
            await until(lambda: bool(backend.running))
            backend.permit(2)
            await until(lambda: utterance._turn.generated == 2 * CHUNK)
            await server.stop()
            got: list[Event] = []
            with pytest.raises(ConnectionLostError):
                async for event in utterance:
                    got.append(event)
            assert sum(len(e.samples) for e in got if isinstance(e, AudioChunk)) == 2 * CHUNK


class Cable:
    """Carries bytes between client and server, until it is cut, or silently goes dead."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.alive = asyncio.Event()
        self.alive.set()

    async def __aenter__(self) -> Cable:
        self._server = await asyncio.start_server(self._plug, "127.0.0.1", 0)
        self.address = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers += [writer, there[1]]
        for a, b in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._carry(a, b))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self.alive.wait()
                writer.write(data)
            writer.close()
        except ConnectionError:
            writer.transport.abort()


@asynccontextmanager
async def behind_a_cable(
    backend: ScriptedBackend, settings: Settings
) -> AsyncIterator[tuple[RemoteSynthesizer, Cable]]:
    async with (
        LiveSynthesizer(backend) as behind,
        serving(behind) as address,
        Cable(int(address.rpartition(":")[2])) as cable,
        await RemoteSynthesizer.open(cable.address, settings=settings) as one,
    ):
        yield one, cable


async def test_a_cut_connection_is_dialled_again_at_once_and_sessions_go_on() -> None:
    backend = ScriptedBackend(free=False)
    async with behind_a_cable(backend, QUICK) as (one, cable):
        session = await one.open_session(session_id="me")
        for text in ("abc", "def"):
            utterance = session.utter("lost")
            await until(lambda: bool(backend.running))
            cable.cut()
            with pytest.raises(ConnectionLostError):
                await listen(utterance)
            await until(lambda: not backend.running)
            await one._connection.ready()
            listening = asyncio.create_task(listen(session.utter(text)))
            await until(lambda: bool(backend.running))
            backend.permit(3)
            assert heard(await listening) == {voice_of(text)}


async def test_a_connection_that_goes_dead_without_a_word_is_noticed() -> None:
    # No shorter: a busy machine would lose the connection before it goes dead.
    settings = Settings(heartbeat=1.0, answer_timeout=1.0, first_delay=0.01, longest_delay=0.02)
    backend = ScriptedBackend(free=False)
    async with behind_a_cable(backend, settings) as (one, cable):
        session = await one.open_session()
        utterance = session.utter("abc")
        await until(lambda: bool(backend.running))
        cable.alive.clear()
        # An interrupt gives up after `answer_timeout`, and is silent from the start.
        report = await session.interrupt()
        assert report.stopped == ()
        (end,) = await listen(utterance)
        assert isinstance(end, Finished)
        with pytest.raises(ConnectionLostError):
            await listen(session.utter("def"))
        cable.alive.set()


async def test_an_attempt_that_fails_is_tried_again_and_again_until_the_server_is_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    address = f"ws://127.0.0.1:{port}"
    with pytest.raises(BackendUnavailableError, match="cannot be reached") as caught:
        await RemoteSynthesizer.open(address, settings=QUICK)
    assert not isinstance(caught.value, ConnectionLostError)
    async with LiveSynthesizer(ScriptedBackend()) as behind:
        async with serving(behind, port=port):
            one = await RemoteSynthesizer.open(address, settings=QUICK)
            session = await one.open_session()
        for _ in range(3):
            with pytest.raises(ConnectionLostError):
                await one._connection.ready()
        async with serving(behind, port=port):
            while one._connection.generation == 0:
                await asyncio.wait([asyncio.ensure_future(one._connection.ready())])
            assert heard(await listen(session.utter("Hi."))) == {voice_of("Hi.")}
            await one.aclose()


async def test_a_server_that_loads_or_refuses_says_so() -> None:
    server = Server(ServerOptions(host="127.0.0.1", port=0, api_keys=("k" * 16,)))
    address = f"ws://127.0.0.1:{await server.start()}"
    for key, error in (
        ("x" * 16, AuthenticationError),
        (None, AuthenticationError),
        ("k" * 16, OverloadedError),  # it loads
    ):
        with pytest.raises(error):
            await open_synthesizer(address, api_key=key)
    async with LiveSynthesizer(ScriptedBackend()) as behind:
        server.open(behind)
        async with await open_synthesizer(address, api_key="k" * 16) as one:
            assert one.info.model == "scripted"
        await server.stop()


# ------------------------------------------------------------------ servers that misbehave


@asynccontextmanager
async def strange(
    serve: Callable[[web.WebSocketResponse], Awaitable[None]],
    *,
    protocols: tuple[str, ...] = (wire.SUBPROTOCOL,),
) -> AsyncIterator[str]:
    """A server that does with its clients what a test says."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=protocols, timeout=0.1)
        await socket.prepare(request)
        await serve(socket)
        return socket

    app = web.Application()
    app.router.add_get(wire.PATH, handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


HELLO = wire.Hello(
    model="strange",
    sample_rate=SAMPLE_RATE,
    languages=("English",),
    voices=(),
    limits=wire.Limits(max_text=100, max_queued=5),
).dump()


def answers(
    to_end: Callable[[web.WebSocketResponse, int], Awaitable[None]],
) -> Callable[[web.WebSocketResponse], Awaitable[None]]:
    """Serve sessions as one should, and do `to_end` when the text of an utterance is complete."""

    async def serve(server: web.WebSocketResponse) -> None:
        await server.send_str(HELLO)
        async for message in server:
            if message.type is not WSMsgType.TEXT:
                continue
            match wire.parse_from_client(message.data):
                case wire.Open(request=request, session=session):
                    opened = wire.Opened(request=request, session=session, id="s")
                    await server.send_str(opened.dump())
                case wire.Close(request=request, session=session):
                    await server.send_str(wire.Closed(request=request, session=session).dump())
                case wire.Interrupt(request=request, session=session):
                    answer = wire.Interrupted(
                        request=request,
                        session=session,
                        stopped=(),
                        flushed=(),
                        generated=0,
                        sent=0,
                    )
                    await server.send_str(answer.dump())
                case wire.End(utterance=utterance):
                    await to_end(server, utterance)

    return serve


async def test_a_server_that_speaks_on_after_an_interrupt_is_not_heard() -> None:
    speaking = asyncio.Event()

    async def never_stop(server: web.WebSocketResponse, utterance: int) -> None:
        async def speak() -> None:
            for position in range(200):
                frame = wire.pack_audio(utterance, position * 100, b"\1\0" * 100)
                await server.send_bytes(frame)
                speaking.set()
                await asyncio.sleep(0)

        tasks.append(asyncio.create_task(speak()))

    tasks: list[asyncio.Task[None]] = []
    async with (
        strange(answers(never_stop)) as address,
        await RemoteSynthesizer.open(address, settings=QUICK) as one,
    ):
        session = await one.open_session()
        utterance = session.utter("Hi.")
        await speaking.wait()
        await session.interrupt()
        assert [type(event) for event in await listen(utterance)] == [Finished]
        await asyncio.gather(*tasks)


async def test_audio_that_is_missing_ends_the_utterance() -> None:
    async def skip(server: web.WebSocketResponse, utterance: int) -> None:
        for position in (0, 200):
            await server.send_bytes(wire.pack_audio(utterance, position, b"\1\0" * 100))

    async with (
        strange(answers(skip)) as address,
        await RemoteSynthesizer.open(address, settings=QUICK) as one,
    ):
        with pytest.raises(BackendError, match="missing"):
            await listen((await one.open_session()).utter("Hi."))


async def test_nonsense_breaks_the_connection_and_the_next_one_is_good() -> None:
    nonsense = ["{", '{"type": "sing"}', b"123"]

    async def talk(server: web.WebSocketResponse, utterance: int) -> None:
        if not nonsense:
            done = wire.Done(utterance=utterance, reason="completed", samples=0)
            await server.send_str(done.dump())
        elif isinstance(said := nonsense.pop(), bytes):
            await server.send_bytes(said)
        else:
            await server.send_str(said)

    async with (
        strange(answers(talk)) as address,
        await RemoteSynthesizer.open(address, settings=QUICK) as one,
    ):
        session = await one.open_session()
        for _ in range(3):
            with pytest.raises(ConnectionLostError, match="protocol"):
                await listen(session.utter("Hi."))
            await one._connection.ready()
        assert isinstance((await listen(session.utter("Hi.")))[-1], Finished)


async def test_an_error_that_this_version_does_not_know_is_still_an_error_of_ours() -> None:
    async def fail(server: web.WebSocketResponse, utterance: int) -> None:
        error = wire.Error(code="tired", message="m", retryable=True, utterance=utterance)
        await server.send_str(error.dump())

    async with (
        strange(answers(fail)) as address,
        await RemoteSynthesizer.open(address, settings=QUICK) as one,
    ):
        with pytest.raises(SpeechError) as caught:
            await listen((await one.open_session()).utter("Hi."))
        assert (caught.value.code, caught.value.retryable) == ("tired", True)


async def test_what_is_no_server_of_ours_is_said_so() -> None:
    async def silence(server: web.WebSocketResponse) -> None:
        await server.receive()

    async def hang_up(server: web.WebSocketResponse) -> None:
        await server.close()

    async def rush(server: web.WebSocketResponse) -> None:
        await server.send_str(wire.Closed(request=1, session=1).dump())

    impatient = Settings(dial_timeout=0.1)
    for serve, protocols in (
        (silence, (wire.SUBPROTOCOL,)),
        (hang_up, (wire.SUBPROTOCOL,)),
        (rush, (wire.SUBPROTOCOL,)),
        (silence, ()),
    ):
        async with strange(serve, protocols=protocols) as address:
            with pytest.raises(BackendUnavailableError, match="cannot be reached"):
                await RemoteSynthesizer.open(address, settings=impatient)
            with pytest.raises(BackendUnavailableError, match="404"):
                await RemoteSynthesizer.open(f"{address}/elsewhere", settings=impatient)


# ------------------------------------------------------------------ Unix sockets


async def test_a_unix_socket_is_private_replaces_a_stale_one_and_goes_with_its_server(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with LiveSynthesizer(ScriptedBackend()) as behind:
        async with serving(behind, port=None, unix=path) as address:
            assert path.stat().st_mode & 0o777 == 0o600
            second = Server(ServerOptions(port=None, unix=path))
            with pytest.raises(OSError, match="another server"):
                await second.start()
            async with await open_synthesizer(address) as one:
                assert heard(await listen((await one.open_session()).utter("Hi.")))
        assert not path.exists()
        path.write_text("precious")
        with pytest.raises(OSError, match="not a socket"):
            await Server(ServerOptions(port=None, unix=path)).start()
        assert path.read_text() == "precious"


async def test_a_server_may_listen_on_both(tmp_path: Path) -> None:
    async with (
        LiveSynthesizer(ScriptedBackend()) as behind,
        serving(behind, unix=tmp_path / "s") as address,
    ):
        for one_of in (address, f"unix:{tmp_path / 's'}"):
            async with await open_synthesizer(one_of) as one:
                assert heard(await listen((await one.open_session()).utter("Hi.")))


async def test_an_id_that_the_wire_cannot_carry_is_an_error_of_ours() -> None:
    async with remote(ScriptedBackend()) as synthesizer:
        for name in ("one for all", "x" * 129, "名前"):
            with pytest.raises(InvalidRequestError, match="128 printable"):
                await synthesizer.open_session(session_id=name)
        session = await synthesizer.open_session(session_id="x" * 128)
        assert session.id == "x" * 128
