"""Agreement: a writing tool runs only once the caller could have said yes to exactly that."""

from datetime import date
from typing import Any

import pytest

from app.captures.captured import DigitString
from app.core.agreement import Agreements, wish
from app.errors import AskFirst, ToolError

ORDER = {"order": "4711", "why": "It is broken."}


def demand(agreements: Agreements, turns: int, values: dict[str, Any] | None = None, tool: str = "refund") -> None:
    values = ORDER if values is None else values
    agreements.demand(tool, wish(tool, values), values, turns)


def test_the_first_call_is_a_proposal() -> None:
    with pytest.raises(ToolError, match="Nothing was done yet") as refused:
        demand(Agreements(), 3)
    assert "refund" in str(refused.value)


def test_it_runs_once_the_caller_had_a_turn_and_not_before() -> None:
    agreements = Agreements()
    with pytest.raises(ToolError):
        demand(agreements, 3)
    for _ in range(2):
        with pytest.raises(ToolError, match="has not answered"):
            demand(agreements, 3)
    demand(agreements, 4)
    demand(agreements, 4)


def test_what_was_done_is_asked_for_again_before_it_is_done_again() -> None:
    agreements = Agreements()
    with pytest.raises(ToolError):
        demand(agreements, 3)
    demand(agreements, 4)
    agreements.fulfilled("refund", wish("refund", ORDER))
    with pytest.raises(ToolError, match="Nothing was done yet"):
        demand(agreements, 5)


@pytest.mark.parametrize("other", [ORDER | {"order": "4712"}, {"order": "4711"}, ORDER | {"why": "It is late."}])
def test_a_yes_to_one_thing_is_none_to_another(other: dict[str, Any]) -> None:
    agreements = Agreements()
    with pytest.raises(ToolError):
        demand(agreements, 3)
    with pytest.raises(ToolError, match="Nothing was done yet"):
        demand(agreements, 4, other)
    with pytest.raises(ToolError, match="Nothing was done yet"):
        demand(agreements, 4, tool="cancel")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"text": "Please call me back."}, {"text": "please  call me back"}),
        ({"name": "Baker", "day": date(2026, 12, 1)}, {"day": date(2026, 12, 1), "name": "BAKER"}),
        ({"items": ["A", {"b": "C."}]}, {"items": ("a", {"b": "c"})}),
        ({"order": DigitString("4711", confirmed=True)}, {"order": DigitString("4711")}),
    ],
)
def test_the_same_in_other_clothes_is_the_same_wish(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert wish("t", first) == wish("t", second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mail": "a.b@example.com"}, {"mail": "ab@example.com"}),
        ({"amount": -5}, {"amount": 5}),
        ({"amount": 1.5}, {"amount": 15}),
        ({"amount": "-5"}, {"amount": "5"}),
        ({"yes": True}, {"yes": False}),
        ({"a": "x"}, {"b": "x"}),
        ({"order": DigitString("4711")}, {"order": DigitString("4712")}),
    ],
)
def test_what_differs_is_another_wish(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert wish("t", first) != wish("t", second)


def test_any_text_makes_a_wish() -> None:
    assert wish("t", {"text": "\ud800", "odd": object}) == wish("t", {"text": "\ud800", "odd": object})


def test_what_was_read_back_and_confirmed_for_this_tool_is_not_asked_for_twice() -> None:
    agreements = Agreements()
    agreements.read_back["refund"] = (3, {"order": "4711"})
    demand(agreements, 4, {"order": DigitString("4711", confirmed=True)})


@pytest.mark.parametrize(
    "values",
    [
        {"order": DigitString("4711")},
        {"order": DigitString("4711", confirmed=True), "why": "It is broken."},
        {},
    ],
)
def test_what_was_not_read_back_is_asked_for(values: dict[str, Any]) -> None:
    agreements = Agreements()
    agreements.read_back["refund"] = (3, {"order": "4711"})
    with pytest.raises(ToolError, match="Nothing was done yet"):
        demand(agreements, 4, values)


def test_a_value_confirmed_for_looking_something_up_is_no_yes_to_changing_it() -> None:
    agreements = Agreements()
    agreements.read_back["order_status"] = (3, {"order": "4711"})
    values = {"order": DigitString("4711", confirmed=True)}
    with pytest.raises(ToolError, match="Nothing was done yet"):
        demand(agreements, 9, values)
    agreements.read_back["refund"] = (9, {"order": "4711"})
    with pytest.raises(ToolError):
        demand(agreements, 9, values)


def test_a_proposal_that_was_left_lying_is_made_anew() -> None:
    agreements = Agreements()
    with pytest.raises(AskFirst, match="Nothing was done yet"):
        agreements.demand("cancel", "cancel 1", {}, 4)
    with pytest.raises(AskFirst, match="Nothing was done yet"):
        agreements.demand("cancel", "cancel 1", {}, 40)
    agreements.demand("cancel", "cancel 1", {}, 41)
