"""What phones and browsers record, and the files of those who would use its decoder."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from cloning import RECORDED, audio, tone
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.voices import decoding
from qwen3_tts_live.voices.recorded import recorded_container
from qwen3_tts_live.voices.reference import load_reference


def pitch(samples: np.ndarray) -> float:
    """The strongest frequency of samples at 24 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * 24_000 / len(samples)


@pytest.mark.parametrize("kind", RECORDED)
def test_what_phones_and_browsers_record_sounds_as_it_was(tmp_path: Path, kind: str) -> None:
    rate = 44_100 if kind != "webm" else 48_000
    data = audio(tone(1.0, rate, 2), kind, rate)
    samples = load_reference(data)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == pytest.approx(24_000, abs=2_400)  # what codecs pad
    assert pitch(samples) == pytest.approx(220, abs=3)
    assert 0.45 < np.abs(samples).max() < 0.55
    path = tmp_path / f"me.{kind}"
    path.write_bytes(data)
    assert np.array_equal(load_reference(path), samples)


def test_a_video_gives_its_sound_and_one_without_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no sound in it"):
        load_reference(audio(tone(1.0), "m4a").replace(b"soun", b"vide"))


@pytest.mark.parametrize("kind", ["m4a", "webm"])  # the one says its length, the other does not
def test_no_more_is_decoded_than_a_minute(kind: str) -> None:
    long = np.zeros((48_000 * 63, 1), np.float32)
    with pytest.raises(InvalidRequestError, match=r"6\d\.\d\d s long"):
        load_reference(audio(long, kind, 48_000))


def lying(data: bytes, box: bytes, at: int, *numbers: int) -> bytes:
    """Return an MP4 with other numbers in a box, so many bytes behind its name."""
    changed = bytearray(data)
    place = data.index(box) + len(box) + at
    struct.pack_into(f">{len(numbers)}I", changed, place, *numbers)
    return bytes(changed)


def test_an_index_that_claims_eighty_million_samples_is_refused_within_its_limits(
    tmp_path: Path,
) -> None:
    # Without limits FFmpeg takes 2.8 GB and 7 s for this file of 10 kB.
    bomb = lying(lying(audio(tone(1.0), "m4a"), b"stsz", 4, 1, 80_000_000), b"stsc", 12, 80_000_000)
    with pytest.raises(InvalidRequestError):
        load_reference(bomb)
    path = tmp_path / "bomb.m4a"
    path.write_bytes(bomb)
    command = [
        sys.executable,
        "-I",
        decoding.__file__,
        "mp4",
        "60",
        "4000",
        "384000",
        "16",
        "99999",
    ]
    # A process's largest size begins with that of its parent, so a small one is put between.
    started = "decoder = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)"
    ended = "print(os.wait4(decoder.pid, 0)[2].ru_maxrss)"
    between = [sys.executable, "-I", "-c", f"import os, subprocess, sys; {started}; {ended}"]
    with path.open("rb") as file:
        done = subprocess.run([*between, *command], stdin=file, stdout=subprocess.PIPE, check=True)
    assert 10_000 < int(done.stdout) < 1 << 20  # kilobytes


def outside(own: bytes, path: Path) -> bytes:
    """Return an M4A whose sound is said to be in the file at `path`; its own is zeros."""
    name = str(path).encode()
    name += b"\0" * (len(name) % 2)
    alias = bytes(150) + struct.pack(">HH", 2, len(name)) + name + b"\xff\xff\0\0"
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias  # flag 0: elsewhere
    start = own.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", own, start)
    table = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    made = bytearray(own[:start] + table + own[start + size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):  # each holds the next
        place = made.index(box) - 4
        (old,) = struct.unpack_from(">I", made, place)
        struct.pack_into(">I", made, place, old + len(table) - size)
    sound = slice(made.index(b"mdat") + 4, made.index(b"moov") - 4)
    made[sound] = bytes(sound.stop - sound.start)
    return bytes(made)


def test_a_file_that_says_its_sound_is_in_another_file_gets_nothing_of_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret.m4a"
    secret.write_bytes(audio(tone(1.0), "m4a"))
    asking = outside(secret.read_bytes(), secret)
    # FFmpeg would do it if it were let.
    path = tmp_path / "asking.m4a"
    path.write_bytes(asking)
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as file:
        assert np.abs(next(file.decode(audio=0)).to_ndarray()).max() > 0
    with pytest.raises(InvalidRequestError):
        load_reference(asking)


@pytest.mark.parametrize(
    ("start", "container"),
    [
        (b"\0\0\0\x1cftypM4A ", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mp4"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81", "webm"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"#EXTM3U\nhttp://127.0.0.1/", None),
        (b"ffconcat version 1.0\nfile ", None),
        (b"", None),
    ],
)
def test_a_container_is_known_by_its_first_bytes(start: bytes, container: str | None) -> None:
    assert recorded_container(start) == container


def test_without_pyav_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = audio(tone(1.0), "m4a")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidRequestError, match="pip install av; or use wav"):
        load_reference(data)
