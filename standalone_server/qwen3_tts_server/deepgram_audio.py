"""What audio a Deepgram client asks for in its query: encoding, container, sample_rate, bit_rate.

Knows nothing about speech or requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qwen3_tts_live.audio import SAMPLE_RATE
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_server.audio_formats import Encoder, encoder_for
from qwen3_tts_server.problems import FieldError

__all__ = ["BARE", "BIT_RATES", "ENCODINGS", "LINEAR_RATES", "Audio"]

LINEAR_RATES = (8_000, 16_000, 24_000, 32_000, 48_000)
_OPUS_RATES = (8_000, 16_000, 24_000, 48_000)
#: Our names of the formats, by encoding and container; the first container is the default.
ENCODINGS = {
    "linear16": {"wav": "wav", "none": "pcm"},
    "mulaw": {"wav": "mulaw-wav", "none": "mulaw"},
    "alaw": {"wav": "alaw-wav", "none": "alaw"},
    "mp3": {"none": "mp3"},
    "opus": {"ogg": "opus"},
    "flac": {"none": "flac"},
    "aac": {"none": "aac"},
}
_TELEPHONE = ("mulaw", "alaw")
#: What a WebSocket can carry: bare samples, so that any message may be played or dropped.
BARE = ("linear16", *_TELEPHONE)
#: Bits a second. Encoders take the nearest that they have; libopus fails above.
BIT_RATES = (4_000, 256_000)
_WITH_BIT_RATE = ("mp3", "opus", "aac")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """A format, a rate in samples a second, and bits a second where they were chosen."""

    format: str
    rate: int
    bit_rate: int | None = None

    @classmethod
    def of_file(cls, query: Mapping[str, str]) -> Audio:
        """Read what POST /v1/speak answers with.

        Raises:
            FieldError: it cannot be had.
        """
        encoding = _choice(query, "encoding", "mp3", tuple(ENCODINGS))
        containers = ENCODINGS[encoding]
        container = _choice(query, "container", next(iter(containers)), tuple(containers))
        return cls(
            format=containers[container],
            rate=_rate(query, encoding),
            bit_rate=_bit_rate(query, encoding),
        )

    @classmethod
    def of_socket(cls, query: Mapping[str, str]) -> Audio:
        """Read what WS /v1/speak sends.

        Raises:
            FieldError: it cannot be had.
        """
        encoding = _choice(query, "encoding", "linear16", BARE)
        _choice(query, "container", "none", ("none",))
        return cls(format=ENCODINGS[encoding]["none"], rate=_rate(query, encoding))

    def encoder(self) -> Encoder:
        """Return a new encoder.

        Raises:
            FieldError: this installation has none for the format.
        """
        try:
            return encoder_for(self.format, rate=self.rate, bit_rate=self.bit_rate)
        except InvalidRequestError as error:
            raise FieldError("encoding", error.message) from error


def _choice(query: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    value = query.get(name, default).lower()
    if value not in known:
        raise FieldError(name, f"{name} is {value[:20]!r}; known here: {', '.join(known)}")
    return value


def _rate(query: Mapping[str, str], encoding: str) -> int:
    rates = _OPUS_RATES if encoding == "opus" else LINEAR_RATES
    default = rates[0] if encoding in _TELEPHONE else SAMPLE_RATE
    rate = _number(query, "sample_rate")
    if rate is not None and rate not in rates:
        raise FieldError("sample_rate", f"sample_rate of {encoding} must be one of {rates}")
    return rate or default


def _bit_rate(query: Mapping[str, str], encoding: str) -> int | None:
    rate = _number(query, "bit_rate")
    least, most = BIT_RATES
    if rate is not None and encoding not in _WITH_BIT_RATE:
        raise FieldError("bit_rate", f"{encoding} has no choice of bit_rate; leave it out")
    if rate is not None and not least <= rate <= most:
        raise FieldError("bit_rate", f"bit_rate must be {least} to {most} bits a second")
    return rate


def _number(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    text = query[name].removesuffix(".0")  # Deepgram's SDK has them as floats
    if not (text.isdecimal() and len(text) < 10):
        raise FieldError(name, f"{name} must be a whole number; it is {text[:20]!r}")
    return int(text)
