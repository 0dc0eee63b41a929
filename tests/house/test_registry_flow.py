"""A mode's flow at start-up: everything wrong with it is a sentence, and a sound one says nothing."""

from typing import Any

import msgspec
import pytest

from app.flow_check import flow_faults, settle_desks, transfers
from app.mode import Digits, EndCall, Flow, Go, Mode, State, Transfer, tool
from app.registry import check
from tests.core.flow_samples import HOTLINE
from tests.house.samples import OFFICE


@tool
async def look(number: str = "") -> str:
    """Look it up."""
    return number


@tool
async def fetch(number: str = "") -> str | Transfer | EndCall:
    """Look it up, or fetch a person."""
    return number


@tool
async def book(day: str, name: str) -> str:
    """Book it."""
    return f"{day} {name}"


DESK = Go(to="desk:billing", key="0")


def mode(*states: State, start: str = "menu", start_closed: str = "", **more: Any) -> Mode:
    """A mode of these states."""
    flow = Flow(states=states, start=start, start_closed=start_closed)
    return Mode(name="m", prompt="m.md", tools=more.pop("tools", [look]), flow=flow)


def state(*go: Go, name: str = "menu", says: str = "Ask.", **more: Any) -> State:
    """A state with a way to a person."""
    return State(name=name, says=says, go=[*go, DESK], **more)


def faults(*states: State, **more: Any) -> list[str]:
    """Everything that is said of a mode of these states."""
    return [fault.removeprefix("flow: ") for fault in flow_faults(mode(*states, **more))]


def test_a_sound_flow_says_nothing_and_neither_does_a_mode_without_one() -> None:
    assert faults(state(Go(to="end", intent="nothing more"), Go(to="menu", tool="look", when={"found": True}))) == []
    assert flow_faults(msgspec.structs.replace(mode(state()), flow=None)) == []


def test_the_registry_tells_a_flows_faults_with_the_modes_name() -> None:
    said = check("m", mode(state(), start="nowhere"), OFFICE)
    assert "mode 'm': flow: start: expected one of menu, got 'nowhere'" in said


def test_a_flow_without_states_and_unknown_beginnings() -> None:
    assert faults() == ["expected at least one state, got none"]
    assert faults(state(), start="") == ["start: expected one of menu, got ''"]
    assert faults(state(), start_closed="night") == ["start_closed: expected one of menu, got 'night'"]


@pytest.mark.parametrize("name", ["end", "desk:billing", "", "Main menu", "x" * 41])
def test_names_that_a_state_cannot_have(name: str) -> None:
    said = faults(state(name=name), start=name)
    assert f"state {name!r}: expected a name of small letters, digits and _ that is not 'end'" in said


def test_a_state_twice_and_one_that_says_nothing() -> None:
    said = faults(state(), state(says=" "))
    assert said == [
        "the state 'menu' is there twice",
        "state 'menu': expected `says`: one or two sentences for the model",
    ]


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        (Go(to="menu"), "expected exactly one of tool, key, intent, correction, failures, got none"),
        (
            Go(to="menu", key="1", intent="one", failures=2),
            "expected exactly one of tool, key, intent, correction, failures, got key, intent, failures",
        ),
        (Go(to="menu", tool="paint"), "expected a tool that is offered here, one of look, got 'paint'"),
        (Go(to="menu", key="1", when={"a": 1}), "`when` looks at a tool's answer; expected `tool` with it"),
        (Go(to="menu", key="12"), "expected a key, one of 0-9, * and #, got '12'"),
        (Go(to="menu", key="A"), "expected a key, one of 0-9, * and #, got 'A'"),
        (Go(to="menu", intent="x", min_confidence=60), "expected a min_confidence from 0 to 1, got 60"),
        (Go(to="menu", failures=-1), "expected failures of 1 or more, got -1"),
    ],
)
def test_what_a_way_cannot_be(way: Go, fault: str) -> None:
    assert f"state 'menu': the way to 'menu': {fault}" in faults(state(way))


def test_ways_that_lead_nowhere() -> None:
    assert faults(state(Go(to="cellar", key="1"))) == [
        "state 'menu': the way to 'cellar': expected a state, desk:NAME or 'end'; states are menu"
    ]


def test_a_way_to_a_desk_that_the_business_lacks_leads_to_its_first_with_one_warning_for_each() -> None:
    three = mode(state(Go(to="desk:sales", key="1"), Go(to="desk:sales", failures=3), Go(to="desk:nobody", key="2")))
    settled, warnings = settle_desks(three, OFFICE)
    assert faults(*(three.flow.states if three.flow else ())) == []
    assert settled.flow is not None
    assert {way.to for way in settled.flow.states[0].go} == {"desk:billing"}
    assert warnings == [
        "mode 'm': the desk 'nobody' has no number; 'billing' is taken instead",
        "mode 'm': the desk 'sales' is not in offhook.toml; 'billing' is taken instead",
    ]


def test_a_mode_whose_desks_are_all_there_is_left_as_it_is() -> None:
    sound, talk = mode(state()), msgspec.structs.replace(mode(state()), flow=None)
    assert settle_desks(sound, OFFICE) == (sound, [])
    assert settle_desks(talk, OFFICE) == (talk, [])


def test_where_nobody_can_be_dialled_at_all_a_warning_says_what_to_set() -> None:
    alone = msgspec.structs.replace(OFFICE, desks={})
    settled, (warning,) = settle_desks(mode(state()), alone)
    assert settled == mode(state())
    assert "nobody can be dialled at the desk 'billing'" in warning
    assert "HUMAN_TRANSFER_NUMBER" in warning


def test_two_ways_by_the_same() -> None:
    twice = [Go(to="menu", key="0"), *[Go(to="end", intent="bye")] * 2, *[Go(to="end", correction=True)] * 2]
    assert faults(state(*twice, Go(to="end", failures=2), Go(to="menu", failures=2))) == [
        "state 'menu': two ways by the key '0'",
        "state 'menu': two ways by the intent 'bye'",
        "state 'menu': two ways after 2 failures",
        "state 'menu': two ways by a correction",
    ]


@pytest.mark.parametrize(
    ("digits", "fault"),
    [
        (
            Digits(tool="paint", argument="number"),
            "expected a tool that is offered here, one of book, look, got 'paint'",
        ),
        (Digits(tool="look", argument="color"), "expected an argument of 'look', one of number, got 'color'"),
        (Digits(tool="book", argument="day"), "the tool 'book' wants name too, which nobody types; give it a default"),
        (Digits(tool="look", argument="number", ends="5"), "expected them to end by # or *, got '5'"),
        (Digits(tool="look", argument="number", ends=""), "expected them to end by # or *, got ''"),
        (Digits(tool="look", argument="number", ends="*"), "the key '*' ends them and takes a way too"),
        (Digits(tool="look", argument="number", max_digits=0), "expected max_digits of 1 or more, got 0"),
    ],
)
def test_digits_that_nobody_can_take(digits: Digits, fault: str) -> None:
    assert faults(state(Go(to="end", key="*"), tools=[book], digits=digits)) == [f"state 'menu': digits: {fault}"]


def test_a_state_that_no_way_leads_to() -> None:
    said = faults(state(), state(Go(to="menu", key="1"), name="attic"), state(name="night"), start_closed="night")
    assert said == ["state 'attic': no way leads there from where a call begins"]


def test_a_state_without_a_way_to_a_person() -> None:
    trap = State(name="trap", says="Ask.", go=[Go(to="end", key="1"), Go(to="trap", failures=3)])
    menu = state(Go(to="trap", key="1"))
    fault = "state 'trap': expected a way to a person: a path to a desk:NAME, or a tool that returns Transfer"
    assert faults(menu, trap) == [fault]
    way_back = msgspec.structs.replace(trap, go=[Go(to="menu", key="1")])
    assert faults(menu, way_back) == []
    with_a_tool = msgspec.structs.replace(trap, tools=[fetch])
    assert faults(menu, with_a_tool) == []
    assert faults(menu, trap, tools=[look, fetch]) == []


def test_which_tools_may_put_a_caller_through() -> None:
    assert transfers(fetch)
    assert transfers(HOTLINE.tools[0])
    assert not transfers(look)


def test_the_houses_own_tools_and_two_tools_of_one_name() -> None:
    @tool
    async def choose() -> str:
        """Choose."""
        return ""

    mine = msgspec.structs.replace(look, description="Another.")
    said = faults(state(tools=[mine, choose]))
    assert said == [
        "state 'menu': the tool 'look' is another than the mode's of that name",
        "'choose' is the house's own tool; expected another name for the mode's",
    ]
    assert faults(state(tools=[book, book])) == ["state 'menu': the tool 'book' is listed twice"]


def test_all_faults_are_told_at_once() -> None:
    said = faults(state(Go(to="cellar", key="1")), state(name="attic", says=""), start="nowhere")
    assert len(said) == 3
