"""The routes of `docs/drop-in.md` as OpenAPI has them; see `openapi_paths.py`."""

from __future__ import annotations

from collections.abc import Iterable

from qwen3_tts_server.audio_formats import CONTENT_TYPES
from qwen3_tts_server.deepgram_api import SpeakRequest
from qwen3_tts_server.deepgram_audio import BARE, BIT_RATES, ENCODINGS, LINEAR_RATES
from qwen3_tts_server.openai_api import Model, Models, SpeechRequest
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
    json_answer,
    json_body,
    one_of,
    parameter,
    post,
    query,
    upgrade,
)
from qwen3_tts_server.voices import AddedVoice, SampleAdded, SampleRemoved, VoiceNames

__all__ = ["drop_ins"]


def drop_ins() -> dict[str, dict[str, Part]]:
    """Return their operations, by path and method."""
    return _openai() | _deepgram() | _omni()


def _openai() -> dict[str, dict[str, Part]]:
    model = Model(id=MODEL, created=1767225600)
    plain = {"model": "qwen3-tts", "input": "Hello world.", "voice": "alloy"}
    events = {"input": "Hello.", "response_format": "pcm", "stream_format": "sse"}
    return {
        "/v1/audio/speech": post(
            "OpenAI",
            "Speak a text",
            "The audio comes while it is made. Fields that are not named here are ignored.",
            body=json_body(SpeechRequest, {"MP3": plain, "Events with PCM": events}),
            parameters=CLIENT_IDS,
            answers={
                200: answer(
                    "The audio, or with `stream_format: sse` events: `speech.audio.delta` with "
                    "Base64 in `audio`, then `speech.audio.done`.",
                    {kind: {} for kind in (*CONTENT_TYPES, "text/event-stream")},
                )
            },
        ),
        "/v1/models": get(
            "OpenAI",
            "List the models",
            answers={200: json_answer("The one that speaks.", Models(data=[model]))},
        ),
        "/v1/models/{model}": get(
            "OpenAI",
            "Show a model",
            parameters=[
                parameter(
                    "path",
                    "model",
                    "Its id, as GET /v1/models has it; it may hold slashes.",
                    {"type": "string"},
                    required=True,
                    example="qwen3-tts",
                )
            ],
            answers={200: json_answer("The model.", model)},
            fails=(404,),
        ),
    }


def _deepgram() -> dict[str, dict[str, Part]]:
    def asked(encodings: Iterable[str], containers: Iterable[str]) -> list[Part]:
        return [
            query(
                "model",
                "The voice. A name that is no voice of ours gets the default voice and a warning; "
                "with `--strict-voices`, a 400.",
                {"type": "string"},
            ),
            query("encoding", "How samples are written.", one_of(encodings)),
            query("container", "What is around them.", one_of(containers)),
            query(
                "sample_rate",
                "Samples a second: 24000 if absent, 8000 for `mulaw` and `alaw`. Opus has no "
                "32000.",
                {"type": "integer", "enum": list(LINEAR_RATES)},
            ),
            query("language", "As in POST /tts/stream.", {"type": "string"}),
            query("speed", "This model has one.", {"type": "number", "const": 1}),
        ]

    least, most = BIT_RATES
    bit_rate = query(
        "bit_rate",
        "Bits a second, of `mp3`, `opus` and `aac`.",
        {"type": "integer", "minimum": least, "maximum": most},
    )
    containers = dict.fromkeys(name for names in ENCODINGS.values() for name in names)
    kinds = dict.fromkeys(kind.partition(";")[0] for kind in CONTENT_TYPES)
    warning = {
        "description": "The voice that was asked for is not there; the default voice spoke.",
        "schema": {"const": "unknown_voice"},
    }
    return {
        "/v1/speak": post(
            "Deepgram",
            "Speak a text",
            "The audio comes while it is made, as `mp3` unless `encoding` says otherwise. Each "
            "encoding has containers of its own: `linear16`, `mulaw` and `alaw` have `wav`, which "
            "is their default, and `none`; `opus` has `ogg`; the others have `none`. `callback` is "
            "refused.",
            body=json_body(SpeakRequest, {"A text": {"text": "Hello world."}}),
            parameters=[*asked(ENCODINGS, containers), bit_rate],
            answers={
                200: answer(
                    "The audio.",
                    {kind: {} for kind in (*kinds, "audio/mulaw", "audio/alaw")},
                    {"X-Warning": warning},
                )
            },
        )
        | upgrade(
            "Deepgram",
            "A WebSocket: text in, bare samples out",
            "`Speak`, `Flush`, `Clear` and `Close` come in; audio, `Metadata`, `Flushed`, "
            "`Cleared`, `Warning` and `Error` go out. See docs/drop-in.md.",
            asked(BARE, ("none",)),
        ),
    }


def _omni() -> dict[str, dict[str, Part]]:
    anna = AddedVoice(name="anna")
    names = VoiceNames(voices=["reference", "anna"], uploaded_voices=[anna])
    ignored = {"type": "string", "description": "Taken, and not kept."}
    upload = form_body(
        {"name": "anna", "audio_sample": "anna.wav", "ref_text": "What the recording says."},
        name=VOICE_NAME,
        audio_sample=RECORDING,
        ref_text=TRANSCRIPT,
        consent=ignored,
        speaker_description=ignored,
    )
    return {
        "/v1/audio/speech/stream": upgrade(
            "vLLM-Omni",
            "A WebSocket: text in, audio by sentence out",
            "`session.config`, `input.text`, `input.done` and `session.close` come in; "
            "`audio.start`, audio, `audio.done` and `session.done` go out. See docs/drop-in.md.",
        ),
        "/v1/audio/voices": get(
            "vLLM-Omni",
            "List the voices",
            answers={200: json_answer("All, and those that were added.", names)},
        )
        | post(
            "vLLM-Omni",
            "Add a voice from a recording",
            "As POST /tts/voices does.",
            body=upload,
            answers={200: json_answer("The voice is there.", SampleAdded(voice=anna))},
            fails=ADDING,
        ),
        "/v1/audio/voices/{name}": delete(
            "vLLM-Omni",
            "Remove a voice that was added",
            parameters=[REMOVED],
            answers={
                200: json_answer("The voice is gone.", SampleRemoved(message="anna was removed"))
            },
            fails=REMOVING,
        ),
    }
