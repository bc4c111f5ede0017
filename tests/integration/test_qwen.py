"""Qwen3-TTS from its address to its audio, on tiny checkpoints with random weights."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import settle
from qwen3_tts_live import AudioChunk, QwenOptions, Session, SessionOptions, open_synthesizer
from qwen3_tts_live.backend import Pcm, Segment
from qwen3_tts_live.backends.qwen import QwenBackend
from qwen3_tts_live.backends.qwen_open import clone_voice, open_qwen
from qwen3_tts_live.errors import (
    BackendUnavailableError,
    ClosedError,
    InvalidRequestError,
    UnknownVoiceError,
    VoiceExistsError,
)
from qwen3_tts_live.voices.store import VoiceStore

pytest.importorskip("torch")

CheckpointAt = Callable[..., Path]

FRAME = 1920
TEXT = "Hello there, it is me. 你好,世界! Ça va?"
SHORT = "Hello there."


def recording(seconds: float = 1.0) -> tuple[np.ndarray, int]:
    samples = np.random.default_rng(3).normal(0, 0.1, round(seconds * 16_000))
    return samples.astype(np.float32), 16_000


def tone() -> tuple[np.ndarray, int]:
    return np.sin(np.arange(24_000) * 0.06).astype(np.float32), 24_000


def clone(**more: Any) -> QwenOptions:
    return QwenOptions(**{"ref_audio": recording(), "greedy": True, "slots": 2, **more})


async def spoken(events: AsyncIterator[Any]) -> np.ndarray:
    chunks = [event.samples async for event in events if isinstance(event, Pcm | AudioChunk)]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "qwen3-tts-engine"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in engine_threads():
        thread.join(30)
    assert engine_threads() == []


# ---------------------------------------------------------------- opening


async def test_it_is_ready_only_when_it_has_spoken_and_says_how_it_got_there(
    tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "qwen3_tts_live")
    async with await open_synthesizer(f"qwen:{tiny_base}", qwen=clone()) as synthesizer:
        engine = synthesizer.status.engine
        assert engine is not None and engine.alive and engine.frames >= 16
        assert engine.active == engine.queued == 0
        assert synthesizer.info.model == tiny_base.name
        assert synthesizer.info.voices == ("reference",)
    for clue in ("onto cpu in float32", "GB", "took", "room for 2", "is ready"):
        assert clue in caplog.text


async def test_each_type_of_checkpoint_speaks_in_its_own_way(
    tiny_custom_voice: Path, tiny_voice_design: Path
) -> None:
    options = QwenOptions(greedy=True, slots=1, max_frames=20)
    heard = {}
    for folder, instructs in (
        (tiny_custom_voice, (None, "Whisper.")),
        (tiny_voice_design, ("A low voice.", "A high voice.")),
    ):
        async with await open_synthesizer(f"qwen:{folder}", qwen=options) as synthesizer:
            voices = synthesizer.info.voices or (None,)
            for voice in voices[:2]:
                for instruct in instructs:
                    settings = SessionOptions(voice=voice, instruct=instruct, language="English")
                    session = await synthesizer.open_session(settings)
                    samples = await spoken(aiter(session.utter("Hello there.")))
                    heard[folder, voice, instruct] = samples.tobytes()
    assert len(heard) == len(set(heard.values())) == 6
    assert {len(pcm) for pcm in heard.values()} == {20 * FRAME * 2}


async def test_a_clone_in_context_and_by_sound_and_stored_ones_are_different_voices(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = VoiceStore(tmp_path)
    store.add(await clone_voice(str(tiny_base), "anna", clone(ref_audio=tone())))
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    heard = []
    for text in (None, "What I say."):
        options = clone(ref_text=text, voices_folder=tmp_path, max_frames=10)
        backend = await open_qwen(str(tiny_base), options)
        assert backend.voices == ("reference", "anna")
        for voice in backend.voices:
            segment = Segment(text="Hello.", language="English", voice=voice)
            heard.append((await spoken(backend.synthesize(segment))).tobytes())
        await backend.aclose()
    by_sound, stored, in_context, again = heard
    assert len({by_sound, stored, in_context}) == 3
    assert again == stored
    assert "broken.safetensors" in caplog.text


async def test_auto_leaves_the_language_to_the_model(tiny_base: Path) -> None:
    backend = await open_qwen(str(tiny_base), clone(max_frames=10))
    auto, english = [
        (await spoken(backend.synthesize(Segment(text="Hello.", language=name)))).tobytes()
        for name in ("Auto", "English")
    ]
    assert auto != english
    await backend.aclose()


@pytest.mark.parametrize(
    ("options", "clue"),
    [
        ({"ref_audio": "/no/such.wav"}, "no reference audio"),
        ({"ref_audio": recording(0.1)}, "0.10 s long"),
        ({"speaker": "nobody"}, "unknown voice"),
        ({"instruct": "Whisper."}, "takes no instructions"),
        ({"device": "toaster"}, "device toaster cannot be used"),
        ({"device": "cuda:77"}, "device cuda:77 cannot be used"),
        ({"quantize": "int8", "dtype": "bfloat16"}, "float32"),
    ],
)
async def test_options_that_do_not_fit_are_refused_and_leave_nothing(
    tiny_base: Path, tmp_path: Path, options: dict[str, Any], clue: str
) -> None:
    with pytest.raises(InvalidRequestError, match=clue):
        await open_qwen(str(tiny_base), clone(voices_folder=tmp_path, **options))


async def test_the_weights_are_let_go_when_it_is_closed_or_could_not_be_opened(
    tiny_base: Path,
) -> None:
    backend = await open_qwen(str(tiny_base), clone())
    await backend.aclose()
    with pytest.raises(InvalidRequestError):
        await open_qwen(str(tiny_base), clone(instruct="Whisper."))  # found out after loading
    await settle()
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing).__name__ == "SpeechRunner"]


async def test_only_base_checkpoints_clone(tiny_custom_voice: Path) -> None:
    async with await open_synthesizer(f"qwen:{tiny_custom_voice}") as synthesizer:
        assert synthesizer.voices is None
    with pytest.raises(InvalidRequestError, match="only Base checkpoints clone"):
        await open_qwen(str(tiny_custom_voice), clone())
    with pytest.raises(InvalidRequestError, match="only Base checkpoints clone"):
        await clone_voice(str(tiny_custom_voice), "anna", clone())


async def test_a_voice_is_added_and_removed_while_another_speaks_and_sounds_as_one_of_before(
    tiny_base: Path, tmp_path: Path
) -> None:
    options = clone(voices_folder=tmp_path, max_frames=12)
    async with await open_synthesizer(f"qwen:{tiny_base}", qwen=options) as synthesizer:
        library = synthesizer.voices
        assert library is not None and library.names == ()
        alone = await spoken(aiter((await synthesizer.open_session()).utter(SHORT)))
        session = await synthesizer.open_session()
        speaking = asyncio.create_task(spoken(aiter(session.utter(SHORT))))
        await library.add("sound", tone())
        await library.add("context", tone(), text="A tone.")
        assert np.array_equal(await speaking, alone)
        assert synthesizer.info.voices == ("reference", "sound", "context")
        heard = [
            await spoken(aiter(session.utter(SHORT, options=SessionOptions(voice=voice))))
            for voice in ("sound", "context")
        ]
        await library.remove("sound")
        assert synthesizer.info.voices == ("reference", "context")
        with pytest.raises(UnknownVoiceError):
            session.utter(SHORT, options=SessionOptions(voice="sound"))
    with pytest.raises(ClosedError):
        await library.add("late", tone())
    options = clone(ref_audio=tone(), voices_folder=tmp_path, max_frames=12)
    async with await open_synthesizer(f"qwen:{tiny_base}", qwen=options) as synthesizer:
        session = await synthesizer.open_session()
        assert np.array_equal(await spoken(aiter(session.utter(SHORT))), heard[0])
        again = session.utter(SHORT, options=SessionOptions(voice="context"))
        assert np.array_equal(await spoken(aiter(again)), heard[1])


async def test_a_voice_that_was_chosen_to_be_the_default_stays(
    tiny_base: Path, tmp_path: Path
) -> None:
    VoiceStore(tmp_path).add(await clone_voice(str(tiny_base), "anna", clone()))
    options = QwenOptions(voices_folder=tmp_path, slots=1, speaker="Anna")
    async with await open_synthesizer(f"qwen:{tiny_base}", qwen=options) as synthesizer:
        assert synthesizer.voices is not None
        assert synthesizer.voices.names == ()
        with pytest.raises(VoiceExistsError, match="cannot be removed"):
            await synthesizer.voices.remove("anna")


async def test_a_base_checkpoint_waits_for_its_first_voice_and_speaks_with_it_at_once(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = QwenOptions(greedy=True, slots=1, voices_folder=tmp_path, max_frames=8)
    async with await open_synthesizer(f"qwen:{tiny_base}", qwen=options) as synthesizer:
        assert (synthesizer.info.voices, "no voice yet" in caplog.text) == ((), True)
        assert synthesizer.status.engine is not None and synthesizer.status.engine.frames >= 8
        session = await synthesizer.open_session()
        with pytest.raises(UnknownVoiceError, match=r"upload one .* or start with --ref-audio"):
            await spoken(aiter(session.utter(SHORT)))
        library = synthesizer.voices
        assert library is not None
        for name, source in (("zoe", tone()), ("anna", recording())):
            await library.add(name, source)
        assert synthesizer.info.voices == library.names == ("zoe", "anna")
        first = await spoken(aiter(session.utter(SHORT)))
        by_name = session.utter(SHORT, options=SessionOptions(voice="zoe"))
        assert len(first) and np.array_equal(await spoken(aiter(by_name)), first)
        # What has been asked for keeps its voice; what comes later has the next one's.
        before = session.utter(SHORT)
        await library.remove("zoe")
        assert np.array_equal(await spoken(aiter(before)), first)
        assert not np.array_equal(await spoken(aiter(session.utter(SHORT))), first)
        await library.remove("anna")
        with pytest.raises(UnknownVoiceError, match="no voice of its own"):
            await spoken(aiter(session.utter(SHORT)))


async def test_settings_for_qwen_are_refused_by_other_engines() -> None:
    with pytest.raises(InvalidRequestError, match="greedy, ref_audio: only qwen:"):
        await open_synthesizer("preview:", qwen=QwenOptions(greedy=True, ref_audio="a.wav"))


async def test_an_opening_that_is_cancelled_stops_at_its_next_stage(tiny_base: Path) -> None:
    opening = asyncio.create_task(open_qwen(str(tiny_base), clone()))
    while not (threads := engine_threads()):
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.to_thread(threads[0].join)


def test_without_torch_it_says_what_to_install(tiny_base: Path) -> None:
    code = f"""
import asyncio, sys
sys.modules["torch"] = None  # what an import finds where the package is not installed
from qwen3_tts_live import SpeechError, open_synthesizer
try:
    asyncio.run(open_synthesizer("qwen:{tiny_base}"))
except SpeechError as error:
    sys.stdout.write(f"{{error.code}}: {{error.message}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("backend_unavailable: Qwen3-TTS cannot be loaded (")
    assert "torch" in done.stdout and "pip install 'qwen3-tts-live[qwen]'" in done.stdout


async def test_a_failure_while_loading_is_an_error_of_ours(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "copy"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises((InvalidRequestError, BackendUnavailableError)):
        await open_qwen(str(folder), clone())


# ---------------------------------------------------------------- speaking


async def until_heard(session: Session, text: str, samples: int) -> AsyncIterator[Any]:
    events = aiter(session.utter(text))
    heard = 0
    while heard < samples:
        event = await anext(events)
        heard += len(event.samples) if isinstance(event, AudioChunk) else 0
    return events


async def test_an_interrupt_leaves_no_frame_to_be_computed_and_every_slot_free(
    tiny_base: Path,
) -> None:
    async with await open_synthesizer(f"qwen:{tiny_base}", qwen=clone(slots=1)) as synthesizer:
        session = await synthesizer.open_session(SessionOptions(max_lead=None))
        other = await synthesizer.open_session(SessionOptions(max_lead=0.1))
        for _ in range(5):
            events = await until_heard(session, "I go on and on. " * 20, 2 * FRAME)
            waiting = other.utter(TEXT)  # has no slot
            report = await session.interrupt()
            await other.interrupt()
            engine = synthesizer.status.engine
            assert engine is not None
            assert report.stopped and report.generated >= 2 * FRAME
            assert (engine.active, engine.queued) == (0, 0)
            frames = engine.frames
            await settle(500)
            assert synthesizer.status.engine is not None
            assert synthesizer.status.engine.frames == frames
            del events, waiting
        assert len(await spoken(aiter(session.utter("Still here."))))


async def pieces(texts: list[str]) -> AsyncIterator[str]:
    for text in texts:
        await asyncio.sleep(0)
        yield text


@pytest.fixture
async def ending(tiny_ending: Path) -> AsyncIterator[QwenBackend]:
    backend = await open_qwen(str(tiny_ending), clone())
    yield backend
    await backend.aclose()


async def test_text_that_arrives_in_any_pieces_sounds_as_the_whole_text(
    ending: QwenBackend,
) -> None:
    whole = await spoken(ending.synthesize(Segment(text=TEXT, language="English")))
    assert len(whole) > 20 * FRAME
    for size in (1, 3, 7, 1000):
        cut = [TEXT[n : n + size] for n in range(0, len(TEXT), size)]
        first = Segment(text=cut[0], language="English")
        live = await spoken(ending.synthesize_live(first, pieces(cut[1:])))
        assert same(live, whole)


async def test_sentences_of_several_speakers_at_once_sound_as_each_alone(
    ending: QwenBackend,
) -> None:
    texts = ("One, two, three.", "Here I am again, for a longer while.", "Yes.")
    segments = [Segment(text=text, language="English") for text in texts]
    alone = [await spoken(ending.synthesize(segment)) for segment in segments]
    together = await asyncio.gather(*(spoken(ending.synthesize(s)) for s in segments))
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether it is the same speech up to the rounding of the codec's products."""
    return one.shape == other.shape and int(np.abs(one.astype(int) - other).max()) <= 2


async def test_a_seed_repeats_a_draw_and_another_one_does_not(tiny_base: Path) -> None:
    backend = await open_qwen(str(tiny_base), clone(greedy=False, max_frames=12))
    one, again, other, unseeded = [
        (
            await spoken(backend.synthesize(Segment(text="Hi.", language="English", seed=seed)))
        ).tobytes()
        for seed in (1, 1, 2, None)
    ]
    assert one == again
    assert len({one, other, unseeded}) == 3
    await backend.aclose()
