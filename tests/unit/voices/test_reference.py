from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.voices.reference import load_reference, with_silence


def tone(seconds: float, rate: int = 24_000, hertz: float = 220.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def pitch(samples: np.ndarray) -> float:
    """The strongest frequency of samples at 24 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * 24_000 / len(samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_any_usual_format_and_rate_becomes_24_khz_mono(
    tmp_path: Path, suffix: str, rate: int
) -> None:
    path = tmp_path / f"voice.{suffix}"
    soundfile.write(path, np.stack([tone(1.0, rate)] * 2, axis=1), rate)
    samples = load_reference(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == pytest.approx(24_000, abs=2_400)  # mp3 and ogg pad
    assert pitch(samples) == pytest.approx(220, abs=3)
    assert 0.4 < np.abs(samples).max() < 0.6


def test_an_array_gives_what_the_same_file_gives(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    soundfile.write(path, tone(1.0), 24_000, subtype="PCM_16")
    array, rate = soundfile.read(path, dtype="int16")
    np.testing.assert_allclose(load_reference((array, rate)), load_reference(path), atol=1e-6)


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0.40 s"), (60.5, "60.50 s")])
def test_too_short_and_too_long_is_said_from_the_header(
    tmp_path: Path, seconds: float, words: str
) -> None:
    path = tmp_path / "voice.wav"
    soundfile.write(path, tone(seconds, 8_000), 8_000)
    for source in (path, (tone(seconds, 8_000), 8_000)):
        with pytest.raises(InvalidRequestError, match=words):
            load_reference(source)


@pytest.mark.parametrize("seconds", [0.5, 60.0])
def test_the_limits_themselves_are_allowed(seconds: float) -> None:
    assert len(load_reference((tone(seconds, 8_000), 8_000))) == round(seconds * 24_000)


def test_no_more_than_the_limit_is_decoded_whatever_a_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "voice.wav"
    soundfile.write(path, tone(70.0, 8_000), 8_000)
    honest = soundfile.info(str(path))
    honest.frames = 8_000  # a header that claims one second
    monkeypatch.setattr(soundfile, "info", lambda name: honest)
    with pytest.raises(InvalidRequestError, match=r"60\.00 s"):
        load_reference(path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/no/such/voice.wav", "no reference audio"),
        ((np.zeros(24_000, np.float32), 24_000), "silent"),
        ((np.full(24_000, np.nan, np.float32), 24_000), "not numbers"),
        ((tone(1.0), 100), "100 samples a second"),
        ((np.zeros((24_000, 40), np.float32), 24_000), "40 channels"),
    ],
)
def test_what_is_no_voice_is_refused_with_the_reason(source: object, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        load_reference(source)


def test_a_file_that_is_not_audio_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_text("This is not audio.")
    with pytest.raises(InvalidRequestError, match=r"voice\.wav cannot be read as audio"):
        load_reference(path)
    with pytest.raises(InvalidRequestError, match="no reference audio"):
        load_reference(tmp_path)


def test_a_reference_in_a_prompt_ends_with_half_a_second_of_silence() -> None:
    samples = tone(1.0)
    padded = with_silence(samples)
    assert np.array_equal(padded[:24_000], samples)
    assert len(padded) == 36_000 and not padded[24_000:].any()
