"""The process that holds eSpeak NG: one segment at a time, in over stdin, out over stdout.

eSpeak NG keeps its state in globals and is under the GPL, so it lives in a process of its own
that the library talks to over two pipes; see `preview_wire.py` for the messages. Knows nothing
about sessions, utterances or asyncio.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any

import espeakng_loader
import numpy as np

from qwen3_tts_live.audio import SAMPLE_RATE, PcmSamples, Resampler
from qwen3_tts_live.backends import preview_wire as wire

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: the callback runs inside espeak_Synth
_DO_NOT_EXIT = 0x8000  # initialisation option: return an error, never exit()
_UTF8 = 1
_EVENT_END_OF_LIST, _EVENT_WORD = 0, 1
# Milliseconds of audio a callback. Each one is a chance to stop; eSpeak makes 20 ms of audio in
# some 20 microseconds, so smaller ones would only cost calls.
_BUFFER_MS = 20


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h; `sample` counts from the start of the segment."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def send(kind: bytes, payload: bytes = b"") -> None:
    """Write one message to stdout, whole."""
    view = memoryview(wire.HEADER.pack(kind, len(payload)) + payload)
    while view:
        view = view[os.write(1, view) :]


def receive() -> bytes | None:
    """Read one message from stdin; None at its end."""
    header = _read_exactly(wire.LENGTH.size)
    return None if header is None else _read_exactly(wire.LENGTH.unpack(header)[0])


def _read_exactly(size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            return None
        data += more
    return data


class Speech:
    """The output of one segment: resampled, and each word announced before its audio.

    A word ends, in text and in sound, where the next one starts, so audio is held back until
    that is known: some 10 microseconds of work, for marks that are never wrong.

    Args:
        source_rate: samples a second that eSpeak makes.
        text_length: characters of the segment.
    """

    def __init__(self, source_rate: int, text_length: int) -> None:
        self._ratio = SAMPLE_RATE / source_rate
        self._resampler = Resampler(source_rate)
        self._text_length = text_length
        self._held: list[PcmSamples] = []
        self._held_start = 0  # position of the first held sample
        self._word = (0, 0)  # text_start, start
        self._word_stop = 0  # where the word's own letters end

    def word(self, text_start: int, text_end: int, sample: int) -> None:
        """Take the start of a word; parts of one word (of "2025") count as that word."""
        if text_start < self._word_stop:
            return
        start = round(sample * self._ratio)
        self._end_word(text_start, start)
        self._word, self._word_stop = (text_start, start), text_end

    def audio(self, samples: PcmSamples, *, last: bool = False) -> None:
        """Take more audio at the source's rate."""
        self._held.append(self._resampler.push(samples, last=last))
        if last:
            self._end_word(self._text_length, self._held_start + sum(map(len, self._held)))

    def _end_word(self, text_end: int, end: int) -> None:
        text_start, start = self._word
        if text_end > text_start:
            send(wire.WORD_PLACED, wire.WORD.pack(text_start, text_end, start, end))
        held = np.concatenate([*self._held, np.empty(0, np.int16)])
        # What lies beyond `end` belongs to the next word. The resampler may still owe some of
        # this word's audio; it goes out with the next word's, after that one was announced.
        ready = held[: max(0, end - self._held_start)]
        self._held = [held[len(ready) :]]
        self._held_start += len(ready)
        if len(ready):
            send(wire.PCM, ready.astype("<i2").tobytes())


class Voice:
    """eSpeak NG, initialised."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        self._lib.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        )
        data = os.fsencode(espeakng_loader.get_data_path())
        self._rate = self._lib.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, _DO_NOT_EXIT)
        if self._rate <= 0:
            raise OSError(f"eSpeak NG could not read its data at {os.fsdecode(data)}")
        self._speech: Speech | None = None
        self._callback = _Callback(self._on_audio)  # kept: eSpeak holds only the pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str) -> None:
        """Synthesize `text`, sending words and audio as they come."""
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        speech = self._speech = Speech(self._rate, len(text))
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, _UTF8, None, None)
        speech.audio(np.empty(0, np.int16), last=True)

    def _on_audio(self, wav: Any, count: int, events: object) -> int:
        """Take one buffer; a result of 1 makes eSpeak stop."""
        speech = self._speech
        if speech is None or _stop_asked():
            return 1
        index = 0
        while (event := events[index]).type != _EVENT_END_OF_LIST:  # type: ignore[index]  # a C array
            if event.type == _EVENT_WORD:
                start = event.text_position - 1
                speech.word(start, start + event.length, event.sample)
            index += 1
        if count:
            # Not `np.ctypeslib.as_array`: ctypes keeps a type for every length that it has seen.
            speech.audio(np.frombuffer(ctypes.string_at(wav, 2 * count), np.int16))
        return 0


def _stop_asked() -> bool:
    """Whether stdin holds something: a stop, or its end. Requests never come in the middle."""
    return bool(select.select([0], [], [], 0)[0])


def main() -> int:
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes stdin
    try:
        voice = Voice()
    except OSError as error:
        send(wire.ERROR, str(error).encode())
        return 1
    send(wire.READY)
    while (message := receive()) is not None:
        if not message:
            continue  # a stop that came when its segment had just ended
        request = json.loads(message)
        try:
            voice.speak(request["text"], request["voice"])
        except ValueError as error:
            send(wire.ERROR, str(error).encode())
        else:
            send(wire.DONE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
