"""Where text is cut: sentence ends in ten languages, sizes, forced cuts."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_tts_live.text.markup import MarkupStripper
from qwen3_tts_live.text.segmenter import Segmenter
from qwen3_tts_live.text.settings import NormalizerSettings

# Every sentence on its own, and no clause.
SENTENCES = NormalizerSettings(first_clause=10_000, first_sentence=0.1, sentence=0.1)


def cut(text: str, language: str, settings: NormalizerSettings = SENTENCES) -> list[str]:
    stripper, segmenter = MarkupStripper(settings), Segmenter(language, settings)
    at, cuts = 0, []
    glyphs = stripper.push(text) + stripper.end()
    found = [part for glyph in glyphs for part in segmenter.push(glyph)] + segmenter.end()
    for _, stop in found:
        cuts.append(text[at:stop])
        at = stop
    return cuts


def read_cases() -> list[tuple[str, str]]:
    path = Path(__file__).parent / "cases" / "segmentation.txt"
    language, cases = "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif line and not line.startswith("# "):
            cases.append((language, line))
    return cases


CASES = read_cases()


@pytest.mark.parametrize(("language", "line"), CASES)
def test_sentences_end_where_people_end_them(language: str, line: str) -> None:
    expected = line.replace("⏎", "\n").split("‖")
    assert cut("".join(expected), language) == expected


def test_the_table_is_large_enough_to_mean_something() -> None:
    languages = [language for language, _ in CASES]
    assert len(CASES) >= 150
    assert all(languages.count(language) >= 10 for language in set(languages))
    assert len(set(languages)) == 11


# ------------------------------------------------------------------ sizes

DEFAULT = NormalizerSettings()


def test_the_first_segment_ends_at_the_first_clause_that_is_long_enough() -> None:
    text = "Well, if you ask me about the weather, it will rain tomorrow, and the day after."
    assert cut(text, "English", DEFAULT)[0] == "Well, if you ask me about the weather, "
    text = "好的，关于这个问题，我想说三点，第一点是时间。"
    assert cut(text, "Chinese", DEFAULT) == ["好的，关于这个问题，", "我想说三点，第一点是时间。"]


def test_a_short_opener_goes_with_what_follows_it() -> None:
    assert cut("OK. Let me check that. Fine.", "English", DEFAULT)[0] == "OK. Let me check that. "
    assert cut("好。我来看看。", "Chinese", DEFAULT) == ["好。我来看看。"]


def test_later_segments_are_whole_sentences_joined_to_a_sensible_size() -> None:
    text = (
        "This is the first of them. Yes. No. Maybe. This one is long enough to stand alone, "
        "even with its clauses; it goes on. Short. Also short. And this is the last of them."
    )
    assert cut(text, "English", DEFAULT) == [
        "This is the first of them. ",
        "Yes. No. Maybe. This one is long enough to stand alone, even with its clauses; it goes on. ",
        "Short. Also short. And this is the last of them.",
    ]


def test_sizes_are_settings() -> None:
    text = "一二三，四五六。七八九。十一二，三四五。六七八。"
    small = NormalizerSettings(first_clause=3, sentence=3)
    assert cut(text, "Chinese", small) == [
        *("一二三，", "四五六。", "七八九。", "十一二，三四五。", "六七八。")
    ]
    large = NormalizerSettings(first_clause=100, first_sentence=9, sentence=100)
    assert cut(text, "Chinese", large) == ["一二三，四五六。七八九。", "十一二，三四五。六七八。"]


def test_a_sentence_that_is_too_long_is_cut_at_its_last_good_pause() -> None:
    chosen = NormalizerSettings(first_clause=1000, first_limit=12, limit=12)
    assert cut("一二三四五六七，八九十，一二三四五六七八。", "Chinese", chosen) == [
        *("一二三四五六七，八九十，", "一二三四五六七八。")
    ]
    assert cut("one two three four five six seven eight nine ten", "English", chosen) == [
        *("one two three four five six seven ", "eight nine ten")
    ]


def test_a_forced_cut_spares_numbers_and_what_they_count() -> None:
    chosen = NormalizerSettings(first_limit=8, limit=8)
    parts = cut("it weighs about 5 000 kg and it is 12 m long", "English", chosen)
    assert len(parts) > 1
    for whole in ("5 000 kg", "12 m"):
        assert any(whole in part for part in parts)


def test_a_forced_cut_spares_an_address() -> None:
    address = "https://example.com/a/long/path"
    chosen = NormalizerSettings(first_limit=12, limit=12)
    assert any(address in part for part in cut(f"please go to {address} now", "English", chosen))


def test_quotes_and_brackets_stay_whole_up_to_the_limit() -> None:
    text = "他说：“我来了，我看见了。我走了，就是这样。”然后他就走了。"
    assert cut(text, "Chinese", DEFAULT)[0] == "他说：“我来了，我看见了。我走了，就是这样。”"
    longer = "“" + "我来了，我看见了。" * 20
    assert len(cut(longer, "Chinese", DEFAULT)) > 2


def test_a_bracket_that_never_closes_stops_nothing_for_long() -> None:
    text = "This is (as they say\n\nThe next paragraph is here. And one more."
    assert cut(text, "English")[1:] == ["The next paragraph is here. ", "And one more."]


@pytest.mark.parametrize(
    "noise", ["9", "a", "。", ".", "-", "(", "…", "\u3000", "好", "é", "1,", "“"]
)
def test_text_without_end_is_cut_all_the_same(noise: str) -> None:
    assert max(map(len, cut(noise * 5000, "Auto", DEFAULT))) <= 1600
