"""The LiveKit plugin and a server, with a network between them that fails in every way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError
from livekit.agents.metrics import TTSMetrics
from livekit.agents.tts import FallbackAdapter
from livekit.plugins import qwen3_tts

from fakes import ScriptedBackend, voice_of
from livekit_parts import listen, say, until
from qwen3_tts_live import SAMPLE_RATE, SessionLimits
from qwen3_tts_live.session import LiveSynthesizer
from serving import serving
from tcp_proxy import Proxy

PATIENT = APIConnectOptions(max_retry=0, timeout=20)
LONG = "This sentence goes on and on. " * 30


class Line:
    """A server, the network to it, and a TTS that speaks over it."""

    def __init__(self, backend: ScriptedBackend, proxy: Proxy) -> None:
        self.backend = backend
        self.proxy = proxy
        self.speaker = qwen3_tts.TTS(engine=f"ws://127.0.0.1:{proxy.port}")
        self.errors: list[bool] = []
        self.metrics: list[TTSMetrics] = []
        self.speaker.on("error", lambda error: self.errors.append(error.recoverable))
        self.speaker.on("metrics_collected", self.metrics.append)

    async def warm(self) -> None:
        """Have a connection, and a session on it."""
        await listen(say(self.speaker, "Hi.", conn_options=PATIENT))
        self.metrics.clear()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    backend = ScriptedBackend()
    async with AsyncExitStack() as stack:
        synthesizer = await stack.enter_async_context(LiveSynthesizer(backend))
        address = await stack.enter_async_context(serving(synthesizer))
        proxy = await stack.enter_async_context(Proxy.to(int(address.rsplit(":", 1)[1])))
        line = Line(backend, proxy)
        await stack.enter_async_context(line.speaker)
        yield line
        proxy.cut()  # nobody has to wait for a server that was silenced


async def test_text_and_words_cross_the_network_unchanged(line: Line) -> None:
    text = "One  two, three… 你好，世界。 e\u0301té 👩‍👩‍👧 end "
    heard = await listen(say(line.speaker, *text, conn_options=PATIENT))
    assert heard.text == text
    assert "".join(line.backend.started).replace(" ", "").startswith("Onetwo,three")
    assert [collected.streamed for collected in line.metrics] == [True]
    whole = await listen(line.speaker.synthesize(text, conn_options=PATIENT))
    assert whole.text == text


async def test_streams_share_one_connection(line: Line) -> None:
    line.speaker.prewarm()
    line.speaker.prewarm()
    for _ in range(3):
        await asyncio.gather(
            *(listen(say(line.speaker, text, conn_options=PATIENT)) for text in ("One.", "Two."))
        )
    assert line.proxy.connections == 1
    assert line.metrics[-1].connection_reused


async def test_an_interruption_reaches_the_server_and_the_next_turn_takes_the_connection(
    line: Line,
) -> None:
    costs: list[qwen3_tts.InterruptedMetrics] = []
    line.speaker.on("interrupted", costs.append)
    for turn in range(10):
        stream = say(line.speaker, LONG, conn_options=PATIENT)
        await anext(stream)
        asked_at = time.monotonic()
        await stream.aclose()
        assert time.monotonic() - asked_at < 1.0  # milliseconds: nothing is waited for
        await until(lambda: not line.backend.running)
        next_text = f"Turn {'abcdefghij'[turn]}."
        heard = await listen(say(line.speaker, next_text, conn_options=PATIENT))
        assert heard.voices == {voice_of(next_text)}
    await until(lambda: len(costs) == 10)
    # 3 s of lead, and what the network held; LONG would be over a minute.
    assert all(0 < cost.delivered <= cost.generated < 12 for cost in costs)
    assert line.proxy.connections == 1


async def test_a_server_that_is_silent_from_the_start_is_a_timeout(line: Line) -> None:
    line.proxy.silent = True
    asked_at = time.monotonic()
    with pytest.raises(APITimeoutError):
        await listen(
            say(line.speaker, "Hi.", conn_options=APIConnectOptions(max_retry=0, timeout=0.5))
        )
    assert 0.4 < time.monotonic() - asked_at < 9.0  # LiveKit's own patience is 10 s
    assert line.errors == [False]
    assert line.metrics == []


@pytest.mark.parametrize("how", ["stream", "synthesize"])
async def test_a_server_that_falls_silent_costs_an_error_an_attempt(line: Line, how: str) -> None:
    await line.warm()
    line.proxy.silent = True
    options = APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0)
    asked_at = time.monotonic()
    with pytest.raises(APITimeoutError):
        await listen(
            say(line.speaker, "Hi.", conn_options=options)
            if how == "stream"
            else line.speaker.synthesize("Hi.", conn_options=options)
        )
    assert 1.2 < time.monotonic() - asked_at < 9.0
    assert line.errors == [True, True, True, False]
    assert line.metrics == []


async def test_a_slow_network_is_no_error(line: Line) -> None:
    line.proxy.delay = 0.15
    heard = await listen(say(line.speaker, "Hello there.", conn_options=PATIENT))
    assert heard.voices == {voice_of("Hello there.")}
    assert line.errors == []


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_a_connection_that_breaks_while_it_speaks_is_an_error_and_not_said_again(
    line: Line, how: str
) -> None:
    stream = say(line.speaker, LONG, conn_options=APIConnectOptions(max_retry=3, timeout=20))
    await anext(stream)
    getattr(line.proxy, how)()
    with pytest.raises(APIConnectionError):
        async for _ in stream:
            pass
    await stream.aclose()
    assert line.errors == [False]  # LiveKit repeats nothing of which something was heard
    assert line.metrics == []
    await until(lambda: not line.backend.running)  # the server stops for whom nobody hears
    assert (await listen(say(line.speaker, "Again.", conn_options=PATIENT))).voices == {
        voice_of("Again.")
    }


async def test_a_connection_that_broke_while_it_was_idle_costs_one_attempt_at_most(
    line: Line,
) -> None:
    await line.warm()
    line.proxy.cut()
    await asyncio.sleep(0)
    options = APIConnectOptions(max_retry=3, retry_interval=0.2, timeout=20)
    heard = await listen(say(line.speaker, "Again.", conn_options=options))
    assert heard.voices == {voice_of("Again.")}
    assert False not in line.errors
    assert line.proxy.connections == 2


async def test_a_full_server_is_429_and_a_missing_one_503(line: Line) -> None:
    one_try = APIConnectOptions(max_retry=0, timeout=20)
    async with (
        LiveSynthesizer(ScriptedBackend(), SessionLimits(max_sessions=0)) as full,
        serving(full) as address,
        qwen3_tts.TTS(engine=address) as speaker,
    ):
        with pytest.raises(APIStatusError) as raised:
            await listen(say(speaker, "Hi.", conn_options=one_try))
        assert raised.value.status_code == 429
        assert raised.value.retryable
    await line.proxy.refuse()
    with pytest.raises(APIStatusError) as raised:
        await listen(say(line.speaker, "Hi.", conn_options=one_try))
    assert raised.value.status_code == 503
    assert raised.value.retryable


async def test_a_key_is_needed_where_one_is_asked_for_and_never_shown() -> None:
    async with (
        LiveSynthesizer(ScriptedBackend()) as synthesizer,
        serving(synthesizer, api_keys=("right-key-right-key",)) as address,
    ):
        async with qwen3_tts.TTS(engine=address, api_key="right-key-right-key") as speaker:
            assert (await listen(say(speaker, "Hi.", conn_options=PATIENT))).voices
        async with qwen3_tts.TTS(engine=address, api_key="wrong-key-wrong-key") as speaker:
            with pytest.raises(APIStatusError) as raised:
                await listen(say(speaker, "Hi."))
            assert not raised.value.retryable
            assert "wrong-key-wrong-key" not in repr(raised.value)


async def test_a_fallback_takes_over_from_a_dead_server_and_gives_back(line: Line) -> None:
    backup = ScriptedBackend()
    changes: list[bool] = []
    await line.warm()
    async with LiveSynthesizer(backup) as synthesizer:
        second = qwen3_tts.TTS(engine=synthesizer)
        fallback = FallbackAdapter([line.speaker, second], max_retry_per_tts=0)
        fallback.on("tts_availability_changed", lambda event: changes.append(event.available))
        options = APIConnectOptions(max_retry=0, timeout=2)

        await line.proxy.refuse()
        heard = await listen(say(fallback, "Still here.", conn_options=options))
        assert heard.voices == {voice_of("Still here.")}
        assert changes == [False]

        await line.proxy.listen()
        while changes == [False]:  # each turn that the backup speaks is a probe of the first
            await listen(say(fallback, "Is it back?", conn_options=options))
        assert changes == [False, True]
        spoken = len(backup.started)
        heard = await listen(say(fallback, "Back again.", conn_options=options))
        assert heard.voices == {voice_of("Back again.")}
        assert line.backend.started[-1] == "Back again."
        assert len(backup.started) == spoken
        await fallback.aclose()
        await second.aclose()


async def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    async with (
        LiveSynthesizer(ScriptedBackend()) as synthesizer,
        serving(synthesizer, port=None, unix=tmp_path / "s") as address,
        qwen3_tts.TTS(engine=address) as speaker,
    ):
        heard = await listen(say(speaker, "Hello.", conn_options=PATIENT))
        assert heard.seconds >= 6 * 1920 / SAMPLE_RATE
