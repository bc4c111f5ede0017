"""Reference audio for cloning: any usual file or an array in, 24 kHz mono float32 out.

Everything that can be wrong with it is found here, before a model sees it, and before more than
a header is read where a header is enough. Knows nothing about models.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.voices.recorded import RecordedLimits, decode, recorded_container

__all__ = ["MAX_SECONDS", "MIN_SECONDS", "AudioSource", "load_reference", "with_silence"]

#: A file's path, a whole file, or samples of shape (n,) or (n, channels) with their rate.
AudioSource: TypeAlias = str | Path | bytes | tuple[NDArray[np.float32] | NDArray[np.int16], int]

#: Less than half a second tells a voice from no other.
MIN_SECONDS = 0.5
#: A minute is more than an embedding needs, and as a reference it is 750 rows of every prompt.
MAX_SECONDS = 60.0

# Below telephone quality there is no voice left to clone; above studio rates the number is wrong.
_RATES = (4_000, 384_000)
_MOST_CHANNELS = 16
# Samples of all channels: a minute of stereo at 96 kHz. A few kilobytes of FLAC may hold hours.
_MOST_SAMPLES = 60 * 2 * 96_000
# How the files begin that are taken, with the place of those bytes. libsndfile reads many more
# formats, old and rarely fuzzed, which no client has to reach.
_CONTAINERS = ((0, b"RIFF"), (0, b"RF64"), (0, b"fLaC"), (0, b"OggS"), (0, b"ID3"), (8, b"AIFF"))
# A louder peak than this is speech; recordings that are silent by mistake stay far below.
_SILENT_PEAK = 1e-3
# After the reference in a prompt: without it the model repeats the reference's last second.
_SILENCE_SECONDS = 0.5
_RECORDED_LIMITS = RecordedLimits(MAX_SECONDS, *_RATES, _MOST_CHANNELS, _MOST_SAMPLES)


def load_reference(source: AudioSource) -> NDArray[np.float32]:
    """Return the reference as (n,) float32 mono at 24 kHz, in [-1, 1].

    Raises:
        InvalidRequestError: it cannot be read, is too short, too long, silent, or not audio.
    """
    if isinstance(source, tuple):
        samples, rate = source
        _check_shape(len(samples), rate, 1 if samples.ndim == 1 else samples.shape[1])
    elif isinstance(source, bytes):
        samples, rate = _read_bytes(source)
    else:
        path = Path(source)
        if not path.is_file():
            raise InvalidRequestError(f"no reference audio at {path}")
        samples, rate = _read_path(path)
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32768.0
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise InvalidRequestError("the reference audio holds values that are not numbers")
    resampled: NDArray[np.float32] = soxr.resample(mono.astype(np.float32), rate, SAMPLE_RATE)
    if np.abs(resampled).max(initial=0.0) < _SILENT_PEAK:
        raise InvalidRequestError("the reference audio is silent; record it again")
    return np.clip(resampled, -1.0, 1.0)


def with_silence(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n,) samples at 24 kHz with the silence that ends a reference in a prompt."""
    return np.pad(samples, (0, int(_SILENCE_SECONDS * SAMPLE_RATE)))


class _Bytes(io.BytesIO):
    """A file in memory that answers a seek before its beginning as a file on disk does."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        # Damaged files make libsndfile ask for that, through a callback that may not raise.
        start = {io.SEEK_CUR: self.tell(), io.SEEK_END: len(self.getbuffer())}.get(whence, 0)
        return super().seek(max(0, start + offset))


def _is_audio(data: bytes) -> bool:
    if any(data.startswith(magic, place) for place, magic in _CONTAINERS):
        return True
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0  # an MPEG frame


def _read_bytes(data: bytes) -> tuple[NDArray[np.float32], int]:
    name = "the recording"
    if container := recorded_container(data):
        return _decode(data, container, name)
    if not _is_audio(data):
        raise InvalidRequestError(
            f"{name} is not a file of a known kind; use wav, flac, ogg, mp3, aiff, m4a or webm"
        )
    return _read(_Bytes(data), name)


def _read_path(path: Path) -> tuple[NDArray[np.float32], int]:
    with path.open("rb") as file:
        container = recorded_container(file.read(12))
    if container:
        return _decode(path.read_bytes(), container, path.name)
    return _read(str(path), path.name)


def _decode(data: bytes, container: str, name: str) -> tuple[NDArray[np.float32], int]:
    samples, rate, count = decode(data, container, name, _RECORDED_LIMITS)
    _check_shape(count, rate, samples.shape[1])
    return samples, rate


def _read(file: str | io.BytesIO, name: str) -> tuple[NDArray[np.float32], int]:
    try:
        info = soundfile.info(file)
        _check_shape(info.frames, info.samplerate, info.channels)
        if isinstance(file, io.BytesIO):
            file.seek(0)
        # A header may lie about the length: no more than the limit is decoded.
        most = int(MAX_SECONDS * info.samplerate) + 1
        samples, rate = soundfile.read(file, frames=most, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise InvalidRequestError(
            f"{name} cannot be read as audio ({error.error_string}); use wav, flac, ogg or mp3"
        ) from error
    _check_shape(len(samples), rate, info.channels)
    return samples, rate


def _check_shape(count: int, rate: int, channels: int) -> None:
    if not _RATES[0] <= rate <= _RATES[1]:
        raise InvalidRequestError(f"reference audio at {rate} samples a second is not usable")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise InvalidRequestError(f"reference audio with {channels} channels is not usable")
    if not MIN_SECONDS <= count / rate <= MAX_SECONDS:
        raise InvalidRequestError(
            f"the reference audio is {count / rate:.2f} s long; "
            f"{MIN_SECONDS:g} to {MAX_SECONDS:g} s are usable, 5 to 15 s are best"
        )
    if count * channels > _MOST_SAMPLES:
        raise InvalidRequestError(
            f"reference audio of {channels} channels at {rate} Hz and {count / rate:.0f} s "
            "is too much; use mono at 48 kHz or below"
        )
