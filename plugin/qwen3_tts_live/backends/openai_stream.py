"""What a /v1/audio/speech server sends, turned into samples, however the network cuts it.

Pure: bytes in, samples out. Knows nothing about connections or requests.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from qwen3_tts_live.audio import SAMPLE_RATE, PcmSamples, Resampler
from qwen3_tts_live.errors import BackendCrashedError, BackendError

__all__ = ["Decoder", "decoder_for"]

_PCM_TYPES = ("audio/pcm", "audio/l16", "audio/x-raw", "audio/raw", "application/octet-stream")
_RATES = range(8_000, 192_001)
# A server that sends an endless line must not fill this process; ten minutes of audio are 38 MB.
_MAX_EVENT = 64 << 20


class Decoder(Protocol):
    """Takes the body as it comes."""

    def push(self, data: bytes) -> Iterator[PcmSamples]:
        """Yield the audio that `data` completes, at 24 kHz.

        Raises:
            BackendError: the server says that it failed, or makes no sense.
        """
        ...

    def end(self) -> Iterator[PcmSamples]:
        """Yield what is left when the body has ended.

        Raises:
            BackendCrashedError: it ended too early.
        """
        ...


def decoder_for(content_type: str, headers: Mapping[str, str]) -> Decoder:
    """Return a decoder for an answer with these headers.

    Args:
        content_type: the value of Content-Type, with its parameters.
        headers: all headers, by names whose case does not matter.

    Raises:
        BackendError: it is nothing that can be streamed as PCM; the message says what it is.
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    values = dict(part.split("=", 1) for part in parameters if "=" in part)
    pcm = _Pcm(_rate(values.get("rate") or headers.get("X-Sample-Rate")))
    if values.get("channels", headers.get("X-Channels", "1")) != "1":
        raise BackendError("the server sends more than one channel; it must send mono")
    if kind == "text/event-stream":
        return _Events(pcm)
    if kind not in _PCM_TYPES:
        raise BackendError(
            f"the server sends {kind[:60] or 'no content type'}; it must send raw PCM "
            "(audio/pcm) or events (text/event-stream)"
        )
    return pcm


def _rate(text: str | None) -> int:
    if text is None:
        return SAMPLE_RATE
    rate = int(text) if text.isascii() and text.isdigit() else 0
    if rate not in _RATES:
        raise BackendError(f"the server sends {text[:20]!r} samples a second, which is no rate")
    return rate


class _Pcm:
    """Little-endian 16-bit samples. A byte that is half of one waits for the other half."""

    def __init__(self, rate: int) -> None:
        self._odd = b""
        self._resampler = None if rate == SAMPLE_RATE else Resampler(rate)

    def push(self, data: bytes) -> Iterator[PcmSamples]:
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.int16, copy=False)
        yield samples if self._resampler is None else self._resampler.push(samples)

    def end(self) -> Iterator[PcmSamples]:
        if self._resampler is not None:
            yield self._resampler.push(np.empty(0, np.int16), last=True)


class _Events:
    """Server-sent events with audio in base64; `pcm` takes what is in them."""

    def __init__(self, pcm: _Pcm) -> None:
        self._pcm = pcm
        self._unread = bytearray()
        self._data: list[bytes] = []  # lines of the event that is being read
        self._done = False

    def push(self, data: bytes) -> Iterator[PcmSamples]:
        searched = len(self._unread)
        self._unread += data
        if len(self._unread) > _MAX_EVENT:
            raise BackendError("the server sends an event without an end")
        *lines, rest = self._lines(searched)
        self._unread = bytearray(rest)
        for line in lines:
            yield from self._take(line)

    def _lines(self, searched: int) -> list[bytes]:
        # Only what is new can hold the end of a line, so that long lines cost no more.
        if b"\n" not in memoryview(self._unread)[searched:].tobytes():
            return [bytes(self._unread)]
        return bytes(self._unread).split(b"\n")

    def _take(self, line: bytes) -> Iterator[PcmSamples]:
        line = line.removesuffix(b"\r")
        if line.startswith(b"data:"):
            self._data.append(line.removeprefix(b"data:").strip())
        elif not line and self._data:
            body = b"\n".join(self._data)
            self._data.clear()
            yield from self._event(body)

    def _event(self, body: bytes) -> Iterator[PcmSamples]:
        if body == b"[DONE]":
            self._done = True
            return
        try:
            event = json.loads(body)
            kind = event.get("type", "")
            audio = event.get("audio") or event.get("delta") or ""
            pcm = base64.b64decode(audio, validate=True)
        except (ValueError, AttributeError, TypeError, RecursionError, binascii.Error) as error:
            raise BackendError(f"the server sends an event that makes no sense: {error}") from error
        if event.get("error"):
            raise BackendError(f"the server failed: {_told(event['error'])}")
        if kind == "speech.audio.done":
            self._done = True
        if pcm:
            yield from self._pcm.push(pcm)

    def end(self) -> Iterator[PcmSamples]:
        for line in (bytes(self._unread), b""):  # the last event may lack its empty line
            yield from self._take(line)
        if not self._done:
            raise BackendCrashedError("the server ended its events without the last one")
        yield from self._pcm.end()


def _told(error: object) -> str:
    """Return what an error of OpenAI's shape, or of any, says."""
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:300]
