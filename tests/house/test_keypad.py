"""The menu by keys alone, as pure moves: where each key leads, and that nobody is ever left without a next step."""

from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import keypad
from app.flows import Digits, Flow, Go, State
from app.keypad import Ask, Goodbye, Look, Person, Place, Step
from app.mode import Desk, Office
from app.rules.office import WEEKDAYS, Hours
from modes.ivr import flow

OFFICE = Office(
    name="Lakeside Dental",
    zone=ZoneInfo("America/Chicago"),
    hours={day: Hours(time(8), time(17)) for day in WEEKDAYS[:5]} | {"saturday": Hours(time(9, 30), time(12))},
    slot_minutes=30,
    desks={
        "reception": Desk("reception", "anything else", "+14155550101"),
        "billing": Desk("billing", "invoices", "+14155550102"),
        "lab": Desk("lab", "nobody is there", ""),
    },
)
MAIN = Place(state="main")


def press(*keys: str, at: Place = MAIN, of: Flow = flow) -> Step:
    """The step after these keys, one answer after the other."""
    step: Step = keypad.ask(of, OFFICE, at)
    for key in keys:
        assert isinstance(step, Ask), step
        step = keypad.pressed(of, OFFICE, step.place, key)
    return step


def stands(step: Step) -> str:
    assert isinstance(step, Ask), step
    return step.place.state


def test_a_call_begins_by_the_hours() -> None:
    assert keypad.begin(flow, open_now=True).state == "main"
    assert keypad.begin(flow, open_now=False).state == "closed"
    always = msgspec.structs.replace(flow, start_closed="")
    assert keypad.begin(always, open_now=False).state == "main"


def test_keys_lead_through_nested_states_and_back() -> None:
    assert stands(press("3")) == "billing"
    assert stands(press("3", "1")) == "account"
    assert stands(press("3", "1", "*")) == "billing"
    assert stands(press("3", "1", "*", "*")) == "main"


@pytest.mark.parametrize("place", [state.name for state in flow.states])
def test_0_is_a_person_and_9_says_it_again_in_every_state(place: str) -> None:
    at = Place(state=place, failures=1, step=4)
    person = press("0", at=at)
    assert isinstance(person, Person)
    assert person.desk == "reception"
    again = press("9", at=at)
    assert isinstance(again, Ask)
    assert again.place == Place(state=place, failures=1, step=5), "hearing it again forgives nothing"


def test_0_is_a_person_even_where_the_flow_forgot_it() -> None:
    bare = Flow(start="only", states=[State(name="only", says="-", menu="Press 1.", go=[Go(key="1", to="only")])])
    step = press("0", of=bare, at=Place(state="only"))
    assert isinstance(step, Person)
    assert step.desk == ""


@pytest.mark.parametrize("wrong", ["7", "#", "", "12"])
def test_three_failures_are_a_person_and_each_one_says_what_was_wrong(wrong: str) -> None:
    first = press(wrong)
    assert isinstance(first, Ask)
    assert first.say[0] == (keypad.WRONG_KEY if wrong else keypad.SILENCE)
    assert "press 1" in first.say[1]
    assert first.place == Place(state="main", failures=1, step=1)
    assert isinstance(press(wrong, wrong), Ask)
    third = press(wrong, wrong, wrong)
    assert isinstance(third, Person)
    assert third.desk == "reception"
    assert "3 times" in third.reason


def test_failures_of_all_kinds_count_together_and_another_state_forgives_them() -> None:
    assert isinstance(press("7", "", "7"), Person)
    moved = press("7", "", "3")
    assert isinstance(moved, Ask)
    assert moved.place.failures == 0


def test_three_failures_are_a_person_where_the_flow_does_not_say_what_they_are() -> None:
    states = [State(name="only", says="-", menu="Press 1.", go=[Go(key="1", to="desk:billing")])]
    step = press("7", "7", "7", of=Flow(start="only", states=states), at=Place(state="only"))
    assert isinstance(step, Person)
    assert step.desk == "billing"


def test_digits_are_given_to_the_states_tool() -> None:
    step = press("3", "1", "123456")
    assert isinstance(step, Look)
    assert (step.tool, step.arguments, step.place.state) == ("note_account", {"number": "123456"}, "account")
    assert press("3", "1", "123456#") == step, "a carrier that sends the ending key, too"


@pytest.mark.parametrize("typed", ["12*34", "1" * 16, "12#34", "١٢٣٤"])
def test_digits_that_cannot_be_a_number_are_a_failure(typed: str) -> None:
    step = press("3", "1", typed)
    assert isinstance(step, Ask)
    assert step.say[0] == keypad.NOT_DIGITS
    assert (step.place.state, step.place.failures) == ("account", 1)


def test_a_tools_answer_is_said_before_the_state_that_it_leads_to() -> None:
    place = Place(state="account", failures=2, step=7)
    step = keypad.looked(flow, OFFICE, place, "note_account", {"say": "Passed on.", "found": False}, done=True)
    assert isinstance(step, Ask)
    assert step.say[0] == "Passed on."
    assert step.place == Place(state="done", step=8)


def test_a_tool_that_did_not_do_it_is_a_failure_and_its_words_to_the_model_are_not_said() -> None:
    place = Place(state="account")
    for n in (1, 2):
        step = keypad.looked(flow, OFFICE, place, "note_account", {"error": "Say so, and ..."}, done=False)
        assert isinstance(step, Ask)
        assert step.say[0] == keypad.NOT_DONE
        assert step.place.failures == n
        place = step.place
    assert isinstance(keypad.looked(flow, OFFICE, place, "note_account", {}, done=False), Person)


def test_the_way_after_a_tool_depends_on_its_answer() -> None:
    states = [
        State(
            name="order",
            says="-",
            menu="Your order number, please.",
            digits=Digits(tool="look", argument="number"),
            go=[
                Go(to="end", tool="look", when={"found": True}),
                Go(to="desk:billing", tool="look", when={"found": False}),
            ],
        )
    ]
    orders, at = Flow(start="order", states=states), Place(state="order")

    def found(answer: dict[str, Any]) -> Step:
        return keypad.looked(orders, OFFICE, at, "look", answer, done=True)

    shipped = found({"found": True, "status": "shipped", "items": 2})
    assert isinstance(shipped, Goodbye)
    assert "status: shipped. items: 2." in shipped.say[0]
    assert isinstance(found({"found": False}), Person)
    again = found({"found": None})
    assert isinstance(again, Ask), "no way is taken: the state asks again"
    assert again.place.failures == 0


def test_a_state_without_words_of_its_own_is_a_person() -> None:
    states = [
        State(name="a", says="-", menu="Press 1.", go=[Go(key="1", to="b")]),
        State(name="b", says="-", go=[Go(failures=3, to="desk:billing")]),
    ]
    step = press("1", of=Flow(start="a", states=states), at=Place(state="a"))
    assert isinstance(step, Person)
    assert step.desk == "billing"


def test_a_flow_that_cannot_begin_by_itself_is_no_menu_and_without_a_flow_the_desks_are_one() -> None:
    assert keypad.menu_of(flow, OFFICE) is flow
    mute = Flow(start="a", states=[State(name="a", says="-", go=[Go(key="1", to="a")])])
    assert keypad.menu_of(mute, OFFICE) is None
    desks = keypad.menu_of(None, OFFICE)
    assert desks is not None
    first = keypad.ask(desks, OFFICE, keypad.begin(desks, open_now=False))
    assert isinstance(first, Ask)
    assert "For anything else, press 1. For invoices, press 2." in first.say[0]
    assert "press 3" not in first.say[0], "nobody is in the lab"
    billing = press("2", of=desks, at=first.place)
    assert isinstance(billing, Person)
    assert billing.desk == "billing"
    assert keypad.menu_of(None, msgspec.structs.replace(OFFICE, desks={})) is None


def test_the_hours_are_said_as_people_say_them() -> None:
    said = "Monday to Friday 8 AM to 5 PM, Saturday 9:30 AM to 12 PM"
    assert keypad.spoken_hours(OFFICE) == said
    hours = press("1")
    assert isinstance(hours, Ask)
    assert f"We are open {said}." in hours.say[0]
    assert keypad.spoken_hours(msgspec.structs.replace(OFFICE, hours={})) == "by appointment"


def test_nobody_walks_in_circles_for_ever() -> None:
    step: Step = keypad.ask(flow, OFFICE, MAIN)
    for _ in range(keypad.LONGEST):
        assert isinstance(step, Ask)
        step = keypad.pressed(flow, OFFICE, step.place, "9")
    assert isinstance(step, Person)


@settings(deadline=None)
@given(
    st.text(max_size=12),
    st.integers(0, 999),
    st.integers(0, 999),
    st.sampled_from([*(state.name for state in flow.states), "gone"]),
)
def test_whatever_comes_has_a_next_step(keys: str, failures: int, step: int, state: str) -> None:
    after = keypad.pressed(flow, OFFICE, Place(state=state, failures=failures, step=step), keys)
    if isinstance(after, Look):
        after = keypad.looked(flow, OFFICE, after.place, after.tool, {}, done=False)
    assert isinstance(after, Ask | Person | Goodbye)
    assert all(after.say)
