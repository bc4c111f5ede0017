"""The formats in which speech is sent: each encoder takes PCM and gives bytes as soon as it can.

Knows nothing about requests or utterances. All but plain PCM need PyAV, which is loaded with the
first of them.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from qwen3_tts_live.audio import SAMPLE_RATE, PcmSamples, Resampler
from qwen3_tts_live.errors import InvalidRequestError, SpeechError

if TYPE_CHECKING:
    from av.container import OutputContainer

__all__ = ["CONTENT_TYPES", "FORMATS", "Encoder", "EventStream", "encoder_for"]

Format = Literal["pcm", "wav", "flac", "opus", "mp3", "aac"]
#: The names of the formats that are there at 24 kHz; the laws are for other rates.
FORMATS: tuple[Format, ...] = get_args(Format)

# Name: content type, FFmpeg's names of container and codec, and what the container needs so that
# it keeps nothing back: FFmpeg collects a second of Opus in a page, and pads FLAC; MP3's and ID3's headers
# would tell a length that is not known yet. The laws are those of G.711, which telephones speak.
_COMPRESSED = {
    "flac": ("audio/flac", "flac", "flac", {"metadata_header_padding": "0"}),
    "opus": ("audio/ogg", "ogg", "libopus", {"page_duration": "20000"}),
    "mp3": ("audio/mpeg", "mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
    "aac": ("audio/aac", "adts", "aac", {}),
}
_LAWS = {
    "mulaw": ("audio/mulaw", "mulaw", "pcm_mulaw", {}),
    "alaw": ("audio/alaw", "alaw", "pcm_alaw", {}),
    "mulaw-wav": ("audio/wav", "wav", "pcm_mulaw", {"fflags": "bitexact"}),
    "alaw-wav": ("audio/wav", "wav", "pcm_alaw", {"fflags": "bitexact"}),
}
#: What they are in a Content-Type.
CONTENT_TYPES = (
    f"audio/pcm;rate={SAMPLE_RATE}",
    "audio/wav",
    *(kind for kind, *_ in _COMPRESSED.values()),
)

_UNKNOWN_SIZE = 0xFFFFFFFF  # how a WAV says that it goes on until it ends


class Encoder:
    """Raw PCM: 16 bits, little endian, mono, whole samples. The base of the others.

    Args:
        rate: samples a second of what it is given, and gives.
    """

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self.content_type = f"audio/pcm;rate={rate}"

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
    """Another encoder, at a rate that is not ours."""

    def __init__(self, inner: Encoder, rate: int) -> None:
        self.content_type = inner.content_type
        self._inner = inner
        self._resampler = Resampler(SAMPLE_RATE, rate)

    def encode(self, samples: PcmSamples) -> bytes:
        return self._inner.encode(self._resampler.push(samples))

    def finish(self) -> bytes:
        tail = self._resampler.push(np.empty(0, np.int16), last=True)
        return self._inner.encode(tail) + self._inner.finish()

    def close(self) -> None:
        self._inner.close()


class _Wav(Encoder):
    """A header that leaves the sizes open, then PCM."""

    def __init__(self, rate: int) -> None:
        self.content_type = "audio/wav"
        self._header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", _UNKNOWN_SIZE, b"WAVE", b"fmt ", 16),
            *(1, 1, rate, rate * 2, 2, 16),  # PCM, mono, ..., bits
            *(b"data", _UNKNOWN_SIZE),
        )

    def encode(self, samples: PcmSamples) -> bytes:
        header, self._header = self._header, b""
        return header + super().encode(samples)

    def finish(self) -> bytes:
        return self._header  # where there was nothing to say


class _Compressed(Encoder):
    """A stream that FFmpeg encodes, a few packets behind what it was given."""

    def __init__(self, name: str, rate: int, bit_rate: int | None) -> None:
        import av  # 50 ms, and only here

        self.content_type, container, codec, options = (_COMPRESSED | _LAWS)[name]
        if name in ("mulaw", "alaw"):
            self.content_type += f";rate={rate}"
        self._rate = rate
        self._out = _Buffer()
        self._container: OutputContainer = av.open(
            self._out, "w", format=container, container_options=options | {"flush_packets": "1"}
        )
        stream = self._container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        if name == "flac":
            self._stream.format = "s16"  # its first choice would be 32 bits
        self._frame = av.AudioFrame.from_ndarray
        self._position = 0

    def encode(self, samples: PcmSamples) -> bytes:
        if not len(samples):
            return b""
        frame = self._frame(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = self._rate
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

    def __init__(self, inner: Encoder) -> None:
        self.content_type = "text/event-stream"
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


def encoder_for(name: str, *, rate: int = SAMPLE_RATE, bit_rate: int | None = None) -> Encoder:
    """Return a new encoder of speech, which is given at 24 kHz.

    Args:
        name: one of `FORMATS`, or `mulaw`, `alaw`, `mulaw-wav`, `alaw-wav`.
        rate: samples a second of what it gives.
        bit_rate: bits a second, for formats that have a choice; None for the codec's own.

    Raises:
        InvalidRequestError: there is no such format, or not in this installation.
    """
    if name == "pcm":
        encoder = Encoder(rate)
    elif name == "wav":
        encoder = _Wav(rate)
    elif name not in _COMPRESSED | _LAWS:
        known = ", ".join(FORMATS)
        raise InvalidRequestError(f"unknown response_format {name[:20]!r}; known: {known}")
    elif importlib.util.find_spec("av") is None:
        raise InvalidRequestError(
            f"{name} needs PyAV on the server: pip install av; or ask for wav"
        )
    else:
        encoder = _Compressed(name, rate, bit_rate)
    return encoder if rate == SAMPLE_RATE else _Resampled(encoder, rate)
