"""Written cases in ten languages, and Chinese news, against what people say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen3_tts_live.text.settings import GrammarName, NormalizerSettings
from qwen3_tts_live.text.spoken import SpokenForms
from spoken_cases import Case, cases, heard

CASES = list(cases())
NEWS = Path(__file__).parent / "data" / "zh_news_dev.jsonl"
GRAMMARS: list[GrammarName] = ["wetext", "none"]


def spoken(written: str, session: str, **settings: Any) -> str:
    return SpokenForms(NormalizerSettings(**settings), session).speak(written).text


def news_targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for line in NEWS.read_text("utf-8").splitlines():
        record = json.loads(line)
        for target in record["targets"]:
            if target["auto_evaluable"]:
                yield record["text"], target


def test_the_table_has_all_ten_languages_and_hundreds_of_cases() -> None:
    assert len(CASES) >= 400
    assert len({case.session for case in CASES}) == 11  # ten and Auto


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_written_cases_are_read_as_people_read_them(grammar: GrammarName) -> None:
    def is_wrong(case: Case) -> bool:
        return heard(spoken(case.written, case.session, grammar=grammar)) not in case.readings

    wrong = [case for case in CASES if is_wrong(case)]
    assert len(wrong) <= len(CASES) * 0.02, wrong


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_no_reading_changes_the_meaning(grammar: GrammarName) -> None:
    # Plain punctuation of taste apart, every case of these kinds states a quantity or a fact.
    soft = {"abbr", "symbol", "plain", "markup", "lexical"}
    hard = [case for case in CASES if case.kind not in soft]
    wrong = [
        case
        for case in hard
        if heard(spoken(case.written, case.session, grammar=grammar)) not in case.readings
    ]
    assert not wrong


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_chinese_news_is_read_right(grammar: GrammarName) -> None:
    def squeezed(text: str) -> str:
        return "".join(text.split())

    right, wrong, total = 0, [], 0
    for text, target in news_targets():
        said = squeezed(spoken(text, "Chinese", grammar=grammar))
        total += 1
        right += any(squeezed(reading) in said for reading in target["positive_readings"])
        if any(squeezed(reading) in said for reading in target["negative_readings"]):
            wrong.append((text, said))
    assert total == 248
    assert right >= total * 0.95
    assert not wrong


@pytest.mark.parametrize(
    ("written", "session", "said"),
    [
        ("2025", "Chinese", "二零二五"),
        ("从2025开始", "Auto", "从二零二五开始"),
        ("RISC-V", "Chinese", "R I S C V"),
        ("AI", "Chinese", "A I"),
        ("AI", "Auto", "A I"),
        ("LLM", "Auto", "L L M"),
    ],
)
def test_the_promised_examples_hold_to_the_letter(written: str, session: str, said: str) -> None:
    assert spoken(written, session) == said
