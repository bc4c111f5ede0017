"""The process that decodes MP4 and WebM: a file in over stdin, its samples out over stdout.

Run as a file, by `recorded.py`. FFmpeg reads what strangers send, so it does so where it can do
nothing else: before the first byte of it is looked at, this process gives up opening files and
sockets, and takes limits on its memory and its time. An index of a few bytes may claim a billion
samples; here that ends a process that nobody misses. Knows nothing of the library.

Arguments: container, seconds, least rate, most rate, most channels, most samples. Standard output
is a line of JSON, {"rate", "channels", "count"} or {"error"}, and then (count, channels) float32.
Where the file's own numbers are over a limit, they are told and nothing is decoded.
"""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.audio.resampler import AudioResampler

# Demuxers, and what makes them leave alone what is outside the file, or repeats what is in it.
_CONTAINERS = {
    "mp4": {"enable_drefs": "0", "use_absolute_path": "0", "ignore_editlist": "1"},
    "webm": {},
}
# What phones and browsers record with. FFmpeg has hundreds more, old and rarely fuzzed.
_CODECS = (
    *("aac", "alac", "amrnb", "amrwb", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis"),
    *("pcm_s16le", "pcm_f32le", "libopencore_amrnb", "libopencore_amrwb"),
)
_MEMORY = 1 << 30  # bytes of addresses; FFmpeg's libraries alone take 200 MB of them
_SECONDS = 20  # of a processor; a minute of speech takes a fraction of one


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be decoded."""

    seconds: float
    least_rate: int
    most_rate: int
    most_channels: int
    most_samples: int  # of all channels


class Refused(Exception):
    """It is not decoded, and why."""


def lock_up() -> None:
    """Give up whatever decoding does not need."""
    # PyAV imports parts of itself when it first needs them, and then they could not be opened.
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # what is open stays so
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    if sys.platform == "linux":  # elsewhere it is not heeded, or refused
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def decode(data: bytes, container: str, limits: Limits) -> tuple[dict[str, int], bytes]:
    """Return rate, channels and count of the first audio stream, and its samples.

    Raises:
        Refused: it has none, or one of no known codec.
        av.FFmpegError, ValueError: it is damaged.
    """
    options = _CONTAINERS[container] | {"codec_whitelist": ",".join(_CODECS)}
    with av.open(io.BytesIO(data), "r", format=container, options=options) as file:
        if not file.streams.audio:
            raise Refused("it has no sound in it")
        stream = file.streams.audio[0]
        codec = stream.codec_context
        if codec.name not in _CODECS:
            raise Refused(f"its codec, {codec.name}, is none that phones or browsers record with")
        codec.thread_count = 1
        rate, channels = codec.sample_rate, codec.channels
        claimed = 0
        if stream.duration is not None and stream.time_base is not None:
            claimed = int(stream.duration * stream.time_base * rate)
        about = {"rate": rate, "channels": channels, "count": claimed}
        if (
            not limits.least_rate <= rate <= limits.most_rate
            or not 1 <= channels <= limits.most_channels
            or claimed > limits.seconds * rate
            or claimed * channels > limits.most_samples
        ):
            return about, b""
        # One more than may be, so that what is too long can be told from what is just right.
        most = min(int(limits.seconds * rate), limits.most_samples // channels) + 1
        frames = (frame for packet in file.demux(stream) for frame in packet.decode())
        samples = _taken(frames, most, channels)
    return about | {"count": len(samples) // (4 * channels)}, samples


def _taken(frames: Iterator[av.AudioFrame], most: int, channels: int) -> bytes:
    """Return at most so many samples of each channel, as interleaved float32."""
    size = 4 * channels
    resampler = AudioResampler(format="flt")  # which only changes the format
    samples = bytearray()
    for frame in frames:
        for part in resampler.resample(frame):
            if len(part.layout.channels) != channels:
                raise Refused("its number of channels changes")
            samples += memoryview(part.planes[0])[: part.samples * size]
        if len(samples) >= most * size:
            break
    return bytes(samples[: most * size])


def main() -> None:
    """Decode what comes in."""
    container, seconds, *others = sys.argv[1:]
    limits = Limits(float(seconds), *map(int, others))
    data = sys.stdin.buffer.read()
    lock_up()
    samples = b""
    about: dict[str, object]
    try:
        found, samples = decode(data, container, limits)
        about = {**found}
    except Refused as error:
        about = {"error": str(error)}
    except (av.FFmpegError, ValueError, MemoryError) as error:
        reason = error.strerror if isinstance(error, av.FFmpegError) else str(error)
        about = {"error": reason or type(error).__name__}
    sys.stdout.buffer.write(json.dumps(about).encode() + b"\n" + samples)


if __name__ == "__main__":
    main()
