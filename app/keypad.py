"""The menu by keys alone: what a caller hears and where each key leads when no model answers. No I/O, no memory.

A mode's flow is its menu: of each state what it says by itself (`menu`), its keys, its digits, its count of failures. A mode
without a flow has a menu of the office's desks. Where a caller stands is a `Place`; it travels in the URL that the carrier asks
next, so that any process can go on, whatever else is gone.
"""

from collections.abc import Mapping
from datetime import time
from typing import Any

import msgspec

from app.flows import DESK, END, Digits, Flow, Go, State
from app.rules.office import WEEKDAYS, Office

PATIENCE = 3
"""Failures in one state after which a caller is led to a person, where the flow does not say so itself."""
LONGEST = 60
"""Questions in one call: nobody who listens needs more."""
KEYS = frozenset("0123456789*#")

WRONG_KEY = "That is not one of the choices."
NOT_DIGITS = "That is not a number that I can use."
SILENCE = "I did not get that."
NOT_DONE = "I am sorry, I cannot do that right now."
WORKING = "That takes a while. It is being done."
PERSON = "I am putting you through to a person."
BYE = "Thank you for calling. Goodbye."
NOBODY = "I am sorry, nobody can be reached right now. Please call again a little later. Goodbye."


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a caller stands. `failures`: in this state; `step`: how many questions came before, so that no two places are one."""

    state: str
    failures: int = 0
    step: int = 0


class Ask(msgspec.Struct, frozen=True):
    """Say this and wait for keys: one, or digits up to their end."""

    say: tuple[str, ...]
    place: Place
    digits: Digits | None = None


class Look(msgspec.Struct, frozen=True):
    """Run the state's tool with the digits that were typed; `looked` says what follows."""

    place: Place
    tool: str
    arguments: dict[str, str]


class Person(msgspec.Struct, frozen=True):
    """Put the caller through. `desk` is empty if the flow knows none: to whoever is there."""

    desk: str
    reason: str
    say: tuple[str, ...] = (PERSON,)
    outcome: dict[str, Any] = {}
    """Fields of the mode's outcome that hold once the person has answered."""


class Goodbye(msgspec.Struct, frozen=True):
    """Say this and hang up."""

    say: tuple[str, ...] = (BYE,)


Step = Ask | Look | Person | Goodbye


def menu_of(flow: Flow | None, office: Office) -> Flow | None:
    """The menu of a mode's flow, or of the desks for a mode without one; None if there is nothing that could be said."""
    if flow is None:
        return _desks(office)
    starts = [flow.state(name) for name in (flow.start, flow.start_closed) if name]
    return flow if all(state is not None and state.menu for state in starts) else None


def begin(flow: Flow, *, open_now: bool) -> Place:
    """Where a call begins: it depends on the hours."""
    return Place(state=flow.start if open_now or not flow.start_closed else flow.start_closed)


def ask(flow: Flow, office: Office, place: Place, *before: str) -> Step:
    """The question of a place, after what is to be said before it. Nobody is left in a state that says nothing by itself."""
    state = flow.state(place.state)
    if state is None or not state.menu:
        return Person(_desk(flow, state), "a state without a menu", (*before, PERSON))
    if place.step >= LONGEST:
        return Person(_desk(flow, state), "lost in the menu", (*before, PERSON))
    return Ask((*before, words(state.menu, office)), place, state.digits)


def pressed(flow: Flow, office: Office, place: Place, keys: str) -> Step:
    """What follows the keys that came: "" is silence, one with a way of its own is that way, digits where some are collected."""
    state = flow.state(place.state)
    if state is None:
        return ask(flow, office, place)
    if not keys:
        return _failed(flow, office, state, place, SILENCE, "silence")
    way = next((go for go in state.go if go.key and go.key == keys), None)
    if way is not None:
        return _follow(flow, office, place, way, "asked for by key")
    if keys == "0":  # a person, wherever one is, whatever the flow forgot
        return Person(_desk(flow, state), "asked for by key")
    if state.digits is not None:
        typed = keys.rstrip(state.digits.ends)
        if typed.isdecimal() and typed.isascii() and len(typed) <= state.digits.max_digits:
            return Look(place, state.digits.tool, {state.digits.argument: typed})
        return _failed(flow, office, state, place, NOT_DIGITS, "digits that cannot be used")
    return _failed(flow, office, state, place, WRONG_KEY, "wrong keys")


def looked(flow: Flow, office: Office, place: Place, tool: str, answer: Mapping[str, Any], *, done: bool) -> Step:
    """What follows a tool's answer: it is said, then the way that it opens. done False: the tool refused, failed or was late."""
    state = flow.state(place.state)
    if state is None:
        return ask(flow, office, place)
    if not done:
        return _failed(flow, office, state, place, NOT_DONE, f"{tool} did not work")
    said = spoken(answer)
    for go in state.go:
        if go.tool == tool and all(answer.get(name) == value for name, value in go.when.items()):
            return _follow(flow, office, place, go, f"after {tool}", *said)
    return ask(flow, office, Place(state=state.name, failures=place.failures, step=place.step + 1), *said)


def spoken(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """A tool's answer in words for the caller: its `say`, or its text, or each field by name."""
    for name in ("say", "result"):
        if isinstance(answer.get(name), str):
            return (str(answer[name]),)
    said = [
        f"{name.replace('_', ' ')}: {value}." for name, value in answer.items() if isinstance(value, str | int | float)
    ]
    return (" ".join(said),) if said else ()


def words(text: str, office: Office) -> str:
    """A state's own words: `{office}` is the business's name, `{hours}` when it is open."""
    return text.replace("{office}", office.name).replace("{hours}", spoken_hours(office))


def spoken_hours(office: Office) -> str:
    """ "Monday to Friday 8 AM to 5 PM": days that follow each other with the same hours are one."""
    runs: list[tuple[int, int]] = []
    for n, day in enumerate(WEEKDAYS):
        if day not in office.hours:
            continue
        if runs and runs[-1][1] == n - 1 and office.hours[WEEKDAYS[runs[-1][0]]] == office.hours[day]:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    said = []
    for first, last in runs:
        hours = office.hours[WEEKDAYS[first]]
        days = WEEKDAYS[first].capitalize() + (f" to {WEEKDAYS[last].capitalize()}" if last > first else "")
        said.append(f"{days} {_clock(hours.opens)} to {_clock(hours.closes)}")
    return ", ".join(said) or "by appointment"


def _clock(at: time) -> str:
    minutes = f":{at.minute:02}" if at.minute else ""
    return f"{at.hour % 12 or 12}{minutes} {'AM' if at.hour < 12 else 'PM'}"


def _follow(flow: Flow, office: Office, place: Place, way: Go, reason: str, *before: str) -> Step:
    """Take a way: to a person, to the end, or to a state, whose failures are counted anew unless it is the same one."""
    to = way.to
    if to.startswith(DESK):
        return Person(to.removeprefix(DESK), reason, (*before, PERSON), way.outcome)
    if to == END:
        return Goodbye((*before, BYE))
    failures = place.failures if to == place.state else 0
    return ask(flow, office, Place(state=to, failures=failures, step=place.step + 1), *before)


def _failed(flow: Flow, office: Office, state: State, place: Place, say: str, reason: str) -> Step:
    """Count a failure: the question again, or what the flow wants after so many, or a person."""
    failures = place.failures + 1
    due = [go for go in state.go if go.failures and go.failures <= failures]
    if due:
        way = max(due, key=lambda go: go.failures)
        return _follow(flow, office, place, way, f"{reason}, {failures} times", say)
    if failures >= PATIENCE:
        return Person(_desk(flow, state), f"{reason}, {failures} times", (say, PERSON))
    return ask(flow, office, Place(state=state.name, failures=failures, step=place.step + 1), say)


def _desk(flow: Flow, state: State | None) -> str:
    """The person of a state: its own, by key 0 or after failures, else the first that the flow knows."""

    def ways(one: State) -> list[Go]:
        return [go for go in one.go if go.to.startswith(DESK)]

    own = ways(state) if state is not None else []
    first = [go for go in own if go.key == "0"] + [go for go in own if go.failures]
    every = [go for one in flow.states for go in ways(one)]
    return next((go.to.removeprefix(DESK) for go in (*first, *own, *every)), "")


def _desks(office: Office) -> Flow | None:
    """A menu of the desks where somebody can be reached: nine at most, and 0 is the first."""
    there = [desk for desk in office.desks.values() if desk.number][:9]
    if not there:
        return None
    menu = " ".join(f"For {desk.about or desk.name}, press {n}." for n, desk in enumerate(there, 1))
    go = [Go(key=str(n), to=DESK + desk.name) for n, desk in enumerate(there, 1)]
    person = DESK + there[0].name
    first = State(
        name="desks",
        says="Ask which desk the caller wants.",
        menu=f"{{office}}. {menu} For anybody, press 0.",
        go=[*go, Go(key="0", to=person), Go(failures=PATIENCE, to=person)],
    )
    return Flow(states=[first], start=first.name)
