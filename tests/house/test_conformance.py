"""What a mode should have beyond what it needs to start: each thing it lacks is a sentence, and one that has all says nothing."""

from typing import Annotated, Any, Literal

import msgspec
import pytest

from app.commands.conformance import schema_faults, shortcomings
from app.mode import Disclosure, EndCall, PhoneNumber, Transfer, about, tool
from modes.receptionist import mode as receptionist
from tests.core.flow_samples import HOTLINE
from tests.house.samples import make_settings

SETTINGS = make_settings()


class Came(msgspec.Struct):
    """What came of it."""

    result: str = ""


class Wish(msgspec.Struct):
    """A wish."""

    what: Annotated[str, about("in the caller's words")]
    colour: str = ""


@tool
async def put_through() -> Transfer:
    """Connect the caller to a person."""
    return Transfer(to="billing", reason="asked")


@tool
async def end_call() -> EndCall:
    """End the call."""
    return EndCall(reason="said goodbye")


def lacks(**changes: Any) -> list[str]:
    """What the receptionist with these changes lacks: the first word of each sentence."""
    return [said.partition(":")[0] for said in shortcomings(msgspec.structs.replace(receptionist, **changes), SETTINGS)]


def test_one_that_has_all_lacks_nothing() -> None:
    assert lacks() == []
    assert lacks(tools=[put_through, end_call], first_turn=()) == [], "so few tools need no choice of them"


def test_what_it_lacks_is_told_each_by_itself() -> None:
    assert lacks(outcome=None) == ["outcome"]
    assert lacks(max_prompt_tokens=50) == ["prompt"]
    assert lacks(first_turn=()) == ["first turn"]
    assert lacks(first_turn=receptionist.tools) == ["first turn"]
    assert lacks(first_turn=[end_call], tools=[put_through, end_call]) == ["person"], "not before the second turn"
    assert lacks(disclosure=Disclosure(when="never")) == ["disclosure"]
    assert lacks(disclosure=Disclosure(ai=False, recording=True)) == ["disclosure"]


def test_a_flows_way_to_a_desk_is_a_way_to_a_person() -> None:
    assert "person" not in lacks(tools=[end_call], first_turn=(), flow=HOTLINE.flow)


def told(kind: Any) -> list[str]:
    """The faults of a tool that takes an `it` of this kind."""

    async def ask(it: Any) -> str:
        """Ask."""
        return str(it)

    ask.__annotations__["it"] = kind
    return schema_faults(tool(ask))


@pytest.mark.parametrize(
    "kind",
    [
        Annotated[str, about("their name")],
        Annotated[int, about("how many")] | None,
        Literal["red", "green"],
        Annotated[list[str], about("their names")],
        Annotated[PhoneNumber, about("to ring back")],
    ],
)
def test_arguments_that_a_model_understands(kind: Any) -> None:
    assert told(kind) == []


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (str, "the argument 'it' is not described"),
        (Annotated[dict[str, Any], about("all of it")], "the argument 'it' is a free dict"),
        (Annotated[Any, about("whatever")], "the argument 'it' takes anything"),
        (Annotated[list[dict[str, str]], about("all of it")], "the argument 'it[]' is a free dict"),
        (Annotated[Wish, about("what they want")], "the argument 'it.colour' is not described"),
        (Annotated[Wish | None, about("what they want")], "the argument 'it.colour' is not described"),
    ],
)
def test_arguments_that_a_model_has_to_guess_at(kind: Any, fault: str) -> None:
    (said,) = told(kind)
    assert said.startswith(fault)
