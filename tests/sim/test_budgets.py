"""Budgets: the usual ones, a file's and a script's, and what is said of a figure above its limit."""

from pathlib import Path

import pytest

from app.errors import SetupError
from app.sim.budgets import USUAL, Budgets, exceeded, load


def test_what_is_not_above_its_limit_or_was_not_measured_says_nothing() -> None:
    assert exceeded(USUAL, {"greeting_ms": USUAL.greeting_ms, "barge_in_ms": None, "untrue": 0}) == []


def test_what_is_above_its_limit_is_a_sentence_each() -> None:
    said = exceeded(USUAL, {"greeting_ms": 1501, "tool_ms": 4000, "untrue": 2})
    assert said == [
        "expected a greeting within 1500 ms, got 1501 ms",
        "expected every tool back within 1500 ms, got 4000 ms",
        "expected 0 lines that claim what no tool has done, got 2",
    ]


def test_a_script_comes_before_a_file_and_a_file_before_the_usual(tmp_path: Path) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text("[budgets]\ngreeting_ms = 900\ntool_ms = 5000\n")
    limits = Budgets(greeting_ms=4000).over(load(file))
    assert (limits.greeting_ms, limits.tool_ms, limits.barge_in_ms) == (4000, 5000, USUAL.barge_in_ms)


@pytest.mark.parametrize(
    "text", ["", "greeting_ms = 1", "[budgets]\ngreeting = 1", "[budgets]\ntool_ms = -1", "[budgets"]
)
def test_a_file_that_holds_no_budgets_is_told_with_what_may_be_in_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text(text)
    with pytest.raises(SetupError, match=r"expected a table \[budgets\] with any of greeting_ms"):
        load(file)
    with pytest.raises(SetupError, match="nowhere"):
        load(tmp_path / "nowhere.toml")
