"""What each route is for, what it takes and what it answers, as OpenAPI has it.

Where a schema belongs stands the model that is meant. Knows nothing of how routes work.
"""

from __future__ import annotations

import re

from qwen3_tts_live import wire
from qwen3_tts_server.about import Health, Info, Ready
from qwen3_tts_server.openapi_drop_ins import drop_ins
from qwen3_tts_server.openapi_parts import (
    ADDING,
    CLIENT_IDS,
    MODEL,
    RECORDING,
    REMOVED,
    REMOVING,
    TRANSCRIPT,
    VOICE_NAME,
    Part,
    answer,
    delete,
    form_body,
    get,
    header,
    json_answer,
    json_body,
    parameter,
    post,
    upgrade,
)
from qwen3_tts_server.speech import Interrupted, InterruptRequest, StreamRequest
from qwen3_tts_server.text import Segment, Segments, TextRequest
from qwen3_tts_server.voices import ListedVoice, VoiceAdded, VoiceList, VoiceRemoved

__all__ = ["TAGS", "paths"]

TAGS = {
    "Speech": "What most clients need.",
    "Voices": "Voices come and go while the server runs, where the engine can clone.",
    "OpenAI": "For clients of OpenAI's speech API.",
    "Deepgram": "For clients of Deepgram's speech API.",
    "vLLM-Omni": "For clients of vLLM-Omni's speech API.",
    "Server": "How it is, and how it is used.",
}


def paths() -> dict[str, dict[str, Part]]:
    """Return every route's operations, by path and method."""
    found = _speech() | _voices() | drop_ins() | _server()
    for path, methods in found.items():
        for method, operation in methods.items():
            operation["operationId"] = re.sub(r"\W+", "_", method + path).strip("_")
    return found


def _speech() -> dict[str, dict[str, Part]]:
    hello = {"text": "Hello world.", "language": "English", "client_id": "user_123"}
    read = {"text": "It costs $5.", "normalize": {"lexicon": {"$5": "five bucks"}}}
    interrupted = Interrupted(status="interrupted", client_id="user_123", stopped=1, flushed=3)
    segment = Segment(raw="It costs $5.", spoken="It costs five dollars.", language="English")
    return {
        "/tts/stream": post(
            "Speech",
            "Speak a text",
            "The audio comes while it is made: 16-bit signed little-endian samples, 24,000 a "
            "second, mono. Requests of one client play one after another; one that waits is "
            "answered at once, and its body begins when its turn comes. A body that breaks off "
            "without its end means that the speech failed in the middle.",
            body=json_body(StreamRequest, {"A text": hello, "Read in another way": read}),
            parameters=CLIENT_IDS,
            answers={
                200: answer(
                    "The audio. RFC 2586 would mean big-endian by this name; `X-Audio-Format` is "
                    "exact.",
                    {"audio/l16;rate=24000": {}},
                    {
                        "X-Audio-Format": {"schema": {"const": "s16le"}, "required": True},
                        "X-Queue-Position": {
                            "description": "How many of the client's requests come first.",
                            "schema": {"type": "integer", "minimum": 0},
                            "required": True,
                        },
                    },
                )
            },
        ),
        "/tts/interrupt": post(
            "Speech",
            "Stop a client's speech",
            "Stops what plays and flushes what waits. When the answer comes, the work has ended. "
            "Requests that come after it are not touched. A player drops its own buffer without "
            "waiting for the answer.",
            body=json_body(
                InterruptRequest, {"By body": {"client_id": "user_123"}}, required=False
            ),
            parameters=CLIENT_IDS,
            answers={200: json_answer("What it ended.", interrupted)},
        ),
        "/tts/text": post(
            "Speech",
            "Show what would be said",
            body=json_body(TextRequest, {"A text": {"text": "It costs $5.", "language": "en"}}),
            answers={200: json_answer("The segments.", Segments(segments=[segment]))},
            speaks=False,
        ),
        wire.PATH: upgrade(
            "Speech",
            "A WebSocket: many sessions on one connection",
            "Live text in, audio and word marks out, interrupts in between: this project's own "
            "protocol, described in docs/protocol.md. The WebUI, the Pipecat service and the "
            "LiveKit plugin speak it.",
            [
                header(
                    "Sec-WebSocket-Protocol",
                    "The protocol's name and version.",
                    {"type": "string", "const": wire.SUBPROTOCOL},
                    required=True,
                )
            ],
        ),
    }


def _voices() -> dict[str, dict[str, Part]]:
    reference = ListedVoice(name="reference", default=True, removable=False)
    upload = form_body(
        {"name": "anna", "file": "anna.wav", "text": "What the recording says."},
        name=VOICE_NAME,
        file=RECORDING,
        text=TRANSCRIPT,
    )
    return {
        "/tts/voices": get(
            "Voices",
            "List the voices",
            answers={200: json_answer("All voices.", VoiceList(voices=[reference], can_add=True))},
        )
        | post(
            "Voices",
            "Add a voice from a recording",
            "When the answer comes, the voice can be asked for by its name on every route, and it "
            "is there again after a restart. The audio is not kept.",
            body=upload,
            answers={201: json_answer("The voice is there.", VoiceAdded(name="anna"))},
            fails=ADDING,
        ),
        "/tts/voices/{name}": delete(
            "Voices",
            "Remove a voice that was added",
            "What was asked for with it before goes on with it.",
            parameters=[REMOVED],
            answers={200: json_answer("The voice is gone.", VoiceRemoved(name="anna"))},
            fails=REMOVING,
        ),
    }


def _server() -> dict[str, dict[str, Part]]:
    info = Info(
        model=MODEL,
        sample_rate=24000,
        languages=["Auto", "Chinese", "English"],
        voices=["reference"],
        active=1,
        queued=0,
        clients=1,
    )
    name = parameter(
        "path", "name", "Its name.", {"type": "string"}, required=True, example="app.js"
    )
    page: Part = {"text/html": {}}
    return {
        "/health": get(
            "Server",
            "Whether the process lives",
            answers={
                200: json_answer("It does.", Health(status="loading")),
                503: json_answer("Only a restart can help.", Health(status="stalled")),
            },
            public=True,
            any_host=True,
        ),
        "/ready": get(
            "Server",
            "Whether it takes requests",
            "Not while the model loads, when the server is shutting down, when the engine has "
            "died, or when it has work and made no step for 30 s.",
            answers={
                200: json_answer("It does.", Ready(model=MODEL)),
                503: json_answer("It does not.", Health(status="loading")),
            },
            public=True,
            any_host=True,
        ),
        "/info": get(
            "Server",
            "What speaks, and what it does now",
            answers={200: json_answer("As of now.", info)},
        ),
        "/metrics": get(
            "Server",
            "Numbers for Prometheus",
            answers={
                200: answer("They are described in the text.", {"text/plain;version=0.0.4": {}})
            },
            speaks=False,
        ),
        "/openapi.json": get(
            "Server",
            "This document",
            answers={200: answer("OpenAPI 3.1.", {"application/json": {}})},
            public=True,
        ),
        "/docs": get(
            "Server",
            "This document as a page",
            answers={200: answer("The page.", page)},
            public=True,
        ),
        "/": get("Server", "The WebUI", answers={200: answer("The page.", page)}, public=True),
        "/static/{name}": get(
            "Server",
            "A file of the pages",
            parameters=[name],
            answers={200: answer("The file.", {"*/*": {}})},
            fails=(404,),
            public=True,
        ),
    }
