"""GET /tts/ws as a client sees it: what docs/protocol.md promises, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from fakes import CHUNK, ScriptedBackend, settle, voice_of
from qwen3_tts_live import SAMPLE_RATE, SessionLimits, wire
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions
from raw_client import Audio, RawClient
from raw_http import RawHttp, upgrade

LONG = "x" * 4000  # a chunk a character: more than any lead


@dataclass
class Running:
    """A server with everything that a test wants to look at."""

    backend: ScriptedBackend
    synthesizer: LiveSynthesizer
    server: Server
    port: int

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def ahead(self) -> int:
        """Samples made that no pump has taken."""
        sessions = self.synthesizer._sessions.values()
        return sum(turn.waiting for session in sessions for turn in session._turns)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the server does on its own; the test's timeout is the limit."""
        while not condition():
            await asyncio.sleep(0.001)

    async def until_idle(self) -> None:
        await self.until(lambda: self.synthesizer.status.active == 0)
        await self.until(lambda: self.synthesizer.status.queued == 0)
        assert self.backend.running == []

    def client(self, **options: Any) -> RawClient:
        return RawClient(self.address, **options)

    async def interrupt_over_http(self, client_id: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/tts/interrupt?client_id={client_id}"
        async with aiohttp.ClientSession() as http, http.post(url) as response:
            assert response.status == 200
            return dict(await response.json())


@asynccontextmanager
async def running(
    backend: ScriptedBackend | None = None, limits: SessionLimits | None = None, **flags: Any
) -> AsyncIterator[Running]:
    backend = backend or ScriptedBackend()
    async with LiveSynthesizer(backend, limits) as synthesizer:
        server = Server(ServerOptions(host="127.0.0.1", port=0, **flags))
        one = Running(backend, synthesizer, server, await server.start())
        server.open(synthesizer)
        try:
            yield one
            if not server.streams.draining:
                await one.until_idle()
                await one.until(lambda: not synthesizer._sessions)
                await one.until(lambda: not server._websocket._peers)
                assert server._websocket._held == {}
        finally:
            backend.stopping.set()
            await server.stop()
    await settle()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, others


def gapless(client: RawClient, utterance: int, text: str) -> bool:
    """Whether all of a text of one segment was heard, and nothing else."""
    values = {value for audio in client.audio(utterance) for value in set(audio.samples)}
    return client.samples(utterance) == len(text) * CHUNK and values == {voice_of(text)}


# ------------------------------------------------------------------ speaking


async def test_everything_may_be_said_at_once_without_waiting_for_an_answer() -> None:
    async with running() as one, one.client() as client:
        session = await client.open()
        utterance = await client.utter(session, "Hel", "lo.")
        done = await client.end_of(utterance)
        hello, opened, *_ = client.heard
        assert isinstance(hello, wire.Hello)
        assert hello.model == "scripted"
        assert hello.languages == ("English", "Chinese")
        assert hello.voices == ("anna", "bert")
        assert hello.limits.max_text == ServerOptions().max_text
        assert isinstance(opened, wire.Opened)
        assert opened.session == session
        assert isinstance(done, wire.Done)
        assert (done.reason, done.samples) == ("completed", 6 * CHUNK)
        assert done.queue_seconds is not None
        assert done.ttfb_seconds is not None
        assert gapless(client, utterance, "Hello.")
        assert client.text(utterance) == "Hello."
        assert client.heard[-1] is done


async def test_marks_come_before_their_audio() -> None:
    async with running() as one, one.client() as client:
        utterance = await client.utter(await client.open(), "One, two. Three and four!")
        await client.end_of(utterance)
        position = 0
        for event in client.heard:
            if isinstance(event, wire.Mark):
                assert event.start >= position or event.start == event.end
            elif isinstance(event, Audio):
                position = event.end


async def test_sessions_of_one_socket_speak_at_once_and_their_utterances_in_order() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        sessions = [await client.open() for _ in range(2)]
        first = [await client.utter(session, "abc") for session in sessions]
        second = await client.utter(sessions[0], "def")
        await one.until(lambda: len(one.backend.running) == 2)
        one.backend.permit(3)
        for utterance in first:
            await client.end_of(utterance)
        await one.until(lambda: one.backend.started == ["abc", "abc", "def"])
        one.backend.permit(3)
        await client.end_of(second)
        assert all(gapless(client, utterance, "abc") for utterance in first)
        assert gapless(client, second, "def")


async def test_an_utterance_may_have_options_of_its_own() -> None:
    async with running() as one, one.client() as client:
        session = await client.open(voice="Anna", language="en")
        good = await client.utter(session, "ab", voice="bert")
        bad = await client.utter(session, "ab", voice="nobody")
        error = await client.end_of(bad)
        assert isinstance(error, wire.Error)
        assert (error.code, error.retryable) == ("unknown_voice", False)
        assert isinstance(await client.end_of(good), wire.Done)


async def test_opening_an_open_session_again_gives_it_new_options() -> None:
    async with running() as one, one.client() as client:
        session = await client.open("me")
        for voice, code in (("bert", None), ("nobody", "unknown_voice")):
            request = next(client.numbers)
            options = wire.Options(voice=voice)
            await client.say(wire.Open(request=request, session=session, options=options))
            if code is None:
                opened = await client.hear(wire.Opened, lambda o, r=request: o.request == r)
                assert opened.id == "me"
            else:
                error = await client.hear(wire.Error, lambda e, r=request: e.request == r)
                assert error.code == code
        assert isinstance(await client.end_of(await client.utter(session, "ab")), wire.Done)


async def test_a_session_that_was_forgotten_for_being_silent_speaks_again() -> None:
    async with running() as one, one.client() as client:
        session = await client.open("me")
        await client.hear(wire.Opened)
        forgotten = one.synthesizer.get_session("me")
        assert forgotten is not None
        await forgotten.aclose()
        assert isinstance(await client.end_of(await client.utter(session, "ab")), wire.Done)


async def test_what_the_backend_fails_at_is_the_error_of_one_utterance() -> None:
    async with running() as one, one.client() as client:
        session = await client.open()
        bad, good = await client.utter(session, "boom"), await client.utter(session, "fine")
        error = await client.end_of(bad)
        assert isinstance(error, wire.Error)
        assert error.code == "backend_error"
        assert isinstance(await client.end_of(good), wire.Done)


async def test_a_voice_that_comes_while_clients_are_there_is_announced() -> None:
    async with running() as one, one.client() as client:
        await client.hear(wire.Hello)
        one.backend.voices = ("anna", "bert", "clara")  # type: ignore[assignment]
        if not isinstance(type(one.synthesizer).__dict__.get("info"), property):
            from dataclasses import replace

            one.synthesizer.info = replace(one.synthesizer.info, voices=one.backend.voices)
        session = await client.open(voice="clara")
        await client.hear(wire.Opened)
        hello = [x for x in client.heard if isinstance(x, wire.Hello)][-1]
        assert "clara" in hello.voices
        assert isinstance(await client.end_of(await client.utter(session, "ab")), wire.Done)


# ------------------------------------------------------------------ interrupting


async def test_an_interrupt_ends_what_plays_and_what_waits_and_nothing_follows() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session, other = await client.open(), await client.open()
        playing = await client.utter(session, "playing")
        queued = [await client.utter(session, "queued") for _ in range(3)]
        elsewhere = await client.utter(other, "abc")
        await one.until(lambda: len(one.backend.running) == 2)
        one.backend.permit(2)
        await client.hear_samples(playing, 2 * CHUNK)

        answer = await client.interrupt(session)

        assert answer.stopped == (playing,)
        assert answer.flushed == tuple(queued)
        assert answer.generated == answer.sent == 2 * CHUNK
        (run,) = one.backend.running
        assert run.segment.text == "abc"
        for utterance in (playing, *queued):
            end = await client.end_of(utterance)
            assert isinstance(end, wire.Done)
            assert end.reason == "interrupted"
            assert client.heard.index(end) < client.heard.index(answer)
        again = await client.utter(session, "abc")
        one.backend.free = True
        one.backend.permit(3)
        for utterance in (again, elsewhere):
            await client.end_of(utterance)
            assert gapless(client, utterance, "abc")
        assert client.samples(playing) == 2 * CHUNK


async def test_an_utterance_said_after_an_interrupt_is_not_touched_by_it() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session = await client.open()
        old = await client.utter(session, "old")
        await one.until(lambda: bool(one.backend.running))
        one.backend.stopping.clear()  # the interrupt cannot end yet
        request = next(client.numbers)
        await client.say(wire.Interrupt(request=request, session=session))
        new = await client.utter(session, "abc")
        other = await client.open()  # and nobody else waits for it
        await client.hear(wire.Opened, lambda opened: opened.session == other)
        assert not [x for x in client.heard if isinstance(x, wire.Interrupted)]
        one.backend.stopping.set()
        answer = await client.hear(wire.Interrupted)
        assert (*answer.stopped, *answer.flushed) == (old,)
        await one.until(lambda: bool(one.backend.running))
        one.backend.permit(3)
        await client.end_of(new)
        assert gapless(client, new, "abc")


async def test_an_interrupt_of_a_silent_session_twice_in_a_row_is_answered() -> None:
    async with running() as one, one.client() as client:
        session = await client.open()
        for _ in range(2):
            answer = await client.interrupt(session)
            assert (answer.stopped, answer.flushed, answer.generated) == ((), (), 0)


async def test_a_cancelled_utterance_ends_and_the_next_plays() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session = await client.open()
        first, second = await client.utter(session, "abc"), await client.utter(session, "def")
        await one.until(lambda: one.backend.started == ["abc"])
        await client.say(wire.Cancel(utterance=first))
        end = await client.end_of(first)
        assert isinstance(end, wire.Done)
        assert end.reason == "interrupted"
        await one.until(lambda: one.backend.started == ["abc", "def"])
        one.backend.permit(3)
        await client.end_of(second)
        assert gapless(client, second, "def")
        assert client.audio(first) == []


async def test_http_and_websocket_share_a_session_of_one_name() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session = await client.open("user_123")
        utterance = await client.utter(session, "playing")
        await one.until(lambda: bool(one.backend.running))
        report = await one.interrupt_over_http("user_123")
        assert (report["status"], report["stopped"]) == ("interrupted", 1)
        end = await client.end_of(utterance)
        assert isinstance(end, wire.Done)
        assert end.reason == "interrupted"

        url = f"http://127.0.0.1:{one.port}/tts/stream"
        async with aiohttp.ClientSession() as http:
            asking = asyncio.create_task(
                http.post(url, json={"text": "abc", "client_id": "user_123"})
            )
            await one.until(lambda: bool(one.backend.running))
            await client.interrupt(session)
            async with await asking as response:
                assert await response.read() == b""


async def test_a_session_without_a_name_cannot_be_guessed() -> None:
    async with running() as one, one.client() as client:
        await client.open()
        opened = await client.hear(wire.Opened)
        assert len(opened.id) >= 16


async def test_two_keys_never_meet_in_one_session() -> None:
    keys = ("a" * 16, "b" * 16)
    async with running(ScriptedBackend(free=False), api_keys=keys) as one:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with one.client():
                pass
        assert caught.value.status == 401
        headers = [{"Authorization": f"Bearer {key}"} for key in keys]
        async with one.client(headers=headers[0]) as alice, one.client(headers=headers[1]) as bob:
            sessions = [await client.open("same") for client in (alice, bob)]
            utterance = await alice.utter(sessions[0], "abc")
            await one.until(lambda: bool(one.backend.running))
            assert (await bob.interrupt(sessions[1])).stopped == ()
            one.backend.permit(3)
            await alice.end_of(utterance)
            assert gapless(alice, utterance, "abc")


# ------------------------------------------------------------------ pacing


async def test_a_client_that_takes_nothing_gets_no_more_than_its_lead() -> None:
    async with running() as one, one.client() as client:
        session = await client.open(max_lead=1.0)
        utterance = await client.utter(session, LONG)
        following = await client.utter(session, LONG)
        await client.hear_samples(utterance, int(0.75 * SAMPLE_RATE))
        # What it takes lets exactly that much more come.
        for position in (0.4, 0.9, 2.0):
            taken = int(position * SAMPLE_RATE)
            await client.say(wire.Taken(utterance=utterance, samples=taken))
            await client.hear_samples(utterance, min(taken, client.samples(utterance)) + 1)
            await one.until(lambda: one.ahead >= int(0.25 * SAMPLE_RATE) - CHUNK)
            await settle()
            lead = client.samples(utterance) - taken + one.ahead
            assert lead <= SAMPLE_RATE + 2 * CHUNK
        assert client.audio(following) == []
        await client.interrupt(session)


async def test_a_client_without_a_lead_gets_all_that_it_can_read() -> None:
    async with running() as one, one.client() as client:
        utterance = await client.utter(await client.open(max_lead=None), "x" * 300)
        done = await client.end_of(utterance)
        assert isinstance(done, wire.Done)
        assert done.samples == client.samples(utterance) == 300 * CHUNK
        assert one.ahead == 0


async def test_what_a_client_has_not_taken_counts_for_its_next_utterance_too() -> None:
    async with running() as one, one.client() as client:
        session = await client.open(max_lead=1.0)
        first, second = await client.utter(session, "x" * 9), await client.utter(session, LONG)
        await client.end_of(first)
        await client.hear_samples(second, CHUNK)
        await one.until(lambda: one.ahead >= int(0.25 * SAMPLE_RATE) - CHUNK)
        assert client.samples(second) == CHUNK
        await client.say(wire.Taken(utterance=first, samples=9 * CHUNK))
        await client.hear_samples(second, 9 * CHUNK)
        await client.interrupt(session)


async def test_nothing_is_stuck_behind_audio_that_a_client_does_not_read() -> None:
    async with running() as one, one.client() as client:
        session = await client.open(max_lead=None)
        utterance = await client.utter(session, LONG)
        await client.hear(Audio)
        client.reading.cancel()  # it stops to read, until every buffer on the way is full
        await asyncio.wait([client.reading])
        (peer,) = one.server._websocket._peers
        await one.until(lambda: peer._transport.get_write_buffer_size() > 0)
        await one.until(lambda: one.ahead > 2.9 * SAMPLE_RATE)
        assert peer._transport.get_write_buffer_size() < 2 * 3840
        request = next(client.numbers)
        await client.say(wire.Interrupt(request=request, session=session))
        await one.until_idle()  # which needs no reading at all
        client.reading = asyncio.create_task(client._read())
        answer = await client.hear(wire.Interrupted)
        assert client.samples(utterance) == answer.sent < answer.generated


# ------------------------------------------------------------------ bad clients

BAD = {
    "no JSON": ("{", None),
    "no object": ("[]", None),
    "an unknown type": ('{"type": "sing", "request": 9}', {"request": 9}),
    "an unknown field": ('{"type": "end", "utterance": 9, "x": 1}', {"utterance": 9}),
    "a server's message": ('{"type": "opened", "request": 9}', {"request": 9}),
    "no session of that number": (
        '{"type": "utter", "session": 99, "utterance": 9}',
        {"utterance": 9},
    ),
    "an interrupt of none": ('{"type": "interrupt", "request": 9, "session": 99}', {"request": 9}),
    "half a surrogate pair": (
        '{"type": "text", "utterance": 9, "text": "\\ud800"}',
        {"utterance": 9},
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_message_is_answered_and_harms_nobody(name: str) -> None:
    data, references = BAD[name]
    async with running() as one, one.client() as client:
        session = await client.open()
        await client.say(data)
        error = await client.hear(wire.Error)
        assert (error.code, error.retryable) == ("invalid_request", False)
        assert {"request": error.request, "utterance": error.utterance} == {
            "request": None,
            "utterance": None,
        } | (references or {})
        assert isinstance(await client.end_of(await client.utter(session, "ab")), wire.Done)


async def test_binary_messages_and_reused_numbers_are_refused() -> None:
    async with running() as one, one.client() as client:
        await client.socket.send_bytes(b"\0" * 16)
        assert "binary" in (await client.hear(wire.Error)).message
        session = await client.open()
        utterance = await client.utter(session, "ab")
        await client.end_of(utterance)
        await client.say(wire.Utter(session=session, utterance=utterance))
        error = await client.hear(wire.Error, lambda error: error.utterance == utterance)
        assert "higher" in error.message


async def test_text_after_the_end_ends_the_utterance_and_text_of_none_is_ignored() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session = await client.open()
        utterance = await client.utter(session, "ab")
        await client.say(
            wire.Text(utterance=utterance, text="c"),
            wire.Text(utterance=999, text="x"),
            wire.End(utterance=999),
            wire.Taken(utterance=999, samples=5),
            wire.Cancel(utterance=999),
        )
        error = await client.end_of(utterance)
        assert isinstance(error, wire.Error)
        assert error.code == "invalid_request"
        await one.until_idle()


async def test_limits_are_errors_that_say_whether_to_come_back() -> None:
    limits = SessionLimits(max_queued=2, max_sessions=2, max_text=10)
    running_one = running(ScriptedBackend(free=False), limits, max_text=10)
    async with running_one as one, one.client() as client:
        session = await client.open()
        for _ in range(2):
            await client.utter(session, "abc")
        full = await client.end_of(await client.utter(session, "abc"))
        assert isinstance(full, wire.Error)
        assert (full.code, full.retryable, full.retry_after) == ("queue_full", True, 1.0)
        await client.open()
        third = await client.open()
        error = await client.hear(wire.Error, lambda error: error.request == third)
        assert (error.code, error.retryable) == ("capacity", True)
        refused = await client.end_of(await client.utter(third, "abc"))
        assert isinstance(refused, wire.Error)
        assert refused.code == "capacity"  # what was wrong with the session
        await client.interrupt(session)
        long = await client.end_of(await client.utter(session, "abcdef", "ghijkl"))
        assert isinstance(long, wire.Error)
        assert (long.code, long.retryable) == ("text_too_long", False)


async def test_a_message_longer_than_any_text_closes_the_connection_it_came_on() -> None:
    async with running(max_text=10) as one, one.client() as other, one.client() as client:
        await client.say("x" * 10_000)
        assert await client.hang_up() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        session = await other.open()
        assert isinstance(await other.end_of(await other.utter(session, "ab")), wire.Done)


async def test_pages_of_other_sites_and_other_protocols_are_refused() -> None:
    async with running() as one:
        for options, status in (
            ({"headers": {"Origin": "https://evil.example"}}, 403),
            ({"protocols": ["qwen3-tts-live.v9"]}, 400),
            ({"protocols": []}, 400),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with one.client(**options):
                    pass
            assert caught.value.status == status
        same = {"headers": {"Origin": f"http://127.0.0.1:{one.port}"}}
        async with one.client(**same) as client:
            await client.hear(wire.Hello)


# ------------------------------------------------------------------ clients that leave


STAGES = ("connected", "opening", "text to come", "playing", "queued", "interrupting", "done")


@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_that_vanishes_leaves_nothing_behind(stage: str) -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session = await client.open() if stage != "connected" else 0
        if stage == "text to come":
            await client.utter(session, "ab", end=False)
        if stage in ("playing", "queued", "interrupting", "done"):
            utterances = [await client.utter(session, "abc") for _ in range(3)]
            await one.until(lambda: one.synthesizer.status.queued == 2)
            await one.until(lambda: bool(one.backend.running))
            one.backend.permit(1)
            await client.hear_samples(utterances[0], CHUNK)
            if stage == "playing":
                one.backend.permit(1)
            if stage == "done":
                one.backend.permit(2)
                await client.end_of(utterances[0])
            if stage == "interrupting":
                one.backend.stopping.clear()
                await client.say(wire.Interrupt(request=99, session=session))
                await one.until(lambda: one.synthesizer.status.queued == 0)
        client.vanish()
        await one.until(lambda: not one.server._websocket._peers or stage == "interrupting")
        one.backend.stopping.set()
        await one.until(lambda: not one.server._websocket._peers)
        await one.until_idle()


async def test_news_that_come_while_a_client_leaves_reach_the_others() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as stays:
        await stays.hear(wire.Hello)
        async with one.client() as leaves:
            await leaves.utter(await leaves.open(), "abc")
            await one.until(lambda: bool(one.backend.running))
            one.backend.stopping.clear()  # its work takes long to end, and so its leaving
            leaves.vanish()
            await one.until(lambda: one.synthesizer.status.queued == 0)
            (peer,) = [x for x in one.server._websocket._peers if x._sessions]
            await one.until(lambda: peer.request.transport is None)
            await settle()
            one.backend.voices = ("anna", "bert", "carl")
            one.server._websocket.announce()
            await stays.hear(wire.Hello, lambda hello: "carl" in hello.voices)
            assert peer in one.server._websocket._peers
            one.backend.stopping.set()


async def test_the_last_to_leave_a_shared_session_closes_it() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as stays:
        session = await stays.open("shared")
        await stays.hear(wire.Opened)
        utterance = await stays.utter(session, "abc")
        async with one.client() as leaves:
            mine = await leaves.open("shared")
            await leaves.utter(mine, "def")
            await one.until(lambda: one.synthesizer.status.queued == 1)
        await one.until(lambda: one.synthesizer.status.queued == 0)
        assert one.synthesizer.get_session("shared") is not None
        one.backend.permit(3)
        await stays.end_of(utterance)
        assert gapless(stays, utterance, "abc")


async def test_a_closed_session_is_forgotten_and_its_number_free_again() -> None:
    async with running(ScriptedBackend(free=False)) as one, one.client() as client:
        session = await client.open("me")
        utterance = await client.utter(session, "abc")
        await client.say(wire.Close(request=50, session=session))
        closed = await client.hear(wire.Closed)
        assert (closed.request, closed.session) == (50, session)
        end = await client.end_of(utterance)
        assert isinstance(end, wire.Done)
        assert one.synthesizer.get_session("me") is None
        assert one.backend.running == []
        await client.say(wire.Open(request=51, session=session))
        await client.hear(wire.Opened, lambda opened: opened.request == 51)


async def test_a_client_that_reads_nothing_is_cut_off_in_the_end() -> None:
    async with running(write_timeout=0.2) as one, one.client() as client:
        session = await client.open(max_lead=None)
        await client.utter(session, LONG)
        await client.hear(Audio)
        client.reading.cancel()
        await one.until(lambda: not one.server._websocket._peers)
        await one.until_idle()


async def test_a_client_that_asks_without_reading_the_answers_is_cut_off() -> None:
    async with running(write_timeout=0.2) as one, one.client() as client:
        await client.hear(wire.Hello)
        client.reading.cancel()
        with pytest.raises(ConnectionError):
            while True:
                await client.say("x" * 100)
        await one.until(lambda: not one.server._websocket._peers)


async def test_a_client_that_gives_no_sign_of_life_is_given_up() -> None:
    async with running() as one:
        one.server._websocket.heartbeat = 0.1
        client = RawHttp(one.port)  # answers no ping, and may be as late as it likes
        reader = await client.send(upgrade(wire.PATH))
        assert (await reader.read()).startswith(b"HTTP/1.1 101")  # until the server hangs up
        await one.until(lambda: not one.server._websocket._peers)
        client.leave()


async def test_an_utterance_that_takes_too_long_is_cut_off() -> None:
    async with running(max_stream_seconds=0.1) as one, one.client() as client:
        utterance = await client.utter(await client.open(), "ab", end=False)
        error = await client.end_of(utterance)
        assert isinstance(error, wire.Error)
        assert error.code == "overloaded"


# ------------------------------------------------------------------ stopping


async def test_a_stopping_server_closes_idle_connections_and_lets_the_busy_end() -> None:
    server = running(ScriptedBackend(free=False))
    async with server as one, one.client() as idle, one.client() as busy:
        session = await busy.open()
        utterance = await busy.utter(session, "abc")
        await one.until(lambda: bool(one.backend.running))
        stopping = asyncio.create_task(one.server.stop())
        assert await idle.hang_up() == aiohttp.WSCloseCode.GOING_AWAY
        late = await busy.end_of(await busy.utter(session, "late"))
        assert isinstance(late, wire.Error)
        assert (late.code, late.retryable, late.retry_after) == ("overloaded", True, 5.0)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with one.client():
                pass
        assert caught.value.status == 503
        assert not stopping.done()
        one.backend.permit(3)
        await busy.end_of(utterance)
        assert gapless(busy, utterance, "abc")
        assert await busy.hang_up() == aiohttp.WSCloseCode.GOING_AWAY
        await stopping


@pytest.mark.parametrize("reads", [True, False])
async def test_a_stopping_server_cuts_what_outlasts_the_drain_time(reads: bool) -> None:
    async with running(drain_timeout=0.1) as one, one.client() as client:
        await client.utter(await client.open(max_lead=None), LONG * 4)
        await client.hear(Audio)
        if not reads:
            client.reading.cancel()
        await one.server.stop()
        await one.until_idle()
        if reads:
            await client.hang_up()


async def test_a_server_that_loads_says_when_to_come_back() -> None:
    server = Server(ServerOptions(host="127.0.0.1", port=0))
    port = await server.start()
    try:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with RawClient(f"ws://127.0.0.1:{port}"):
                pass
        assert caught.value.status == 503
        assert caught.value.headers is not None
        assert caught.value.headers["Retry-After"] == "5"
    finally:
        await server.stop()
