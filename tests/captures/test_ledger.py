"""Conversations about a value: read back, agreed to, corrected, typed. What the house believes is the caller's turns alone."""

from typing import Annotated, Any

import pytest

from app.captures.ledger import CaptureLedger
from app.core.rows import Capture
from app.mode import (
    Captured,
    Confirmed,
    DigitRule,
    DigitString,
    EmailAddress,
    PersonName,
    PhoneNumber,
    PostalCode,
    Tool,
    ToolError,
    tool,
)
from tests.captures.scene import Here, here


@tool
async def ring_back(phone: Confirmed[PhoneNumber], name: PersonName | None = None) -> str:
    """Have the caller rung back."""
    return f"{phone.value} {name}"


@tool
async def look_up(phone: PhoneNumber) -> str:
    """Look for a number."""
    return phone.value


@tool
async def send_to(email: Confirmed[EmailAddress]) -> str:
    """Send it."""
    return email.value


@tool
async def find_order(
    order: Confirmed[Annotated[DigitString, DigitRule(lengths=(4,))]], email: Confirmed[EmailAddress]
) -> str:
    """Find an order."""
    return order.value


@tool
async def shop(code: Confirmed[PostalCode]) -> str:
    """Find the shop."""
    return code.value


class Talk:
    """One call: the caller speaks or types, the model calls tools."""

    def __init__(self, first_seq: int = 0, country: str = "US") -> None:
        self.rows: dict[int, Capture] = {}
        self.ledger = CaptureLedger("CA1", self._kept, first_seq)
        self.scene: Here = here(country)

    def _kept(self, row: Capture) -> None:
        self.rows[row.seq] = row

    def speaks(self) -> None:
        self.scene.caller_turns += 1

    def calls(self, which: Tool, **heard: str) -> dict[str, Any]:
        """What the tool would be run with."""
        values = {name: heard.get(name) for name in which.arguments_type.__struct_fields__}
        return self.ledger.settle(which.name, which.captures, values, self.scene)

    def refused(self, which: Tool, **heard: str) -> str:
        with pytest.raises(ToolError) as refusal:
            self.calls(which, **heard)
        return str(refusal.value)

    def row(self, seq: int = 0) -> tuple[str, bool, int]:
        row = self.rows[seq]
        return row.value, row.confirmed, row.failures


def test_a_value_is_read_back_agreed_to_and_only_then_used() -> None:
    talk = Talk()
    said = talk.refused(ring_back, phone="four one five, triple five, oh one double oh")
    assert said == (
        "ring_back was not run. Read the phone back to the caller and ask whether it is right: 4 1 5, 5 5 5, 0 1 0 0. If they "
        'agree, call again with phone="+14155550100"; if they correct it, with what they say instead.'
    )
    assert talk.row() == ("+14155550100", False, 0)
    talk.speaks()
    phone = talk.calls(ring_back, phone="+14155550100")["phone"]
    assert (type(phone), phone.value, phone.confirmed) == (PhoneNumber, "+14155550100", True)
    assert talk.rows == {
        0: Capture(
            call_sid="CA1",
            seq=0,
            kind="phone",
            argument="phone",
            heard="+14155550100",
            value="+14155550100",
            confirmed=True,
            failures=0,
        )
    }


def test_a_model_that_does_not_wait_for_the_answer_gets_nowhere() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    for _ in range(5):
        assert "has not answered" in talk.refused(ring_back, phone="415 555 0100")
    assert talk.row() == ("+14155550100", False, 0)


def test_what_was_agreed_to_once_is_not_asked_again() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    talk.speaks()
    talk.calls(ring_back, phone="415 555 0100")
    assert talk.calls(ring_back, phone="four one five 555 0100")["phone"].confirmed
    assert talk.calls(look_up, phone="4155550100")["phone"].confirmed, "by another tool too"
    assert len(talk.rows) == 1


def test_a_correction_is_read_back_again_and_counts_as_a_failure() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    talk.speaks()
    assert "0 1 0 1" in talk.refused(ring_back, phone="415 555 0101")
    assert talk.row() == ("+14155550101", False, 1)
    talk.speaks()
    assert talk.calls(ring_back, phone="415 555 0101")["phone"].value == "+14155550101"
    assert talk.row() == ("+14155550101", True, 1)


def test_a_model_that_changes_its_mind_without_the_caller_is_no_failure_of_the_caller_s() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    talk.refused(ring_back, phone="415 555 0101")
    assert talk.row() == ("+14155550101", False, 0)
    assert "has not answered" in talk.refused(ring_back, phone="415 555 0101")


def test_after_two_corrections_the_number_is_typed_and_read_back_once_more() -> None:
    talk = Talk()
    for last in "012":
        said = talk.refused(ring_back, phone=f"415 555 010{last}")
        talk.speaks()
    assert "type the phone" in said
    assert "pound key" in said
    assert talk.row() == ("", False, 2)
    assert "4 1 5, 5 5 5, 0 1 4 9" in talk.refused(ring_back, phone="4 1 5 5 5 5 0 1 4 9 #")
    talk.speaks()
    assert talk.calls(ring_back, phone="4155550149")["phone"].confirmed
    assert talk.row() == ("+14155550149", True, 2)


def test_while_it_is_to_be_typed_nothing_is_taken_before_the_caller_has_had_a_turn() -> None:
    talk = Talk()
    for last in "012":
        talk.refused(ring_back, phone=f"415 555 010{last}")
        talk.speaks()
    talk.scene.caller_turns -= 1
    assert "type the phone" in talk.refused(ring_back, phone="415 555 0102")
    assert talk.row() == ("", False, 2)


def test_after_two_unreadable_ones_it_is_typed() -> None:
    talk = Talk()
    first = talk.refused(ring_back, phone="four one five mumble")
    assert "'mumble'" in first
    assert "slowly" in first
    talk.speaks()
    second = talk.refused(ring_back, phone="555 0100")
    assert "area code is missing" in second
    assert "type the phone" in second
    assert talk.row() == ("", False, 2)
    talk.speaks()
    assert "4 1 5, 5 5 5, 0 1 0 0" in talk.refused(ring_back, phone="4 1 5 5 5 5 0 1 0 0 #")


def test_the_same_mumbling_sent_twice_is_one_failure() -> None:
    talk = Talk()
    for _ in range(4):
        assert "slowly" in talk.refused(ring_back, phone="mumble")
    assert talk.row() == ("", False, 1)


def test_what_cannot_be_typed_is_spelled_with_words_after_two_failures() -> None:
    talk = Talk()
    for _ in range(2):
        said = talk.refused(send_to, email="something at somewhere")
        talk.speaks()
    assert "a word for each letter" in said
    assert "type" not in said
    assert "J-O-H-N" in talk.refused(send_to, email="john at example dot com")
    talk.speaks()
    assert talk.calls(send_to, email="john@example.com")["email"].value == "john@example.com"


def test_a_postal_code_with_letters_cannot_be_typed_where_they_have_them() -> None:
    for country, typed in (("US", True), ("GB", False)):
        talk = Talk(country=country)
        for _ in range(2):
            said = talk.refused(shop, code="mumble mumble")
            talk.speaks()
        assert ("type the code" in said) is typed


def test_after_four_failures_the_agent_gives_up() -> None:
    talk = Talk()
    for _ in range(4):
        said = talk.refused(ring_back, phone="mumble")
        talk.speaks()
    assert "cannot be understood" in said
    assert "person" in said
    assert talk.row() == ("", False, 4)
    assert "4 1 5" in talk.refused(ring_back, phone="4155550100"), "but what can be read is still taken"


def test_after_four_corrections_nothing_is_taken_that_was_not_read_back() -> None:
    talk = Talk()
    for name in ("ann", "bob", "carl", "dora", "eve"):
        said = talk.refused(send_to, email=f"{name}@example.com")
        talk.speaks()
    assert "cannot be understood" in said
    assert "Read the email back" in talk.refused(send_to, email="eve@example.com")


def test_another_value_after_the_agreed_one_is_a_new_capture() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    talk.speaks()
    talk.calls(ring_back, phone="415 555 0100")
    talk.speaks()
    assert "Read the phone back" in talk.refused(ring_back, phone="415 555 0101")
    assert [talk.row(seq) for seq in (0, 1)] == [("+14155550100", True, 0), ("+14155550101", False, 0)]
    assert "Read the phone back" in talk.refused(ring_back, phone="415 555 0100"), "the first one holds no more"


def test_a_plain_value_arrives_at_once_and_is_marked() -> None:
    talk = Talk()
    phone = talk.calls(look_up, phone="415 555 0100")["phone"]
    assert isinstance(phone, Captured)
    assert (phone.value, phone.confirmed) == ("+14155550100", False)
    assert talk.row() == ("+14155550100", False, 0)
    talk.speaks()
    assert not talk.calls(look_up, phone="415 555 0100")["phone"].confirmed, "nobody read it back"
    assert "Read the phone back" in talk.refused(ring_back, phone="415 555 0100"), "so it confirms nothing"


def test_a_plain_value_does_not_undo_that_the_same_was_read_back() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    talk.calls(look_up, phone="415 555 0100")
    talk.speaks()
    assert talk.calls(ring_back, phone="415 555 0100")["phone"].confirmed


def test_a_plain_value_that_cannot_be_read_is_asked_for_again() -> None:
    talk = Talk()
    assert "could not be read" in talk.refused(look_up, phone="mumble")
    talk.speaks()
    assert "type the phone" in talk.refused(look_up, phone="mumble")
    talk.speaks()
    assert talk.calls(look_up, phone="4 1 5 5 5 5 0 1 0 0 #")["phone"].value == "+14155550100"


def test_what_may_be_left_out_is_none_whether_missing_null_or_empty() -> None:
    talk = Talk()
    talk.refused(ring_back, phone="415 555 0100")
    talk.speaks()
    for heard in ({}, {"name": ""}, {"name": "  "}):
        assert talk.calls(ring_back, phone="415 555 0100", **heard)["name"] is None
    assert talk.calls(ring_back, phone="415 555 0100", name="A N N A")["name"].value == "Anna"


def test_several_values_are_asked_for_in_one_go() -> None:
    talk = Talk()
    said = talk.refused(find_order, order="one two three four", email="mumble")
    assert "1 2 3 4" in said
    assert "email could not be read" in said
    talk.speaks()
    said = talk.refused(find_order, order="1234", email="ann at example dot com")
    assert "1 2 3 4" not in said, "the order is settled"
    assert "A-N-N" in said
    talk.speaks()
    assert talk.calls(find_order, order="1234", email="ann@example.com")["order"].confirmed
    assert [(row.kind, row.argument, row.confirmed) for row in talk.rows.values()] == [
        ("digits", "order", True),
        ("email", "email", True),
    ]


def test_a_megabyte_is_refused_and_neither_repeated_nor_kept() -> None:
    talk = Talk()
    assert len(talk.refused(ring_back, phone="9" * 1_000_000)) < 400
    assert len(talk.rows[0].heard) == 300


def test_a_call_that_goes_on_in_another_process_writes_behind_its_rows() -> None:
    talk = Talk(first_seq=7)
    talk.refused(ring_back, phone="415 555 0100")
    assert list(talk.rows) == [7]
