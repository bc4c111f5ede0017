from __future__ import annotations

from hypothesis import given, strategies

from qwen3_tts_live.backend import Word
from qwen3_tts_live.marks import SegmentMarks, SpeechRate
from qwen3_tts_live.synthesizer import Mark
from qwen3_tts_live.text.front_end import TextSegment


def segment(raw: str) -> TextSegment:
    return TextSegment(raw=raw, start=0, spoken=raw.strip(), language="English")


def texts(marks: list[Mark]) -> list[str]:
    return [mark.text for mark in marks]


def test_words_of_the_backend_become_exact_marks_with_what_follows_them() -> None:
    marks = SegmentMarks("u", segment("  One, (two)… three! "), 1000, SpeechRate())
    words = [Word(0, 3, 0, 10), Word(6, 9, 10, 30), Word(12, 17, 30, 60)]
    made = [mark for word in words for mark in marks.word(word)] + list(marks.finish(1060))
    assert texts(made) == ["  One, (", "two)… ", "three! "]
    assert [(mark.start, mark.end) for mark in made] == [(1000, 1010), (1010, 1030), (1030, 1060)]
    assert all(mark.exact for mark in made)


def test_without_words_the_marks_are_estimated_and_say_so() -> None:
    rate = SpeechRate()
    marks = SegmentMarks("u", segment("Hello there, world."), 0, rate)
    first = list(marks.before(0, 1920))
    assert texts(first) == ["Hello "]
    later = list(marks.before(1920, 60_000))
    assert texts(first + later) == ["Hello ", "there, ", "world."]
    assert not any(mark.exact for mark in first + later)
    assert list(marks.finish(61_920)) == []


def test_estimated_marks_that_never_came_due_come_at_the_end() -> None:
    marks = SegmentMarks("u", segment("one two three"), 0, SpeechRate())
    made = [*marks.before(0, 100), *marks.finish(100)]
    assert texts(made) == ["one ", "two ", "three"]
    assert all(mark.end <= 100 or mark is made[0] for mark in made)


def test_the_estimate_learns_the_speed_of_the_voice() -> None:
    rate = SpeechRate()
    for _ in range(10):
        marks = SegmentMarks("u", segment("abcde fghij"), 0, rate)
        list(marks.before(0, 11 * 4000))
        list(marks.finish(11 * 4000))
    assert abs(rate.samples_per_unit - 4000) < 10


def test_ideographs_are_marked_one_by_one() -> None:
    marks = SegmentMarks("u", segment("你好，GPT 世界。"), 0, SpeechRate())
    assert texts(list(marks.before(0, 10**6))) == ["你", "好，", "GPT ", "世", "界。"]


def test_a_segment_with_nothing_to_say_is_one_mark_without_length() -> None:
    silent = TextSegment(raw=" 🎉 ", start=0, spoken="", language="English")
    (mark,) = SegmentMarks("u", silent, 500, SpeechRate()).finish(500)
    assert (mark.text, mark.start, mark.end) == (" 🎉 ", 500, 500)


@given(
    raw=strategies.text(min_size=1, max_size=40),
    steps=strategies.lists(strategies.integers(1, 5000), max_size=20),
)
def test_estimated_marks_always_join_to_the_text_and_rise(raw: str, steps: list[int]) -> None:
    marks = SegmentMarks("u", segment(raw), 7, SpeechRate())
    made, position = [], 7
    for step in steps:
        for mark in marks.before(position, step):
            assert mark.start >= position
            made.append(mark)
        position += step
    made += marks.finish(position)
    assert "".join(texts(made)) == raw
    starts = [mark.start for mark in made]
    assert starts == sorted(starts) or not steps
