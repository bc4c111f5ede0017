"""Cutting an utterance's events at the ends of its sentences."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qwen3_tts_live import AudioChunk, Finished, Mark
from qwen3_tts_live.synthesizer import Event
from qwen3_tts_server.sentences import Begins, Ends, SentenceCutter, Sounds, Step

WORDS = st.sampled_from(
    ["Hi", "there. ", "how ", "are ", "you?! ", "3.5 ", "你", "好。", "🎉 ", "… "]
)


def cut(text: str, events: Iterable[Event], *, by_sentence: bool = True) -> list[Step]:
    cutter = SentenceCutter(by_sentence=by_sentence)
    cutter.push_text(text)
    return [step for event in events for step in cutter.feed(event)]


def mark(text: str, start: int, end: int) -> Mark:
    return Mark("u", text, start, end, True)


def chunk(start: int, end: int) -> AudioChunk:
    return AudioChunk("u", start, np.arange(start, end).astype(np.int16))


def end(samples: int) -> Finished:
    return Finished("u", "completed", samples, None, None)


def test_a_chunk_across_two_sentences_is_cut_where_the_second_begins() -> None:
    events = [mark("Hi. ", 0, 90), mark("You", 100, 150), chunk(0, 120), chunk(120, 200), end(200)]
    steps = cut("Hi. You", events)
    assert [type(step) for step in steps] == [Begins, Sounds, Ends, Begins, Sounds, Sounds, Ends]
    sizes = [len(step.samples) for step in steps if isinstance(step, Sounds)]
    assert sizes == [100, 20, 80]
    assert [step.text for step in steps if isinstance(step, Begins)] == ["Hi.", "You"]
    words = [[w.text for w in step.sentence.words] for step in steps if isinstance(step, Ends)]
    assert words == [["Hi. "], ["You"]]


def test_uncut_the_whole_is_one_sentence() -> None:
    events = [mark("Hi. ", 0, 90), mark("You", 100, 150), chunk(0, 200), end(200)]
    steps = cut("Hi. You", events, by_sentence=False)
    assert [type(step) for step in steps] == [Begins, Sounds, Ends]
    assert isinstance(steps[0], Begins) and steps[0].text == "Hi. You"


def test_nothing_to_say_has_no_sentence() -> None:
    assert cut("", [end(0)]) == []


@given(st.lists(st.tuples(WORDS, st.integers(0, 30)), max_size=10), st.data(), st.booleans())
def test_audio_and_words_come_through_whole_and_in_pairs(
    words: list[tuple[str, int]], data: st.DataObject, by_sentence: bool
) -> None:
    """Whatever the marks say and wherever the chunks are cut."""
    marks, position = [], 0
    for text, length in words:
        marks.append(mark(text, position, position + length))
        position += length
    events: list[Event] = []
    at = 0
    while at < position:
        stop = data.draw(st.integers(at + 1, position))
        while marks and marks[0].start < stop:
            events.append(marks.pop(0))
        events.append(chunk(at, stop))
        at = stop
    steps = cut(
        "".join(text for text, _ in words),
        [*events, *marks, end(position)],
        by_sentence=by_sentence,
    )
    heard = [step.samples for step in steps if isinstance(step, Sounds)]
    assert b"".join(map(bytes, heard)) == bytes(np.arange(position).astype(np.int16))
    open_now: list[int] = []
    for step in steps:
        if isinstance(step, Begins):
            assert open_now == []
            open_now.append(step.sentence.index)
        elif isinstance(step, Ends):
            assert open_now.pop() == step.sentence.index
        else:
            assert open_now
    assert open_now == []
    ended = [step.sentence for step in steps if isinstance(step, Ends)]
    assert [sentence.index for sentence in ended] == list(range(len(ended)))
    said = [word.text for sentence in ended for word in sentence.words]
    assert said == [text for text, _ in words if text.strip()]
