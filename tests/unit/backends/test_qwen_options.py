from __future__ import annotations

from typing import Any

import pytest

from qwen3_tts_live.backends.qwen_options import QwenOptions, with_settings
from qwen3_tts_live.errors import InvalidRequestError
from qwen3_tts_live.model.contract import Sampling

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"slots": 0}, "slots"),
    ({"chunk_size": 0}, "chunk_size"),
    ({"first_chunk": -1}, "first_chunk"),
    ({"max_frames": 0}, "max_frames"),
    ({"pre_buffer": -1}, "pre_buffer"),
    ({"max_ahead": 0.0}, "max_ahead"),
    ({"max_ahead": float("nan")}, "max_ahead"),
    ({"ref_text": "Hello."}, "ref_audio"),
    ({"ref_text": " ", "ref_audio": "a.wav"}, "blank"),
    ({"temperature": 0.0}, "greedy"),
    ({"temperature": float("nan")}, "above 0"),
    ({"temperature": float("inf")}, "above 0"),
    ({"repetition_penalty": 0.0}, "repetition_penalty"),
    ({"top_k": -1}, "top_k"),
    ({"top_p": 1.5}, "top_p"),
    ({"predictor_top_p": 0.0}, "predictor_top_p"),
]


@pytest.mark.parametrize(("values", "clue"), WRONG)
def test_values_that_make_no_sense_are_refused_with_what_does(
    values: dict[str, Any], clue: str
) -> None:
    with pytest.raises(InvalidRequestError, match=clue):
        QwenOptions(**values)


def test_only_what_is_given_changes_the_checkpoints_own_settings() -> None:
    own = Sampling(temperature=0.7, top_k=20)
    options = QwenOptions(temperature=1, top_p=0.5)
    changed = with_settings(own, options.sampling)
    assert (changed.temperature, changed.top_k, changed.top_p) == (1, 20, 0.5)
    assert with_settings(own, QwenOptions().sampling) == own


@pytest.mark.parametrize(
    ("name", "value"),
    [("greedy", 1), ("temperature", True), ("temperature", "hot"), ("top_k", 2.5), ("top_k", None)],
)
def test_settings_of_a_wrong_type_are_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=name):
        with_settings(Sampling(), {name: value})


@pytest.mark.parametrize("name", ["seed", "tempreature", ""])
def test_an_unknown_setting_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"known: .*temperature, top_k"):
        with_settings(Sampling(), {name: 1})


def test_a_described_voice_may_take_its_time_and_a_cloned_one_less() -> None:
    options = QwenOptions(max_frames=500)
    assert options.limits(paced=True).frames_a_token > options.limits(paced=False).frames_a_token
    assert options.limits(paced=True).max_frames == options.limits(paced=False).max_frames == 500


def test_some_audio_is_always_made_ahead() -> None:
    assert QwenOptions(max_ahead=0.001).max_ahead_frames == 1
    assert QwenOptions(max_ahead=2.0).max_ahead_frames == 25
