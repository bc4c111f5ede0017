"""The messages of the WebSocket protocol: there and back, and what is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies

from qwen3_tts_live import errors, wire
from qwen3_tts_live.audio import AudioChunk

NUMBERS = strategies.integers(0, 2**32 - 1)
TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"]))
SECONDS = strategies.none() | strategies.floats(0, 1e6)
OPTIONS = strategies.builds(
    wire.Options,
    voice=strategies.none() | TEXTS,
    language=TEXTS,
    seed=strategies.none() | strategies.integers(),
    max_lead=strategies.none() | strategies.floats(0, 1e6, exclude_min=True),
    normalize=strategies.none()
    | strategies.booleans()
    | strategies.dictionaries(TEXTS, strategies.none() | TEXTS | strategies.booleans()),
)
IDS = strategies.none() | strategies.from_regex(r"[!-~]{1,128}", fullmatch=True)
FROM_CLIENT = strategies.one_of(
    strategies.builds(wire.Open, request=NUMBERS, session=NUMBERS, id=IDS, options=OPTIONS),
    strategies.builds(wire.Utter, session=NUMBERS, utterance=NUMBERS, options=OPTIONS),
    strategies.builds(wire.Text, utterance=NUMBERS, text=TEXTS),
    strategies.builds(wire.End, utterance=NUMBERS),
    strategies.builds(wire.Taken, utterance=NUMBERS, samples=NUMBERS),
    strategies.builds(wire.Cancel, utterance=NUMBERS),
    strategies.builds(wire.Interrupt, request=NUMBERS, session=NUMBERS),
    strategies.builds(wire.Close, request=NUMBERS, session=NUMBERS),
)
FROM_SERVER = strategies.one_of(
    strategies.builds(wire.Hello, languages=strategies.tuples(TEXTS), voices=strategies.tuples()),
    strategies.builds(wire.Opened, request=NUMBERS, session=NUMBERS),
    strategies.builds(wire.Mark, utterance=NUMBERS, text=TEXTS),
    strategies.builds(
        wire.Done, utterance=NUMBERS, queue_seconds=SECONDS, ttfb_seconds=SECONDS, samples=NUMBERS
    ),
    strategies.builds(
        wire.Interrupted,
        request=NUMBERS,
        session=NUMBERS,
        stopped=strategies.tuples(NUMBERS),
        flushed=strategies.tuples(NUMBERS, NUMBERS),
    ),
    strategies.builds(wire.Closed, request=NUMBERS, session=NUMBERS),
    strategies.builds(
        wire.Error, retry_after=SECONDS, request=NUMBERS, utterance=strategies.none() | NUMBERS
    ),
)


@given(FROM_CLIENT)
def test_a_client_s_message_comes_back_as_it_was(message: wire.ClientMessage) -> None:
    assert wire.parse_from_client(message.dump()) == message


@given(FROM_SERVER)
def test_a_server_s_message_comes_back_as_it_was(message: wire.ServerMessage) -> None:
    assert wire.parse_from_server(message.dump()) == message


@given(FROM_CLIENT)
def test_a_field_that_the_protocol_does_not_know_is_an_error(message: wire.ClientMessage) -> None:
    more = json.dumps(json.loads(message.dump()) | {"surprise": 1})
    with pytest.raises(wire.Malformed, match="surprise"):
        wire.parse_from_client(more)


@given(FROM_SERVER)
def test_a_client_bears_what_a_newer_server_adds(message: wire.ServerMessage) -> None:
    more = json.dumps(json.loads(message.dump()) | {"surprise": 1})
    assert wire.parse_from_server(more) == message


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        "[" * 10_000,
        '"open"',
        "{}",
        '{"type": "hello"}',
        '{"type": "opened", "request": 1, "session": 1, "id": "x"}',
        '{"type": "open", "session": 1}',
        '{"type": "open", "request": -1, "session": 1}',
        '{"type": "open", "request": 4294967296, "session": 1}',
        '{"type": "open", "request": true, "session": 1}',
        '{"type": "open", "request": 1.5, "session": 1}',
        '{"type": "open", "request": "1", "session": 1}',
        '{"type": "open", "request": 1, "session": 1, "id": ""}',
        '{"type": "open", "request": 1, "session": 1, "id": "a b"}',
        '{"type": "open", "request": 1, "session": 1, "id": "a\\n"}',
        '{"type": "open", "request": 1, "session": 1, "options": {"max_lead": 0}}',
        '{"type": "open", "request": 1, "session": 1, "options": {"max_lead": NaN}}',
        '{"type": "open", "request": 1, "session": 1, "options": {"max_lead": 1e999}}',
        '{"type": "open", "request": 1, "session": 1, "options": {"speed": 2}}',
        '{"type": "text", "utterance": 1, "text": 5}',
        '{"type": "text", "utterance": 1, "text": "\\ud800"}',
        '{"type": "taken", "utterance": 1, "samples": -1}',
    ],
)
def test_what_is_no_message_of_a_client_is_malformed(data: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.parse_from_client(data)


def test_a_malformed_message_says_what_it_was_about() -> None:
    with pytest.raises(wire.Malformed) as caught:
        wire.parse_from_client('{"type": "utter", "request": 7, "utterance": 8, "session": "x"}')
    assert caught.value.references == {"request": 7, "utterance": 8}
    assert "session" in caught.value.message


@given(NUMBERS, NUMBERS, strategies.lists(strategies.integers(-(2**15), 2**15 - 1)))
def test_audio_comes_back_sample_for_sample(number: int, offset: int, values: list[int]) -> None:
    chunk = AudioChunk("u", offset, np.array(values, np.int16))
    back = wire.unpack_audio(wire.pack_audio(number, offset, chunk.data))
    assert (back[0], back[1], back[2].tolist()) == (number, offset, values)
    assert back[2].flags.writeable
    assert back[2].dtype == np.int16


@pytest.mark.parametrize("data", [b"", b"1234567", b"12345678" + b"x"])
def test_half_a_header_or_half_a_sample_is_malformed(data: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.unpack_audio(data)


def test_every_error_of_the_library_comes_back_as_its_class() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        back = wire.raised(wire.error_message(kind("what and why", retry_after=2.5), utterance=3))
        assert type(back) is kind
        assert (back.message, back.retryable) == ("what and why", kind.retryable)
        assert (back.retry_after, back.code) == (2.5, kind.code)


def test_an_error_that_this_version_does_not_know_keeps_its_code_and_whether_to_retry() -> None:
    back = wire.raised(wire.Error(code="new", message="m", retryable=True))
    assert (type(back), back.code, back.retryable) == (errors.SpeechError, "new", True)
