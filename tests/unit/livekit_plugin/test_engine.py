"""Where the engine of the LiveKit plugin lives: threads, loops that end, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from livekit.agents import APIConnectOptions
from livekit.plugins import qwen3_tts
from livekit.plugins.qwen3_tts.host import Begun, Host, Request, Speaker
from livekit.plugins.qwen3_tts.host import Heard as Told

from fakes import ScriptedBackend, settle, voice_of
from livekit_parts import Heard, listen, say, until
from qwen3_tts_live import Finished, SessionOptions
from qwen3_tts_live.errors import BackendUnavailableError
from qwen3_tts_live.session import LiveSynthesizer


@pytest.fixture
async def synthesizer() -> AsyncIterator[LiveSynthesizer]:
    async with LiveSynthesizer(ScriptedBackend()) as opened:
        yield opened


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "qwen3-tts"]


def backend_of(synthesizer: LiveSynthesizer) -> ScriptedBackend:
    assert isinstance(synthesizer.backend, ScriptedBackend)
    return synthesizer.backend


async def test_jobs_in_two_threads_share_an_engine_and_interrupt_only_themselves(
    synthesizer: LiveSynthesizer,
) -> None:
    engine = qwen3_tts.Engine(synthesizer)

    async def job(name: str) -> list[Heard]:
        async with qwen3_tts.TTS(engine=engine, max_lead=None) as speaker:
            heard = []
            for turn in range(20):
                interrupted = say(speaker, f"{name} will not be heard to the end. " * 20)
                await anext(interrupted)
                await interrupted.aclose()
                heard.append(await listen(say(speaker, f"{name} says {'abc'[turn % 3]}.")))
            return heard

    jobs = [asyncio.to_thread(asyncio.run, job(name)) for name in ("Anna", "Bert")]
    for name, heard in zip(("Anna", "Bert"), await asyncio.gather(*jobs), strict=True):
        expected = [{voice_of(f"{name} says {'abc'[turn % 3]}.")} for turn in range(20)]
        assert [one.voices for one in heard] == expected
    await until(lambda: not backend_of(synthesizer).running)
    await engine.aclose()
    await settle()
    assert synthesizer.status.sessions == 0


async def test_a_job_whose_loop_ends_takes_its_speech_along(synthesizer: LiveSynthesizer) -> None:
    engine = qwen3_tts.Engine(synthesizer)
    backend_of(synthesizer).free = False

    async def job() -> None:
        stream = say(qwen3_tts.TTS(engine=engine), "This is never finished.")
        while not backend_of(synthesizer).running:
            await asyncio.sleep(0.001)
        del stream

    await asyncio.to_thread(asyncio.run, job())
    await until(lambda: not backend_of(synthesizer).running)
    assert synthesizer.status.active == synthesizer.status.queued == 0


async def test_sessions_end_with_a_tts_that_nobody_closed(synthesizer: LiveSynthesizer) -> None:
    speaker = qwen3_tts.TTS(engine=synthesizer)
    await listen(say(speaker, "Hello."))
    assert synthesizer.status.sessions == 1
    del speaker
    gc.collect()
    await until(lambda: synthesizer.status.sessions == 0)


@pytest.mark.parametrize("closed", [True, False])
async def test_no_thread_is_left_with_or_without_a_close(closed: bool) -> None:
    assert engine_threads() == []
    speaker = qwen3_tts.TTS(engine="preview:")
    assert engine_threads() == []  # nothing before it is needed
    heard = await listen(say(speaker, "Hi.", conn_options=APIConnectOptions(timeout=60)))
    assert heard.seconds > 0.1
    assert len(engine_threads()) == 1
    if closed:
        await speaker.aclose()
        assert engine_threads() == []
    del speaker
    await until(lambda: gc.collect() >= 0 and not engine_threads())


async def test_two_tts_share_the_engine_of_one_address() -> None:
    engine = qwen3_tts.Engine("preview:")
    options = APIConnectOptions(timeout=60)
    speakers = [qwen3_tts.TTS(engine=engine, voice=voice) for voice in ("female", "deep")]
    heard = await asyncio.gather(
        *(listen(say(speaker, "Hi.", conn_options=options)) for speaker in speakers)
    )
    assert len(engine_threads()) == 1
    assert heard[0].samples.tolist() != heard[1].samples.tolist()
    await speakers[0].aclose()  # which is not its owner
    assert (await listen(say(speakers[1], "Hi."))).seconds > 0.1
    await engine.aclose()


PROCESS = """
import asyncio, multiprocessing, sys, threading
import livekit.agents
before = threading.active_count()
from livekit.plugins import qwen3_tts
assert threading.active_count() == before
assert not {"torch", "transformers", "qwen_tts", "wetext"} & set(sys.modules)

def job():
    qwen3_tts.Engine("qwen:somewhere")
    qwen3_tts.Engine("qwen:elsewhere", allow_per_process_model=True)

child = multiprocessing.get_context("fork").Process(target=job)
child.start()
child.join()
assert child.exitcode == 0
qwen3_tts.Engine("qwen:here")

async def speak():
    speaker = qwen3_tts.TTS(engine="preview:")
    options = livekit.agents.APIConnectOptions(timeout=60)
    async with speaker.synthesize("Hi.", conn_options=options) as stream:
        async for event in stream:
            pass
    return speaker  # never closed

kept = asyncio.run(speak())
"""


def test_a_process_starts_nothing_early_warns_of_a_model_in_each_job_and_ends_by_itself() -> None:
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert "qwen:somewhere is loaded into this job process" in warning


class FastClock(asyncio.SelectorEventLoop):
    """A loop whose time a test can put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.mark.parametrize("in_time", [True, False])
def test_a_speech_waits_for_a_model_longer_than_its_own_time_and_not_for_ever(
    in_time: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    loop = FastClock()

    async def speak() -> list[Told]:
        told: list[Told] = []
        is_loaded = asyncio.Event()
        async with LiveSynthesizer(ScriptedBackend()) as synthesizer:

            async def load() -> LiveSynthesizer:
                await is_loaded.wait()
                return synthesizer

            host = Host(load, load_timeout=600.0)
            host.prewarm()
            request = Request(options=SessionOptions(), lead=None, timeout=10.0)
            speaker = Speaker(host, request, lambda event: told.append(event) or True)
            speaker.start()
            speaker.push_text("Hello.")
            speaker.end_input()
            for seconds in (0, 590 if in_time else 610):
                loop.ahead += seconds
                await settle()
            is_loaded.set()
            await until(lambda: not host.speakers)
            await host.aclose(owned=False)
        return told

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        told = runner.run(speak())
    assert "speech waits for the model to be loaded, 600 s at most" in caplog.text
    if in_time:
        assert isinstance(told[0], Begun) and told[0].seconds > 590
        assert isinstance(told[-1], Finished) and told[-1].reason == "completed"
    else:
        (failure,) = told
        assert isinstance(failure, BackendUnavailableError) and "after 600 s" in failure.message
