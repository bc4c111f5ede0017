"""What a speech server sends, turned into samples: cut anywhere, at any rate, or broken."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_tts_live.backends.openai_stream import decoder_for
from qwen3_tts_live.errors import BackendCrashedError, BackendError

SOUND = np.arange(-500, 500, dtype=np.int16)
PCM = SOUND.astype("<i2").tobytes()
CUTS = st.lists(st.integers(0, 4000), max_size=12)


def event(kind: str, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"type": kind} | fields).encode() + b"\n\n"


def delta(audio: bytes, field: str = "audio") -> bytes:
    return event("speech.audio.delta", **{field: base64.b64encode(audio).decode()})


DONE = event("speech.audio.done", usage={})
EVENTS = b": hello\n\nevent: x\n" + delta(PCM[:333]) + delta(PCM[333:1000], "delta") + b"\n\n"
EVENTS += delta(PCM[1000:]).replace(b"\n", b"\r\n") + event("speech.audio.info") + DONE


def decoded(pieces: Iterable[bytes], content_type: str, **headers: str) -> bytes:
    decoder = decoder_for(content_type, headers)
    parts = [samples for piece in pieces for samples in decoder.push(piece)]
    parts += decoder.end()
    return b"".join(part.astype("<i2").tobytes() for part in parts)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@given(CUTS)
def test_pcm_cut_anywhere_is_the_same_sound(cuts: list[int]) -> None:
    assert decoded(pieces(PCM, cuts), "audio/pcm") == PCM


@given(CUTS)
def test_events_cut_anywhere_are_the_same_sound(cuts: list[int]) -> None:
    assert decoded(pieces(EVENTS, cuts), "text/event-stream; charset=utf-8") == PCM


def test_events_may_be_cut_at_every_single_byte() -> None:
    assert decoded((EVENTS[i : i + 1] for i in range(len(EVENTS))), "text/event-stream") == PCM


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("audio/pcm;rate=48000", {}),
        ("audio/L16; Rate=48000", {}),
        ("audio/pcm", {"X-Sample-Rate": "48000"}),
    ],
)
def test_another_rate_is_resampled_in_one_stream(
    content_type: str, headers: dict[str, str]
) -> None:
    time = np.arange(48_000) / 48_000
    tone = (8000 * np.sin(2 * np.pi * 440 * time)).astype("<i2").tobytes()
    heard = np.frombuffer(
        decoded(pieces(tone, [1, 333, 7777, 50_001]), content_type, **headers), "<i2"
    )
    assert abs(len(heard) - 24_000) <= 2
    assert int(np.abs(np.fft.rfft(heard.astype(float), 24_000)).argmax()) == 440


@pytest.mark.parametrize(
    ("content_type", "headers", "clue"),
    [
        ("audio/mpeg", {}, "audio/mpeg"),
        ("text/html", {}, "raw PCM"),
        ("", {}, "no content type"),
        ("audio/pcm;rate=fast", {}, "fast"),
        ("audio/pcm;rate=1", {}, "no rate"),
        ("audio/pcm;channels=2", {}, "mono"),
        ("audio/pcm", {"X-Channels": "2"}, "mono"),
    ],
)
def test_what_cannot_be_pcm_is_refused(
    content_type: str, headers: dict[str, str], clue: str
) -> None:
    with pytest.raises(BackendError, match=clue):
        decoder_for(content_type, headers)


@pytest.mark.parametrize(
    ("data", "kind", "clue"),
    [
        (delta(PCM), BackendCrashedError, "without the last one"),
        (delta(PCM)[:-20], BackendError, "makes no sense"),
        (b"data: {broken\n\n", BackendError, "makes no sense"),
        (b"data: 7\n\n", BackendError, "makes no sense"),
        (b'data: {"type": "speech.audio.delta", "audio": "???"}\n\n', BackendError, "no sense"),
        (b'data: {"type": "speech.audio.delta", "audio": 7}\n\n', BackendError, "no sense"),
        (event("speech.audio.error", error={"message": "out of memory"}), BackendError, "memory"),
        (event("error", error="bad"), BackendError, "bad"),
        (b"", BackendCrashedError, "without the last one"),
    ],
)
def test_events_that_break_off_or_make_no_sense_are_errors(
    data: bytes, kind: type[BackendError], clue: str
) -> None:
    with pytest.raises(kind, match=clue):
        decoded([data], "text/event-stream")


def test_the_other_end_mark_is_known_and_the_last_empty_line_may_lack() -> None:
    assert decoded([delta(PCM) + b"data: [DONE]"], "text/event-stream") == PCM
    assert decoded([delta(PCM) + DONE[:-1]], "text/event-stream") == PCM
    assert decoded([delta(PCM) + DONE[:-2]], "text/event-stream") == PCM
