"""docs/faults.md names tests that are there, and none of its own is left out."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/faults.md").read_text()
NAMED = set(re.findall(r"`(test_\w+)`", PAGE))


def defined(pattern: str) -> set[str]:
    """The tests in the files of that pattern."""
    files = (ROOT / "tests").rglob(pattern)
    return {
        name for file in files for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }


def test_every_test_that_the_page_names_exists() -> None:
    assert NAMED - defined("test_*.py") == set()


def test_every_fault_of_the_page_names_a_test() -> None:
    rows = re.findall(r"^\| (?!fault|-).+\|$", PAGE, re.MULTILINE)
    assert len(rows) > 15
    without = [row for row in rows if "`test_" not in row and "the same" not in row]
    assert not without


def test_every_test_of_faults_is_on_the_page() -> None:
    # How the time is shared out between the kernel's options is no fault.
    assert defined("test_faults_*.py") - NAMED == {
        "test_a_lost_peer_is_noticed_in_the_time_that_is_given_on_every_system",
        *defined("test_faults_page.py"),
    }
