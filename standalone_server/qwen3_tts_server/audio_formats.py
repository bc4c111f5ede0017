"""The formats in which speech is sent: each encoder takes PCM and gives bytes as soon as it can.

Knows nothing about requests or utterances. The compressed formats need PyAV, which is loaded with
the first of them.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
from typing import TYPE_CHECKING

import numpy as np

from qwen3_tts_live.audio import SAMPLE_RATE, PcmSamples, Resampler
from qwen3_tts_live.errors import InvalidRequestError, SpeechError

if TYPE_CHECKING:
    from av.container import OutputContainer

__all__ = ["FORMATS", "Encoder", "EventStream", "encoder_for", "pcm_encoder"]

# Name: content type, FFmpeg's names of container and codec, and what the container needs so that
# it keeps nothing back: FFmpeg collects a second of Opus in a page, and pads FLAC; MP3's and ID3's headers
# would tell a length that is not known yet.
_COMPRESSED = {
    "flac": ("audio/flac", "flac", "flac", {"metadata_header_padding": "0"}),
    "opus": ("audio/ogg", "ogg", "libopus", {"page_duration": "20000"}),
    "mp3": ("audio/mpeg", "mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
    "aac": ("audio/aac", "adts", "aac", {}),
}
#: Every name of a format.
FORMATS = ("pcm", "wav", *_COMPRESSED)

_UNKNOWN_SIZE = 0xFFFFFFFF  # how a WAV says that it goes on until it ends


class Encoder:
    """Raw PCM: 16 bits, little endian, 24 kHz, mono, whole samples. The base of the others."""

    content_type = f"audio/pcm;rate={SAMPLE_RATE}"

    def encode(self, samples: PcmSamples) -> bytes:
        """Return what can be sent after `samples`; it may be empty."""
        return samples.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        """Return what belongs at the end."""
        return b""

    def fail(self, error: SpeechError) -> bytes:
        """Return what says that the speech broke off, where the format has a way to say it."""
        return b""

    def close(self) -> None:
        """Release everything. May be called twice."""


class _Resampled(Encoder):
    """PCM at another rate."""

    def __init__(self, rate: int) -> None:
        self.content_type = f"audio/pcm;rate={rate}"
        self._resampler = Resampler(SAMPLE_RATE, rate)

    def encode(self, samples: PcmSamples) -> bytes:
        return super().encode(self._resampler.push(samples))

    def finish(self) -> bytes:
        return super().encode(self._resampler.push(np.empty(0, np.int16), last=True))


class _Wav(Encoder):
    """A header that leaves the sizes open, then PCM."""

    content_type = "audio/wav"

    def __init__(self) -> None:
        self._header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", _UNKNOWN_SIZE, b"WAVE", b"fmt ", 16),
            *(1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16),  # PCM, mono, ..., bits
            *(b"data", _UNKNOWN_SIZE),
        )

    def encode(self, samples: PcmSamples) -> bytes:
        header, self._header = self._header, b""
        return header + super().encode(samples)

    def finish(self) -> bytes:
        return self._header  # where there was nothing to say


class _Compressed(Encoder):
    """A stream that FFmpeg encodes, a few packets behind what it was given."""

    def __init__(self, name: str) -> None:
        import av  # 50 ms, and only here

        self.content_type, container, codec, options = _COMPRESSED[name]
        self._out = _Buffer()
        self._container: OutputContainer = av.open(
            self._out, "w", format=container, container_options=options | {"flush_packets": "1"}
        )
        stream = self._container.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if name == "flac":
            self._stream.format = "s16"  # its first choice would be 32 bits
        self._frame = av.AudioFrame.from_ndarray
        self._position = 0

    def encode(self, samples: PcmSamples) -> bytes:
        frame = self._frame(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._position
        self._position += len(samples)
        self._container.mux(self._stream.encode(frame))
        return self._out.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._out.take()

    def close(self) -> None:
        self._container.close()


class _Buffer:
    """Where FFmpeg writes. It cannot seek, so nothing that was sent is changed afterwards."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class EventStream(Encoder):
    """Server-sent events as OpenAI names them, around another encoder.

    Args:
        inner: what encodes the audio in them.
    """

    content_type = "text/event-stream"

    def __init__(self, inner: Encoder) -> None:
        self._inner = inner

    def encode(self, samples: PcmSamples) -> bytes:
        """Return an event with the audio, if there is any yet."""
        return self._delta(self._inner.encode(samples))

    def finish(self) -> bytes:
        """Return the rest of the audio and the event that ends it."""
        # Nothing here is counted in tokens, but clients expect the numbers to be there.
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        last = self._delta(self._inner.finish())
        return last + _event({"type": "speech.audio.done", "usage": usage})

    def fail(self, error: SpeechError) -> bytes:
        """Return an event with the error."""
        body = {"message": error.message, "type": "server_error", "code": error.code, "param": None}
        return _event({"type": "speech.audio.error", "error": body})

    def close(self) -> None:
        """Close the inner encoder."""
        self._inner.close()

    @staticmethod
    def _delta(audio: bytes) -> bytes:
        if not audio:
            return b""
        return _event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def pcm_encoder(rate: int) -> Encoder:
    """Return a new encoder of PCM with `rate` samples a second."""
    return Encoder() if rate == SAMPLE_RATE else _Resampled(rate)


def encoder_for(name: str) -> Encoder:
    """Return a new encoder of the format `name`.

    Raises:
        InvalidRequestError: there is no such format, or not in this installation.
    """
    if name == "pcm":
        return Encoder()
    if name == "wav":
        return _Wav()
    if name not in _COMPRESSED:
        known = ", ".join(FORMATS)
        raise InvalidRequestError(f"unknown response_format {name[:20]!r}; known: {known}")
    if importlib.util.find_spec("av") is None:
        raise InvalidRequestError(
            f"{name} needs PyAV on the server: pip install av; or ask for wav"
        )
    return _Compressed(name)
