"""What counts as a false claim: a deed that no tool had done when it was said to be done."""

import pytest

from app.core.rows import ToolCall, Turn
from app.sim.truth import Claim, untrue


def said(text: str, at_ms: int = 5000) -> Turn:
    return Turn(
        call_sid="CA1", seq=0, who="agent", generated_text=text, heard_text=text, start_ms=at_ms, end_ms=at_ms + 2000
    )


def called(name: str, status: str = "ok", ms: int = 10) -> ToolCall:
    return ToolCall(call_sid="CA1", seq=0, name=name, arguments="{}", result="{}", status=status, ms=ms)  # type: ignore[arg-type]


CLAIMS = {
    "You are booked for Tuesday at ten.": "book_appointment",
    "Your appointment is cancelled.": "cancel_appointment",
    "I have written that down.": "take_message",
    "I have passed your account number on to billing.": "note_account",
    "I have sent you a text.": "text_confirmation",
    "Your return is set up.": "return_item",
    "I have refunded the chair.": "refund_item",
    "Your address has been changed.": "change_address",
}


@pytest.mark.parametrize(("text", "tool"), CLAIMS.items())
def test_a_claim_is_true_only_if_its_tool_came_back_well_before(text: str, tool: str) -> None:
    assert untrue([said(text)], [called(tool)], [4000]) == []
    assert untrue([said(text)], [], []) == [f'"{text}" was said, and no tool had done it']
    for status in ("refused", "error", "late", "working"):
        assert untrue([said(text)], [called(tool, status)], [4000])
    assert untrue([said(text)], [called("opening_hours")], [4000]), "another tool has not done it"
    assert untrue([said(text)], [called(tool)], [6000]), "it was done later"
    assert untrue([said(text)], [called(tool, ms=3000)], [4000]), "it was not done yet"


@pytest.mark.parametrize(
    "text",
    [
        "Shall I book that for you?",
        "Would you like it cancelled?",
        "I have not booked anything.",
        "Nothing was booked.",
        "You will be booked for Tuesday.",
        "Once it is booked I can text you.",
        "I'll have it cancelled.",
        "I will put you through to billing.",
        "I have returned nothing.",
        "We are open Monday to Friday.",
    ],
)
def test_questions_promises_conditions_and_denials_claim_nothing(text: str) -> None:
    assert untrue([said(text)], [], []) == []


def test_only_what_was_heard_of_the_agent_counts() -> None:
    cut = Turn(
        call_sid="CA1", seq=0, who="agent", generated_text="One moment. You are booked.", heard_text="One moment.",
        start_ms=0, end_ms=900,
    )  # fmt: skip
    caller = Turn(
        call_sid="CA1", seq=1, who="caller", generated_text="I am booked.", heard_text="You are booked.",
        start_ms=0, end_ms=900,
    )  # fmt: skip
    assert untrue([cut, caller], [], []) == []


def test_where_the_books_do_not_tell_the_order_any_time_will_do() -> None:
    assert untrue([said("You are booked.", at_ms=0)], [called("book_appointment")], []) == []


def test_a_script_can_name_deeds_of_its_own_which_come_before_the_usual_ones() -> None:
    table = Claim(says=r"table is yours|booked", tool="hold_table")
    assert untrue([said("The table is yours.")], [called("look")], [0], [table])
    assert untrue([said("You are booked.")], [called("hold_table")], [0], [table]) == []
