from __future__ import annotations

import pytest

from qwen3_tts_live.errors import UnknownLanguageError
from qwen3_tts_live.text.languages import LANGUAGES, canonical_language, guess_language


@pytest.mark.parametrize("name", ["Chinese", "chinese", "ZH", "zh-CN", "zh_hans_cn", "cmn", " zh "])
def test_a_language_has_many_names(name: str) -> None:
    assert canonical_language(name) == "Chinese"


@pytest.mark.parametrize("name", ["Auto", "auto", ""])
def test_auto_is_a_language_too(name: str) -> None:
    assert canonical_language(name) == "Auto"


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownLanguageError) as caught:
        canonical_language("tlh-" + "x" * 1000)
    assert all(language in caught.value.message for language in LANGUAGES)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好 world", "Chinese"),
        ("日本語です", "Japanese"),
        ("안녕 hello", "Korean"),
        ("Привет", "Russian"),
        ("hello", "English"),
        ("", "English"),
    ],
)
def test_the_script_suggests_the_language(text: str, language: str) -> None:
    assert guess_language(text) == language
