from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_tts_live.engine.guards import Cut, Guard, GuardLimits
from qwen3_tts_live.model.contract import Frame


def fires(
    codes: list[int], limits: GuardLimits, *, tokens: int, complete: bool = True
) -> tuple[int, Cut] | None:
    """Return the number of frames that it let through and why, or None if it never fired."""
    guard = Guard(limits)
    for count, code in enumerate(codes, start=1):
        cut = guard.check(Frame(0, (code, *range(15))), text_tokens=tokens, text_complete=complete)
        if cut is not None:
            return count, cut
    return None


def test_ten_equal_ids_in_a_row_are_a_loop_once_the_text_can_have_been_said() -> None:
    assert fires([*range(30), *[5] * 30], GuardLimits(), tokens=10) == (40, "loop")


def test_while_the_text_may_still_be_running_only_twenty_in_a_row_are_a_loop() -> None:
    codes = [*range(30), *[5] * 40]
    assert fires(codes, GuardLimits(), tokens=100) == (50, "loop")
    assert fires(codes, GuardLimits(), tokens=10, complete=False) == (50, "loop")


def test_the_other_fifteen_books_do_not_count() -> None:
    guard = Guard(GuardLimits())
    cuts = [
        guard.check(Frame(0, (3, *[n] * 15)), text_tokens=1, text_complete=True) for n in range(10)
    ]
    assert cuts == [None] * 9 + ["loop"]


def test_the_loop_guard_can_be_turned_off() -> None:
    assert fires([5] * 100, GuardLimits(loop=False), tokens=10) is None


def test_a_short_text_has_a_floor_and_a_long_one_a_budget_by_its_tokens() -> None:
    endless = [n % 7 for n in range(2000)]
    assert fires(endless, GuardLimits(), tokens=1) == (192, "text_budget")
    assert fires(endless, GuardLimits(), tokens=20) == (240, "text_budget")
    assert fires(endless, GuardLimits(), tokens=300) == (1024, "max_frames")


def test_there_is_no_text_budget_before_the_text_is_complete() -> None:
    assert fires([n % 7 for n in range(500)], GuardLimits(), tokens=1, complete=False) is None


@given(st.integers(1, 250), st.data())
def test_none_fires_on_speech_at_an_ordinary_pace(tokens: int, data: st.DataObject) -> None:
    # Two to four frames a token, an id at most four times in a row.
    runs = data.draw(st.lists(st.integers(1, 4), min_size=tokens, max_size=tokens))
    codes = [number for number, run in enumerate(runs) for _ in range(run)]
    assert fires(codes, GuardLimits(), tokens=tokens) is None


@pytest.mark.parametrize("field", ["max_frames", "frames_a_token", "least_frames"])
def test_limits_below_one_frame_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1 frame"):
        GuardLimits(**{field: 0})
