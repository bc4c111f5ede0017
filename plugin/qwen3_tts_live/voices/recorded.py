"""What phones and browsers record: MP4 (m4a, mov, 3gp) and WebM, which libsndfile does not read.

Each file is decoded by PyAV in a process of its own; see `decoding.py` for why. Knows nothing about
what a reference may be: the limits are passed in.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qwen3_tts_live.errors import InvalidRequestError

__all__ = ["RecordedLimits", "decode", "recorded_container"]

logger = logging.getLogger(__name__)

# Far above what a file within the limits takes, also on a machine that is busy.
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RecordedLimits:
    """What may be decoded: seconds, samples a second, channels, and samples of all channels."""

    seconds: float
    least_rate: int
    most_rate: int
    most_channels: int
    most_samples: int


def recorded_container(start: bytes) -> str | None:
    """Return the container, mp4 or webm, of a file that begins like this; None if neither."""
    if start[4:8] == b"ftyp":
        return "mp4"
    return "webm" if start.startswith(b"\x1aE\xdf\xa3") else None


def decode(
    data: bytes, container: str, name: str, limits: RecordedLimits
) -> tuple[NDArray[np.float32], int, int]:
    """Return the first audio stream as (n, channels) float32, its rate, and its length in samples.

    The length is what the file says, and the samples are none, where it is over a limit.

    Args:
        data: the file.
        container: what `recorded_container` says it is.
        name: what to call it in errors.
        limits: of what is decoded.

    Raises:
        InvalidRequestError: it cannot be decoded, or PyAV is not installed.
    """
    if importlib.util.find_spec("av") is None:
        raise InvalidRequestError(
            f"{name} is {container}, which needs PyAV: pip install av; or use wav, flac, ogg or mp3"
        )
    program = str(Path(__file__).with_name("decoding.py"))
    command = [sys.executable, "-I", program, container, *map(str, astuple(limits))]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _unreadable(name, "it takes too long") from error
    head, _, samples = done.stdout.partition(b"\n")
    if done.returncode:
        logger.info("%s ended the decoder: %s", name, done.stderr.decode(errors="replace")[-300:])
        raise _unreadable(name, "it is damaged, or takes too much memory or time")
    about = json.loads(head)
    if "error" in about:
        raise _unreadable(name, about["error"])
    array = np.frombuffer(samples, np.float32).reshape(-1, max(1, about["channels"]))
    return array, about["rate"], about["count"]


def _unreadable(name: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} cannot be read as audio ({reason}); use wav, flac, ogg, mp3, m4a or webm"
    )
