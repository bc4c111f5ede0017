"""The LiveKit plugin against LiveKit's contract for a TTS, on a backend that says what it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError, APITimeoutError
from livekit.agents.metrics import TTSMetrics
from livekit.plugins import qwen3_tts

from fakes import CHUNK, ScriptedBackend, settle, voice_of
from livekit_parts import listen, say
from qwen3_tts_live import SAMPLE_RATE, SessionLimits
from qwen3_tts_live.session import LiveSynthesizer

ONE_TRY = APIConnectOptions(max_retry=0, timeout=5)


@pytest.fixture
async def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def synthesizer(backend: ScriptedBackend) -> AsyncIterator[LiveSynthesizer]:
    async with LiveSynthesizer(backend, SessionLimits(max_text=500)) as opened:
        yield opened


@pytest.fixture
async def speaker(synthesizer: LiveSynthesizer) -> AsyncIterator[qwen3_tts.TTS]:
    async with qwen3_tts.TTS(engine=synthesizer, max_lead=None) as opened:
        yield opened


@pytest.fixture
def metrics(speaker: qwen3_tts.TTS) -> list[TTSMetrics]:
    collected: list[TTSMetrics] = []
    speaker.on("metrics_collected", collected.append)
    return collected


async def test_a_stream_is_one_segment_that_ends_with_its_only_final_frame(
    speaker: qwen3_tts.TTS, metrics: list[TTSMetrics]
) -> None:
    heard = await listen(say(speaker, "Hello ", "there."))
    assert [event.is_final for event in heard.events[:-1]] == [False] * (len(heard.events) - 1)
    assert heard.events[-1].is_final
    assert len({event.segment_id for event in heard.events}) == 1
    assert len({event.request_id for event in heard.events}) == 1
    assert all(0 < event.frame.duration < 0.25 for event in heard.events)
    assert all(event.frame.sample_rate == speaker.sample_rate for event in heard.events)
    assert heard.voices == {voice_of("Hello there.")}
    assert heard.text == "Hello there."
    (collected,) = metrics
    assert collected.request_id == heard.events[0].request_id
    assert collected.output_tokens == len("Hello there.")  # a frame a character
    assert collected.audio_duration == pytest.approx(heard.seconds)
    assert collected.characters_count == len("Hello there.")
    assert collected.ttfb > 0
    assert collected.metadata is not None
    assert collected.metadata.model_name == "scripted"


async def test_a_whole_text_gives_the_same_and_one_metrics_event(
    speaker: qwen3_tts.TTS, metrics: list[TTSMetrics]
) -> None:
    heard = await listen(speaker.synthesize("Hello there."))
    assert heard.voices == {voice_of("Hello there.")}
    assert heard.text == "Hello there."
    assert [event.is_final for event in heard.events].count(True) == 1
    assert heard.seconds == pytest.approx(12 * CHUNK / SAMPLE_RATE)
    assert [event.output_tokens for event in metrics] == [12]


@pytest.mark.parametrize("pieces", [(), ("  ",), ("\n", " ")])
async def test_a_stream_with_nothing_in_it_is_silent_and_no_error(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend, pieces: tuple[str, ...]
) -> None:
    assert (await listen(say(speaker, *pieces))).events == []
    assert backend.started == []


@pytest.mark.parametrize("text", ["…", "🎉🎉", "***", "?!"])
async def test_text_with_nothing_to_say_is_a_moment_of_silence(
    speaker: qwen3_tts.TTS, text: str
) -> None:
    heard = await listen(say(speaker, text))
    assert 0 < heard.seconds < 0.1
    assert heard.voices == set()
    assert heard.text == text


async def test_text_arrives_byte_for_byte_however_it_is_cut(speaker: qwen3_tts.TTS) -> None:
    text = "One  two, three… four.\n你好，世界。今天 3.5 度！\tÜber e\u0301té 👩‍👩‍👧 end "
    for size in (1, 2, 3, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert (await listen(say(speaker, *pieces))).text == text


async def test_words_come_before_their_audio_and_rise(speaker: qwen3_tts.TTS) -> None:
    heard = await listen(say(speaker, "One two three. Four five six."))
    starts = [word.start_time for word in heard.words]
    assert starts == sorted(starts)
    position = 0.0
    for event in heard.events:
        for word in event.frame.userdata["lk.timed_transcripts"]:
            # A word rides on a frame that is at the latest the one in which it begins.
            assert position <= word.start_time + 0.201
        position += event.frame.duration


async def test_no_words_where_none_are_wanted(synthesizer: LiveSynthesizer) -> None:
    speaker = qwen3_tts.TTS(engine=synthesizer, aligned_transcript=False)
    assert not speaker.capabilities.aligned_transcript
    assert (await listen(say(speaker, "Hello."))).words == []


async def test_new_options_are_for_streams_made_from_now_on(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend
) -> None:
    before = speaker.stream()
    speaker.update_options(voice="bert", language="zh")
    after = say(speaker, "你好。")
    before.push_text("Hello.")
    before.end_input()
    await listen(after)
    await listen(before)
    assert set(backend.asked) == {("bert", "Chinese"), ("anna", "English")}
    speaker.update_options(voice=None)
    await listen(say(speaker, "你好。"))
    assert backend.asked[-1] == ("anna", "Chinese")


@pytest.mark.parametrize(
    ("options", "text", "status"),
    [
        ({"voice": "nobody"}, "Hi.", 400),
        ({"language": "Klingon"}, "Hi.", 400),
        ({}, "x" * 501, 400),
    ],
)
async def test_a_request_that_can_never_work_is_not_tried_again(
    synthesizer: LiveSynthesizer, options: dict[str, str], text: str, status: int
) -> None:
    speaker = qwen3_tts.TTS(engine=synthesizer, **options)  # type: ignore[arg-type]
    errors: list[bool] = []
    speaker.on("error", lambda error: errors.append(error.recoverable))
    with pytest.raises(APIStatusError) as raised:
        await listen(say(speaker, text))
    assert raised.value.status_code == status
    assert errors == [False]


async def test_a_full_engine_is_busy_and_tried_again(backend: ScriptedBackend) -> None:
    async with LiveSynthesizer(backend, SessionLimits(max_sessions=0)) as synthesizer:
        speaker = qwen3_tts.TTS(engine=synthesizer)
        errors: list[bool] = []
        speaker.on("error", lambda error: errors.append(error.recoverable))
        with pytest.raises(APIStatusError) as raised:
            await listen(
                say(speaker, "Hi.", conn_options=APIConnectOptions(max_retry=1, retry_interval=0))
            )
        assert raised.value.status_code == 429
        assert errors == [True, False]


async def test_a_crash_before_any_audio_is_an_api_error(speaker: qwen3_tts.TTS) -> None:
    with pytest.raises(APIError, match="scripted"):
        await listen(say(speaker, "boom", conn_options=ONE_TRY))


async def test_streams_at_once_do_not_wait_for_each_other(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend
) -> None:
    preemptive = speaker.stream()
    preemptive.push_text("A text that may never end. And then")
    first, second = await asyncio.gather(*(listen(say(speaker, text)) for text in ("One.", "Two.")))
    assert (first.voices, second.voices) == ({voice_of("One.")}, {voice_of("Two.")})
    await preemptive.aclose()
    await settle()
    assert backend.running == []


async def test_an_interruption_reaches_the_engine_at_once_and_says_what_it_cost(
    synthesizer: LiveSynthesizer,
) -> None:
    backend = synthesizer.backend
    assert isinstance(backend, ScriptedBackend)
    backend.free = False
    speaker = qwen3_tts.TTS(engine=synthesizer)
    costs: list[qwen3_tts.InterruptedMetrics] = []
    speaker.on("interrupted", costs.append)
    stream = say(speaker, "A sentence to interrupt.")
    while not backend.running:
        await asyncio.sleep(0)
    backend.permit(5)
    await anext(stream)
    await stream.aclose()
    await settle()
    assert backend.running == []
    assert synthesizer.status.active == synthesizer.status.queued == 0
    (cost,) = costs
    assert cost.characters == len("A sentence to interrupt.")
    assert 0 < cost.delivered <= cost.generated <= 5 * CHUNK / SAMPLE_RATE
    assert cost.stop_seconds < 5


async def test_a_stream_that_waits_for_the_engine_is_cancelled_as_quickly(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend
) -> None:
    backend.free = False
    for _ in range(20):
        stream = say(speaker, "A sentence that never begins.")
        while not backend.running:
            await asyncio.sleep(0)
        await stream.aclose()
        await settle()
        assert backend.running == []
    assert len(backend.started) == 20


async def test_a_cancellation_does_not_wait_for_an_engine_that_takes_its_time(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend
) -> None:
    backend.stopping.clear()
    stream = say(speaker, "This one takes long to stop.")
    await anext(stream)
    await stream.aclose()
    assert len(backend.running) == 1
    # And the next stream does not wait for it either: it has a session of its own.
    assert (await anext(aiter(say(speaker, "Next.")))).frame.duration > 0
    backend.stopping.set()


async def test_no_more_is_made_than_the_lead_ahead_of_what_can_have_been_played(
    synthesizer: LiveSynthesizer, backend: ScriptedBackend
) -> None:
    speaker = qwen3_tts.TTS(engine=synthesizer, max_lead=1.0)
    begun = time.monotonic()  # nothing can have been played before
    async with say(
        speaker, "One sentence of so many letters that it takes some five seconds"
    ) as stream:
        async for _ in stream:
            # A chunk more on each side of the engine's thread, and one in the making.
            allowed = time.monotonic() - begun + 1.0 + 3 * CHUNK / SAMPLE_RATE
            assert sum(run.made for run in backend.running) / SAMPLE_RATE <= allowed
            if time.monotonic() > begun + 0.5:
                break
        else:
            pytest.fail("all of it was handed on at once")


async def test_an_engine_that_falls_silent_is_a_timeout_and_four_attempts_are_four_errors(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend, metrics: list[TTSMetrics]
) -> None:
    backend.free = False
    errors: list[bool] = []
    speaker.on("error", lambda error: errors.append(error.recoverable))
    options = APIConnectOptions(max_retry=3, timeout=0.1, retry_interval=0)
    with pytest.raises(APITimeoutError):
        await listen(say(speaker, "Hello.", conn_options=options))
    assert errors == [True, True, True, False]
    assert backend.started == ["Hello."] * 4
    assert metrics == []
    await settle()
    assert backend.running == []


async def test_a_pause_of_the_llm_is_no_timeout(speaker: qwen3_tts.TTS) -> None:
    options = APIConnectOptions(max_retry=0, timeout=0.1)
    async with speaker.stream(conn_options=options) as stream:
        stream.push_text("Let me look that up. And then ")
        await anext(stream)
        await asyncio.sleep(0.5)  # five times the limit
        stream.push_text("I will tell you.")
        stream.end_input()
        assert [event async for event in stream][-1].is_final


async def test_an_engine_slower_than_speech_is_heard_to_the_end(
    speaker: qwen3_tts.TTS, backend: ScriptedBackend
) -> None:
    backend.free = False
    listening = asyncio.create_task(listen(say(speaker, "Slow.")))
    while not listening.done():
        backend.permit()
        await asyncio.sleep(0.1)  # for 80 ms of speech
    heard = await listening
    assert int((heard.samples != 0).sum()) == 5 * CHUNK


async def test_closing_ends_streams_without_an_error(synthesizer: LiveSynthesizer) -> None:
    speaker = qwen3_tts.TTS(engine=synthesizer)
    errors: list[object] = []
    speaker.on("error", errors.append)
    stream = speaker.stream()
    stream.push_text("This never ends, ")
    await settle()
    await speaker.aclose()
    await speaker.aclose()
    assert (await listen(stream)).events == []
    assert errors == []
    assert synthesizer.status.active == synthesizer.status.queued == 0


async def test_prewarming_twice_opens_one_session_and_the_first_stream_takes_it(
    speaker: qwen3_tts.TTS, synthesizer: LiveSynthesizer, metrics: list[TTSMetrics]
) -> None:
    speaker.prewarm()
    speaker.prewarm()
    await settle()
    assert synthesizer.status.sessions == 1
    await listen(say(speaker, "Hello."))
    assert synthesizer.status.sessions == 1
    assert metrics[0].connection_reused


@pytest.mark.parametrize("max_lead", [0, -1])
async def test_a_lead_of_nothing_is_refused(max_lead: float) -> None:
    with pytest.raises(ValueError, match="max_lead"):
        qwen3_tts.TTS(max_lead=max_lead)


async def test_speeches_that_are_refused_leave_no_sessions_behind(
    synthesizer: LiveSynthesizer,
) -> None:
    async with qwen3_tts.TTS(engine=synthesizer, voice="nobody") as speaker:
        for _ in range(5):
            with pytest.raises(APIStatusError):
                await listen(say(speaker, "Hello.", conn_options=ONE_TRY))
        assert synthesizer.status.sessions == 1
    assert synthesizer.status.sessions == 0
