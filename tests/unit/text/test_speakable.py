"""What holds for the whole way from written to said, on every written case in ten languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qwen3_tts_live.text import NormalizerSettings, TextFrontEnd, speakable

HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


def read_corpus() -> list[tuple[str, str]]:
    """Return the session's language and the written form of every case."""
    corpus = []
    for path in sorted((Path(__file__).parent / "cases").glob("*.tsv")):
        language = "Auto"
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("# session:"):
                language = line.partition(":")[2].strip()
            elif line and not line.startswith("# "):
                corpus.append((language, line.split("\t")[1].replace("⏎", "\n")))
    return corpus


CORPUS = read_corpus()


def test_what_is_said_is_said_the_same_when_it_is_read_again() -> None:
    for language, written in CORPUS:
        said = speakable(written, language)
        assert speakable(said, language) == said, written


def test_no_digit_is_left_for_the_voice_to_guess_at() -> None:
    for language, written in CORPUS:
        assert not re.search(r"\d", speakable(written, language)), written


def test_texts_that_come_one_character_at_a_time_say_the_same() -> None:
    for language, written in CORPUS:
        whole, pieces = TextFrontEnd(language), TextFrontEnd(language)
        expected = whole.push(written) + whole.end()
        segments = [segment for char in written for segment in pieces.push(char)] + pieces.end()
        assert segments == expected
        assert "".join(segment.raw for segment in segments) == written


def test_a_language_without_chinese_characters_gets_none() -> None:
    for language, written in CORPUS:
        if not HAN.search(written) and language not in ("Chinese", "Japanese"):
            assert not HAN.search(speakable(written, language)), written


def test_latin_text_in_a_latin_session_stays_latin() -> None:
    for language, written in CORPUS:
        if not WIDE.search(written) and language not in ("Chinese", "Japanese", "Korean"):
            assert not WIDE.search(speakable(written, language)), written


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Chinese", "今天天气很好，我们去公园散步吧。你觉得怎么样？好啊，走吧！"),
        ("English", "this is a plain sentence, and here is another; nothing in it is odd."),
        ("Japanese", "今日はいい天気ですね。散歩に行きましょうか。はい、そうしましょう。"),
        ("Korean", "오늘은 날씨가 좋네요. 산책하러 갈까요? 네, 그래요!"),
        ("German", "das ist ein schöner tag, und wir gehen spazieren. kommst du mit?"),
        ("French", "il fait beau aujourd'hui, et nous allons au parc. tu viens ?"),
        ("Russian", "сегодня хорошая погода, и мы идём гулять. ты пойдёшь с нами?"),
        ("Portuguese", "hoje está um dia bonito, e vamos ao parque. você vem?"),
        ("Spanish", "hoy hace buen tiempo, y vamos al parque. ¿vienes con nosotros?"),
        ("Italian", "oggi è una bella giornata, e andiamo al parco. vieni con noi?"),
    ],
)
def test_text_with_nothing_to_read_comes_out_unchanged(language: str, text: str) -> None:
    assert speakable(text, language) == text
    assert speakable(text) == text


def test_markup_and_numbers_are_read_together() -> None:
    for written, said in (
        ("**重点**:价格为100元", "重点:价格为一百元"),
        ("太棒了😀👍,得分9.5", "太棒了,得分九点五"),
        ("# Step 1", "Step one"),
        ("<|im_end|>5", "five"),
    ):
        assert speakable(written, "Chinese" if HAN.search(written) else "English") == said


def test_settings_reach_every_stage() -> None:
    text = "**AI** costs $5.\n```\ncode\n```"
    assert speakable(text, "en") == "A I costs five dollars."
    for settings, said in (
        (NormalizerSettings(acronyms="off"), "AI costs five dollars."),
        (NormalizerSettings(acronyms="dots"), "A.I. costs five dollars."),
        (NormalizerSettings(enabled=False), "AI costs $5."),
        (NormalizerSettings(enabled=False, code_phrase="some code"), "AI costs $5. some code"),
        (NormalizerSettings(grammar="none"), "A I costs five dollars."),
    ):
        assert speakable(text, "en", settings) == said
