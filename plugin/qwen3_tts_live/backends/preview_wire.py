"""The pipe between the embedded voice and its worker process: message kinds and layouts.

    to the worker    u32 length, JSON {"text", "voice"}; length 0 stops the current segment
    from the worker  kind (1 byte), u32 length, payload

End of file on the worker's stdin ends it, also in the middle of a segment.
"""

from __future__ import annotations

import struct

WORKER_MODULE = "qwen3_tts_live.backends.preview_worker"

LENGTH = struct.Struct("<I")
HEADER = struct.Struct("<cI")
WORD = struct.Struct("<IIII")  # text_start, text_end (characters), start, end (samples)

READY = b"R"  # no payload
WORD_PLACED = b"W"  # WORD; comes before the word's audio
PCM = b"P"  # int16 little-endian, mono, 24 kHz
DONE = b"D"  # no payload; also after a stop
ERROR = b"E"  # in place of READY or DONE: a message
