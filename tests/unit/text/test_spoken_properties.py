"""What holds for the spoken form of every text there is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen3_tts_live.text.languages import AUTO, LANGUAGES
from qwen3_tts_live.text.settings import NormalizerSettings
from qwen3_tts_live.text.spoken import Spoken, SpokenForms
from spoken_cases import cases

often = settings(max_examples=150)

FORMS = {language: SpokenForms(NormalizerSettings(), language) for language in (*LANGUAGES, AUTO)}
SESSIONS = st.sampled_from(sorted(FORMS))
CASES = list(cases())
WRITTEN = [case.written for case in CASES]
ANYTHING = st.text(st.characters(), max_size=40)
# Where rules meet: digits, marks, letters that can be units, words of several scripts.
DENSE = st.text(
    st.sampled_from(
        "00123456789-+.,:/%°~–$€£¥#@&*_=<>()'\" ²³½×÷√aABIVXmkgGhs年月日点个元第后万到の円개원시ßéвгд"
    ),
    max_size=16,
)
PASTED = st.lists(st.sampled_from(WRITTEN), min_size=1, max_size=4).map(" ".join)

# A sentence with a number in it, of each language, and one without anything to read.
FRAMES = {
    "Chinese": ("我们昨天一共买了", "只杯子"),
    "English": ("we bought ", " cups there"),
    "Japanese": ("昨日カップを", "個買いました"),
    "Korean": ("어제 컵을 ", "개 샀어요"),
    "German": ("wir haben gestern ", " tassen gekauft"),
    "French": ("nous avons pris ", " tasses hier"),
    "Russian": ("мы вчера купили ", " чашек здесь"),
    "Portuguese": ("nós compramos ", " copos ontem"),
    "Spanish": ("nosotros compramos ", " vasos ayer"),
    "Italian": ("abbiamo comprato ", " bicchieri ieri"),
}
NUMERALS = {
    "Chinese": "零一二三四五六七八九十百千万亿两",
    "Korean": "영공일이삼사오육칠팔구십백천만억조한두세네",
}


def holds(text: str, spoken: Spoken) -> None:
    assert not [char for char in spoken.text if char.isdigit()]
    if any(char.isalnum() for char in text):
        assert spoken.text.strip()
    assert spoken.language in LANGUAGES
    places = [spoken.source_offset(offset) for offset in range(len(spoken.text) + 1)]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == (len(text) if spoken.text else 0)
    spoken.text.encode()  # no lone surrogate is left


@often
@given(text=ANYTHING, session=SESSIONS)
def test_any_text_becomes_words_without_digits(text: str, session: str) -> None:
    holds(text, FORMS[session].speak(text))


@often
@given(text=DENSE, session=SESSIONS)
def test_dense_notation_becomes_words_without_digits(text: str, session: str) -> None:
    holds(text, FORMS[session].speak(text))


@often
@given(text=PASTED, session=SESSIONS)
def test_pasted_notation_becomes_words_without_digits(text: str, session: str) -> None:
    holds(text, FORMS[session].speak(text))


def test_every_written_case_stays_as_it_is_when_read_again() -> None:
    for case in CASES:
        once = FORMS[case.session].speak(case.written).text
        assert FORMS[case.session].speak(once).text == once


@often
@given(data=st.data(), language=st.sampled_from(sorted(FRAMES)))
def test_what_has_been_read_once_is_not_read_again(data: st.DataObject, language: str) -> None:
    written = [case.written for case in CASES if case.session == language]
    parts = data.draw(st.lists(st.sampled_from(written), min_size=1, max_size=3))
    once = FORMS[language].speak("。".join(parts) if language == "Chinese" else ". ".join(parts))
    assert FORMS[language].speak(once.text).text == once.text


@often
@given(data=st.data(), language=st.sampled_from(sorted(FRAMES)))
def test_words_alone_come_out_unchanged(data: st.DataObject, language: str) -> None:
    before, after = FRAMES[language]
    letters = sorted({char for char in before + after if char.isalpha()})
    word = st.text(st.sampled_from(letters), min_size=3, max_size=9)
    marks = "，！？。" if language in ("Chinese", "Japanese") else ", ! ?"
    text = "".join(
        part + data.draw(st.sampled_from(marks)) for part in data.draw(st.lists(word, max_size=9))
    )
    assert FORMS[language].speak(text).text == text


@often
@given(
    number=st.from_regex(r"[0-9]{1,40}", fullmatch=True), language=st.sampled_from(sorted(FRAMES))
)
def test_a_number_adds_words_and_takes_none(number: str, language: str) -> None:
    before, after = FRAMES[language]
    said = FORMS[language].speak(before + number + after).text
    assert said.startswith(before)
    assert said.endswith(after.strip())
    assert any(char.isalnum() for char in said[len(before) : len(said) - len(after)])


@often
@given(
    numbers=st.lists(st.integers(0, 99999), min_size=3, max_size=3),
    order=st.permutations(["Chinese", "English", "Russian"]),
    session=st.sampled_from([AUTO, "Chinese"]),
)
def test_each_number_is_in_the_language_of_its_own_sentence(
    numbers: list[int], order: list[str], session: str
) -> None:
    marks = {"Chinese": "。"}
    sentences = [
        FRAMES[language][0] + str(number) + FRAMES[language][1] + marks.get(language, ".")
        for language, number in zip(order, numbers, strict=True)
    ]
    alone = [
        FORMS[language].speak(sentence).text
        for language, sentence in zip(order, sentences, strict=True)
    ]
    assert FORMS[session].speak(" ".join(sentences)).text == " ".join(alone)


@pytest.mark.parametrize("language", sorted(set(FRAMES) - {"Chinese", "Japanese"}))
def test_no_chinese_numeral_enters_another_language(language: str) -> None:
    for case in CASES:
        if case.session == language and not any(char >= "\u3400" for char in case.written):
            said = FORMS[language].speak(case.written).text
            assert not set(said) & set(NUMERALS["Chinese"])


def test_every_unicode_digit_is_read() -> None:
    digits = [chr(code) for code in range(0x110000) if chr(code).isdigit()]
    assert len(digits) > 700
    for char in digits:
        said = FORMS["English"].speak(f"take {char} now").text
        assert not any(other.isdigit() for other in said), unicodedata.name(char)
        assert len(said.split()) >= 3
