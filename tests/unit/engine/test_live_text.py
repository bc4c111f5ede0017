"""Live text against a byte-level BPE that cuts words as Qwen2's tokenizer does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwen3_tts_live.engine.live_text import LiveText

tokenizers = pytest.importorskip("tokenizers")

# Published with the Qwen2 tokenizer: how text is cut into words before any merge.
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = (
    "Hello there, it's a hello to the world. They're here; we've 20 of them, don't you know?\n"
    "你好,世界。今天天气很好,我们去公园吧!你好世界。\n"
    "C'est l'été, déjà vu... naïve café — coöperate. Größe über Straße.\n"
    "これはテストです。한국어 문장입니다. Привет, мир!  Two  spaces -- and dashes ...\n"
) * 20

TEXT = st.text(
    st.one_of(
        st.sampled_from(list("aehlost'dREve .,!?-\n\t 好你世界。,1239éß\u0301\u0308ㄱ가<|>_~—…")),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS.splitlines(),
        trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False),
    )
    return made


def pushed(tokenizer: Any, pieces: list[str]) -> list[int]:
    live = LiveText(lambda text: tokenizer.encode(text).ids)
    ids = [token for piece in pieces for token in live.push(piece)]
    return ids + live.finish()


@settings(max_examples=400)
@given(text=TEXT, cuts=st.lists(st.integers(0, 40), max_size=8))
@example(text="they've  gone.", cuts=[4, 5, 6, 7, 8])
@example(text="e\u0301te\u0301.", cuts=[1, 2, 3, 4])
@example(text="\n\n a \n \n b", cuts=[1, 3, 5, 6, 7])
def test_any_pieces_give_the_ids_of_the_whole_text(
    tokenizer: Any, text: str, cuts: list[int]
) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert pushed(tokenizer, pieces) == tokenizer.encode(text.strip()).ids


@pytest.mark.parametrize("line", CORPUS.splitlines()[:4])
def test_a_character_at_a_time_gives_the_ids_of_the_whole_text(tokenizer: Any, line: str) -> None:
    assert pushed(tokenizer, list(line)) == tokenizer.encode(line.strip()).ids


def test_words_are_certain_as_soon_as_the_next_one_begins(tokenizer: Any) -> None:
    live = LiveText(lambda text: tokenizer.encode(text).ids)
    assert live.push("hel") == []
    assert live.push("lo") == []
    assert live.push(" wor") == tokenizer.encode("hello").ids
    assert live.push("ld,") == tokenizer.encode(" world").ids
    assert live.finish() == tokenizer.encode(",").ids


def test_a_chinese_clause_is_certain_at_its_comma(tokenizer: Any) -> None:
    live = LiveText(lambda text: tokenizer.encode(text).ids)
    assert live.push("今天天气") == []
    assert live.push("很好,我们") == tokenizer.encode("今天天气很好").ids


def test_white_space_around_the_text_is_dropped(tokenizer: Any) -> None:
    assert pushed(tokenizer, ["\n ", "\n hello", " \n"]) == tokenizer.encode("hello").ids
    assert pushed(tokenizer, [" ", "\n"]) == []
