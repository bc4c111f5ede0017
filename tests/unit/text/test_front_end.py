"""What the text front end promises for every text and every way in which it may arrive."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import example, given, settings, strategies

from qwen3_tts_live.errors import UnknownLanguageError
from qwen3_tts_live.text import (
    NormalizerSettings,
    TextFrontEnd,
    TextSegment,
    speakable,
)

LANGUAGES = ("Auto", "English", "Chinese", "Japanese", "Korean", "German", "French", "Russian")

# What text is made of where it is hard: each of them alone is fine, joined they are anything.
FRAGMENTS = (
    *"。！？；：，、“”「」『』（）《》…—.!?,;:\"'()[]{}<>*_~`#-+|/\\&@%$=^ \n\t\r",
    *("Dr.", "z. B.", "и т. д.", "U.S.", "e.g.", "p. ej.", "M. Dupont", "5 p.m.", "J. K.", "No. 5"),
    *("3.5", "1,234", "3:30", "5%", "$3.50", "2025年", "1. ", "2) ", "Am 3. Mai", "192.168.1.1"),
    *("https://a.b/c?d=e", "x@y.zz", "config.yaml", "get_user_id()", "GPT-4", "RISC-V"),
    *("**", "__", "~~", "```", "```py\n", "[", "](", "](http://x.y)", "![", "<b>", "</b>", "<br/>"),
    *("<|im_end|>", "&amp;", "&#39;", "- ", "* ", "> ", "# ", "| a | b |\n", "|---|---|\n", "\n\n"),
    *("😀", "👨\u200d👩\u200d👧", "1️⃣", "\u200b", "\ufeff", "\x00", "\ud800", "\udfff", "\u2028"),
    *(
        "Hello",
        "world",
        "the",
        "The",
        "你好",
        "世界",
        "안녕",
        "です",
        "Привет",
        "été",
        "Größe",
        "ß",
    ),
)
texts = strategies.one_of(
    strategies.text(max_size=60),
    strategies.text(strategies.characters(), max_size=60),  # halves of surrogate pairs, too
    strategies.lists(strategies.sampled_from(FRAGMENTS), max_size=40).map("".join),
)
languages = strategies.sampled_from(LANGUAGES)
# Small sizes, so that short texts have several segments.
sizes = strategies.sampled_from(
    (
        NormalizerSettings(),
        NormalizerSettings(first_clause=1, first_sentence=0.4, sentence=0.4, limit=6),
        NormalizerSettings(first_limit=2, limit=3, images="say", code_phrase="some code"),
        NormalizerSettings(markup=False, sentence=2),
        NormalizerSettings(enabled=False, inline_code="skip", tables="skip"),
    )
)

# The first segment loads the grammars, which takes longer than hypothesis likes.


def run(text: str, language: str, chosen: NormalizerSettings) -> list[TextSegment]:
    front_end = TextFrontEnd(language, chosen)
    return front_end.push(text) + front_end.end()


def pieces_of(text: str, seed: int) -> list[str]:
    """Cut `text` as tokens would: mostly a few characters, at times many or none."""
    draw, pieces, at = random.Random(seed), [], 0
    while at < len(text):
        size = draw.choice((0, 1, 1, 2, 3, 4, 7, 40))
        pieces.append(text[at : at + size])
        at += size
    return pieces


@given(texts, languages, sizes, strategies.integers(0, 2**16))
def test_segments_do_not_depend_on_the_pieces_in_which_the_text_came(
    text: str, language: str, chosen: NormalizerSettings, seed: int
) -> None:
    whole = run(text, language, chosen)
    for pieces in (list(text), pieces_of(text, seed)):
        front_end = TextFrontEnd(language, chosen)
        segments = [segment for piece in pieces for segment in front_end.push(piece)]
        segments += front_end.end()
        assert segments == whole
        for mine, other in zip(segments, whole, strict=True):
            offsets = range(len(mine.spoken) + 1)
            assert list(map(mine.raw_offset, offsets)) == list(map(other.raw_offset, offsets))


@given(texts, texts, languages, sizes)
def test_what_follows_never_changes_what_was_given_out(
    text: str, more: str, language: str, chosen: NormalizerSettings
) -> None:
    front_end = TextFrontEnd(language, chosen)
    early = front_end.push(text)
    assert run(text + more, language, chosen)[: len(early)] == early


@given(texts, languages, sizes, strategies.integers(0, 2**16))
def test_the_raw_slices_join_to_the_input_whatever_stalls(
    text: str, language: str, chosen: NormalizerSettings, seed: int
) -> None:
    draw = random.Random(seed)
    front_end = TextFrontEnd(language, chosen)
    segments = []
    for piece in pieces_of(text, seed):
        segments += front_end.push(piece)
        if draw.random() < 0.3:
            segments += front_end.stalled()
    segments += front_end.end()
    assert "".join(segment.raw for segment in segments) == text
    at = 0
    for segment in segments:
        assert segment.start == at
        # Only a phrase said in place of code can stand for no text, where a limit cuts it in two.
        assert segment.raw or segment.spoken or not text
        at += len(segment.raw)


@given(texts, languages, sizes)
def test_offsets_in_what_is_said_rise_through_the_raw_text(
    text: str, language: str, chosen: NormalizerSettings
) -> None:
    for segment in run(text, language, chosen):
        offsets = [segment.raw_offset(offset) for offset in range(len(segment.spoken) + 1)]
        assert offsets == sorted(offsets)
        assert all(0 <= offset <= len(segment.raw) for offset in offsets)


@given(texts, languages)
def test_text_with_something_to_say_is_never_silent_and_other_text_always_is(
    text: str, language: str
) -> None:
    chosen = NormalizerSettings(markup=False)  # code and pictures are silent by choice
    segments = run(text, language, chosen)
    said = "".join(segment.spoken for segment in segments)
    assert bool(said) == any(char.isalnum() for char in text)
    for segment in segments:
        assert segment.language != "Auto"
        assert segment.spoken == segment.spoken.strip()


@given(texts, sizes)
@example("[" * 500, NormalizerSettings())
@example("<" * 500, NormalizerSettings())
@example("`" * 500, NormalizerSettings())
@example("`" * 3 + "x" * 500, NormalizerSettings())
@example("* " * 300, NormalizerSettings())
@example("." * 5000, NormalizerSettings())
@example("9" * 5000, NormalizerSettings())
@example("（" * 300 + "。", NormalizerSettings())
def test_no_segment_is_without_bound(text: str, chosen: NormalizerSettings) -> None:
    for segment in run(text, "Auto", chosen):
        assert len(segment.visible_ends) <= 1600


words = strategies.lists(
    strategies.sampled_from(("one", "two", "where", "they", "said", "hello", "world", "and then")),
    min_size=1,
    max_size=60,
)


@given(words)
def test_plain_text_is_said_as_it_stands(several: list[str]) -> None:
    text = " ".join(several)
    assert speakable(text, "English") == text


def test_titles_and_items_become_sentences() -> None:
    text = "# My title\nSome text\n\n- one\n- two\n\n| a | b |\n|---|---|\n| c | d |\n"
    assert speakable(text, "English") == "My title. Some text. one. two. a, b. c, d"


def test_a_stall_says_what_is_complete_and_only_that() -> None:
    for text, said in (
        ("Let me look that up.", "Let me look that up."),
        ("OK.", "OK."),
        ("OK. And now", "OK."),
        ("Really?!", "Really?!"),
        ("Really [", ""),
        ("Hello there, ", ""),
        ("Hello there, my dear friend,", "Hello there, my dear friend,"),
        ("The answer is 42.", ""),
        ("It was 42. ", "It was 42."),
        ("1. ", ""),
        ("I met Dr.", ""),
        ("I live in the U.S.", ""),
        ("我先查一下。", "我先查一下。"),
        ("好的", ""),
        ("“好的。", ""),
        ("“好的。”", "“好的。”"),
        ("It is (as they say.", ""),
        ("Done !", "Done !"),
        ("Wait…", "Wait…"),
        ("**Done.**", "Done."),
        ("Title\n", "Title."),
        ("Half a sentence", ""),
    ):
        front_end = TextFrontEnd("Auto", NormalizerSettings(enabled=False))
        segments = front_end.push(text) + front_end.stalled()
        assert "".join(segment.spoken for segment in segments) == said, text


def test_the_first_segment_comes_one_character_behind_its_boundary() -> None:
    for text, following in (
        ("Hello there, how are you today.", " "),
        ("今天天气很好。", "我"),
        ("今天天气真的很好，", "我"),
        ("Well, this is easy to explain,", " "),
        ("What do you want to know?", " "),
        ("A title without a stop\n", "\n"),
        ("Das ist ein ganzer Satz.", " "),
    ):
        front_end = TextFrontEnd("Auto")
        assert front_end.push(text[:-1]) == []
        early = front_end.push(text[-1] + following)
        assert [segment.raw.rstrip() for segment in early] == [text.rstrip()], text


def test_marks_find_their_place_through_markup() -> None:
    raw = "**Hello** [there](http://x.y), R&amp;D."
    (segment,) = run(raw, "English", NormalizerSettings(enabled=False))
    assert segment.spoken == "Hello there, R&D."
    ends = {word: segment.raw_offset(segment.spoken.index(word) + len(word)) for word in (
        "Hello", "there", "R&", "R&D",
    )}  # fmt: skip
    assert {word: raw[:end] for word, end in ends.items()} == {
        "Hello": "**Hello",
        "there": "**Hello** [there",
        "R&": "**Hello** [there](http://x.y), R&amp;",
        "R&D": "**Hello** [there](http://x.y), R&amp;D",
    }


def test_markup_goes_with_what_it_marks() -> None:
    chosen = NormalizerSettings(first_sentence=1, sentence=1, enabled=False)
    segments = run("**你好。** **世界。**「好。」\n- [一](http://a)。", "Chinese", chosen)
    assert [segment.raw for segment in segments] == [
        *("**你好。** ", "**世界。**", "「好。」\n", "- [一](http://a)。")
    ]


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(UnknownLanguageError, match="Klingon"):
        speakable("nuqneH", "Klingon")


def test_importing_the_text_package_loads_no_grammar() -> None:
    heavy = "{'wetext', 'tn', 'kaldifst', 'pynini', 'num2words'}"
    code = f"import sys, qwen3_tts_live.text; sys.stdout.write(repr({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()"


@settings(max_examples=20)
@given(strategies.integers(0, 2**16))
def test_a_stall_at_any_moment_changes_cuts_but_not_what_is_said(seed: int) -> None:
    text = (
        'Well, let me see. Dr. Smith paid for it, I think. "Really?" she said. '
        "好的。我们走吧，“快点！”他说。Then it ended… and that was it."
    )
    front_end, draw = TextFrontEnd("Auto", NormalizerSettings(enabled=False)), random.Random(seed)
    said = []
    for piece in pieces_of(text, seed):
        said += front_end.push(piece)
        if draw.random() < 0.5:
            said += front_end.stalled()
    said += front_end.end()
    assert "".join(s.spoken for s in said).replace(" ", "") == text.replace(" ", "")
