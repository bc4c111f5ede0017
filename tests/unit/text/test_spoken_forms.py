"""The user's lexicon, acronyms, grammars and the way back from words to the text."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from qwen3_tts_live.text.board import Board
from qwen3_tts_live.text.grammar import GrammarError, load_grammar
from qwen3_tts_live.text.plain import read_numbers
from qwen3_tts_live.text.runs import find_runs
from qwen3_tts_live.text.settings import LexiconEntry, NormalizerSettings
from qwen3_tts_live.text.spoken import SpokenForms


def say(text: str, session: str = "English", **settings: Any) -> str:
    return SpokenForms(NormalizerSettings(**settings), session).speak(text).text


# ------------------------------------------------------------ the user's lexicon


def test_the_users_words_beat_every_rule() -> None:
    lexicon = (
        LexiconEntry("RISC-V", "risk five"),
        LexiconEntry("2025", "this year"),
        LexiconEntry("AT&T", "the phone company"),
        LexiconEntry("example.com", "our site"),
    )
    said = say("RISC-V in 2025, AT&T at example.com", lexicon=lexicon)
    assert said == "risk five in this year, the phone company at our site"


def test_the_longest_of_the_users_words_wins() -> None:
    lexicon = (LexiconEntry("GPT", "gippity"), LexiconEntry("GPT-4o", "omni"))
    assert say("GPT and GPT-4o", lexicon=lexicon) == "gippity and omni"


def test_the_users_words_match_whole_words_and_their_case() -> None:
    lexicon = (LexiconEntry("API", "A-P-I"),)
    assert say("API APIs api", lexicon=lexicon) == "A-P-I A P I s api"
    assert say("用API吧", "Chinese", lexicon=lexicon) == "用A-P-I吧"


def test_a_word_for_one_language_is_left_alone_in_another() -> None:
    lexicon = (LexiconEntry("iOS", "eye O S", "English"), LexiconEntry("重庆", "虫庆", "zh"))
    assert say("iOS in 重庆", "English", lexicon=lexicon) == "eye O S in 虫庆"
    assert say("iOS ist da", "German", lexicon=lexicon) == "i O S ist da"


# ------------------------------------------------------------ acronyms


@pytest.mark.parametrize(
    ("style", "said"),
    [("spaces", "A I and F B I"), ("dots", "A.I. and F.B.I."), ("off", "AI and FBI")],
)
def test_letters_are_written_as_the_setting_says(style: str, said: str) -> None:
    assert say("AI and FBI", acronyms=style) == said
    assert say(said, acronyms=style) == said


@pytest.mark.parametrize(
    "text",
    [
        "PLEASE READ THIS CAREFULLY. DO NOT USE NEAR WATER.",
        "STOP! I AM OK.",
        "CALL US NOW",
        "Plan B and vitamin C",
        "NASA and NATO use CUDA",
    ],
)
def test_shouted_words_single_letters_and_words_of_capitals_stay(text: str) -> None:
    assert say(text) == text


def test_unpronounceable_and_short_capitals_are_spelled() -> None:
    assert say("The HTTPS, SSD and XKCD") == "The H T T P S, S S D and X K C D"
    assert say("OpenAI made ChatGPT") == "Open A I made Chat G P T"


# ------------------------------------------------------------ the way back


def test_offsets_lead_back_to_the_slice_that_is_said() -> None:
    text = "In 2025 the AI costs $5."
    spoken = SpokenForms(NormalizerSettings(), "English").speak(text)
    assert spoken.text == "In twenty twenty five the A I costs five dollars."
    for word, slice_ in (("twenty", "2025"), ("the", "the"), ("A I", "AI"), ("five d", "$5")):
        at = spoken.text.index(word)
        start = spoken.source_offset(at)
        assert text[start : start + len(slice_)] == slice_
    assert spoken.source_offset(len(spoken.text)) == len(text)


def test_offsets_count_characters_of_the_given_text_and_not_of_a_folded_one() -> None:
    text = "￥１２ ㎏。好"
    spoken = SpokenForms(NormalizerSettings(), "Chinese").speak(text)
    assert spoken.source_offset(spoken.text.index("好")) == text.index("好")


# ------------------------------------------------------------ grammars


class BrokenGrammar:
    languages = frozenset({"English", "Chinese"})

    def read(self, text: str, language: str) -> str:
        raise GrammarError("no")


class ForgetfulGrammar:
    languages = frozenset({"English", "Chinese"})

    def read(self, text: str, language: str) -> str:
        return ""


@pytest.mark.parametrize("grammar", [BrokenGrammar(), ForgetfulGrammar()])
def test_a_grammar_that_fails_leaves_its_number_to_the_plain_reading(grammar: Any) -> None:
    board = Board("we have 35 cups")
    read_numbers(board, find_runs(board.text, "English"), grammar)
    assert board.render()[0] == "we have thirty five cups"


def test_quotes_and_backslashes_pass_through_the_grammars_unchanged() -> None:
    grammar = load_grammar("wetext")
    assert grammar.read('he said "5"', "English") == 'he said "five"'
    assert grammar.read('他说"5"', "Chinese") == '他说"五"'


@pytest.mark.parametrize("text", ["5网", "[5]", "5é", "√2", "#5"])
def test_what_the_english_grammar_cannot_read_is_its_error_and_no_other(text: str) -> None:
    with pytest.raises(GrammarError):
        load_grammar("wetext").read(text, "English")
    assert say(text)


def test_grammars_are_shared_and_load_in_any_thread() -> None:
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(say("我有35个苹果", "Chinese")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["我有三十五个苹果"] * 8
    assert load_grammar("wetext") is load_grammar("wetext")


def test_a_grammar_that_cannot_be_loaded_is_reported_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tn", reason="WeTextProcessing is not installed")
    (tmp_path / "file").write_text("no folder can be made here")
    grammar = load_grammar("wetextprocessing", tmp_path / "file" / "graphs")
    for _ in range(2):
        with pytest.raises(GrammarError):
            grammar.read("りんごを3個", "Japanese")
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_without_a_grammar_numbers_are_read_all_the_same() -> None:
    assert say("我有2个苹果和35本书", "Chinese", grammar="none") == "我有两个苹果和三十五本书"
    assert say("35 cups", grammar="none") == "thirty five cups"


def test_the_original_grammars_read_without_deleting_words(tmp_path: Path) -> None:
    pytest.importorskip("tn", reason="WeTextProcessing is not installed")
    grammar = load_grammar("wetextprocessing", tmp_path)
    assert grammar.read("啊,这儿有2个小孩儿", "Chinese") == "啊,这儿有两个小孩儿"
    assert grammar.read("臺灣有3個", "Chinese") == "臺灣有三個"
    assert grammar.read("りんごを3個", "Japanese") == "りんごを三個"
    assert grammar.read("we have 3 cups", "English") == "we have three cups"
    assert {path.name for path in tmp_path.iterdir()} >= {"zh_tn_tagger.fst", "ja_tn_tagger.fst"}
