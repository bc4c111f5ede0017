"""Words come out as Pipecat can join them again, each once, and at the time of its first letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_qwen3_tts.words import Word, Words

TEXTS = st.text(alphabet="ab é9,.!?-()'  \n你好世界。！「」한👍", max_size=60)


def spoken(text: str, cut: int = 1) -> list[Word]:
    """The words of a text whose marks are `cut` characters long, one a second."""
    words = Words()
    words.add(text)
    lengths = [min(cut, len(text) - at) for at in range(0, len(text), cut)]
    return [word for at, count in enumerate(lengths) for word in words.hear(count, float(at))]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello, there! - How (are) you?", ["Hello,", "there! -", "How", "(are)", "you?"]),
        ("It's $5.99 (really).", ["It's", "$5.99", "(really)."]),
        ("你好！世界。", ["你", "好！", "世", "界。"]),
        ("안녕하세요. 오늘은", ["안녕하세요.", "오늘은"]),
        ("Say 「你好」 now.", ["Say", "「你好」", "now."]),
        ("👍 ...", []),
    ],
)
def test_words_are_cut_where_pipecat_can_join_them(text: str, wanted: list[str]) -> None:
    assert [word.text for word in spoken(text)] == wanted


@given(TEXTS, st.integers(1, 9))
def test_words_hold_every_letter_once_and_rise_in_time(text: str, cut: int) -> None:
    words = spoken(text, cut)
    letters = "".join(char for word in words for char in word.text if char.isalnum())
    assert letters == "".join(char for char in text if char.isalnum())
    assert [word.at for word in words] == sorted(word.at for word in words)


def test_what_is_heard_again_is_told_once() -> None:
    words = Words()
    words.add("One two three.")
    told = list(words.hear(8, 1.0))
    words.rewind(4)
    told += words.hear(10, 2.0)
    assert [(word.text, word.at) for word in told] == [("One", 1.0), ("two", 1.0), ("three.", 2.0)]
