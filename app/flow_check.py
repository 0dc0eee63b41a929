"""Checks a mode's flow at start-up: every way leads somewhere, every state can be reached, and a person from every state.

A desk is the business's, not the mode's: a way to one that offhook.toml does not have leads to another, with a warning.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, get_args, get_type_hints

from msgspec.structs import replace

from app.core.flow import CHOOSE, CORRECT, KEYS
from app.flows import DESK, END, Digits, Flow, Go, State
from app.mode import Mode, Transfer
from app.rules.office import Office
from app.tools import Tool

STATE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""It becomes part of a milestone's name."""


def flow_faults(mode: Mode) -> list[str]:
    """Everything wrong with a mode's flow, as sentences; empty for a mode without one."""
    flow = mode.flow
    if flow is None:
        return []
    if not flow.states:
        return ["flow: expected at least one state, got none"]
    names = [state.name for state in flow.states]
    faults = [f"flow: the state {name!r} is there twice" for name in _twice(names)]
    for field in ("start", "start_closed"):
        name = getattr(flow, field)
        if name not in names and (name or field == "start"):
            faults.append(f"flow: {field}: expected one of {', '.join(names)}, got {name!r}")
    for state in flow.states:
        faults += [f"flow: state {state.name!r}: {fault}" for fault in _state_faults(state, mode, flow)]
    for tool in chain(mode.tools, *(state.tools for state in flow.states)):
        if tool.name in (CHOOSE, CORRECT):
            faults.append(f"flow: {tool.name!r} is the house's own tool; expected another name for the mode's")
    return list(dict.fromkeys([*faults, *_path_faults(mode, flow)]))


def settle_desks(mode: Mode, office: Office) -> tuple[Mode, list[str]]:
    """The mode with every way to an unknown desk leading to one that there is, and a sentence for each such desk."""
    flow = mode.flow
    named = sorted(
        {
            way.to.removeprefix(DESK)
            for state in (flow.states if flow is not None else ())
            for way in state.go
            if way.to.startswith(DESK)
        }
    )
    taken: dict[str, str] = {}
    warnings = []
    for name in named:
        desk = office.reachable(name)
        if desk is not None and desk.name == name:
            continue
        if desk is None:
            warnings.append(
                f"mode {mode.name!r}: nobody can be dialled at the desk {name!r} or any other; "
                "set HUMAN_TRANSFER_NUMBER, or a desk with a number in offhook.toml"
            )
            continue
        taken[DESK + name] = DESK + desk.name
        what = "has no number" if name in office.desks else "is not in offhook.toml"
        warnings.append(f"mode {mode.name!r}: the desk {name!r} {what}; {desk.name!r} is taken instead")
    if flow is None or not taken:
        return mode, warnings
    states = [
        replace(state, go=[replace(way, to=taken.get(way.to, way.to)) for way in state.go]) for state in flow.states
    ]
    return replace(mode, flow=replace(flow, states=states)), warnings


def _state_faults(state: State, mode: Mode, flow: Flow) -> list[str]:
    """What is wrong within one state."""
    faults = []
    if not STATE_NAME.fullmatch(state.name) or state.name == END:
        faults.append(f"expected a name of small letters, digits and _ that is not {END!r}")
    if not state.says.strip():
        faults.append("expected `says`: one or two sentences for the model")
    tools = {tool.name: tool for tool in (*mode.tools, *state.tools)}
    faults += [f"the tool {name!r} is listed twice" for name in _twice(tool.name for tool in state.tools)]
    faults += [
        f"the tool {tool.name!r} is another than the mode's of that name"
        for tool in state.tools
        if any(tool.name == other.name and tool is not other for other in mode.tools)
    ]
    for way in state.go:
        faults += [f"the way to {way.to!r}: {fault}" for fault in _way_faults(way, tools, flow)]
    faults += [f"two ways by the key {key!r}" for key in _twice(way.key for way in state.go if way.key)]
    faults += [f"two ways by the intent {intent!r}" for intent in _twice(way.intent for way in state.go if way.intent)]
    faults += [f"two ways after {n} failures" for n in _twice(str(way.failures) for way in state.go if way.failures)]
    if sum(way.correction for way in state.go) > 1:
        faults.append("two ways by a correction")
    if state.digits is not None:
        faults += [f"digits: {fault}" for fault in _digits_faults(state.digits, state.go, tools)]
    return faults


def _way_faults(way: Go, tools: dict[str, Tool], flow: Flow) -> list[str]:
    """What is wrong with one way."""
    faults = []
    when = [name for name in ("tool", "key", "intent", "correction", "failures") if getattr(way, name)]
    if len(when) != 1:
        faults.append(
            f"expected exactly one of tool, key, intent, correction, failures, got {', '.join(when) or 'none'}"
        )
    if way.tool and way.tool not in tools:
        faults.append(f"expected a tool that is offered here, one of {_those(tools)}, got {way.tool!r}")
    if way.when and not way.tool:
        faults.append("`when` looks at a tool's answer; expected `tool` with it")
    if way.key and (len(way.key) != 1 or way.key not in KEYS):
        faults.append(f"expected a key, one of 0-9, * and #, got {way.key!r}")
    if not 0 <= way.min_confidence <= 1:
        faults.append(f"expected a min_confidence from 0 to 1, got {way.min_confidence!r}")
    if way.failures < 0:
        faults.append(f"expected failures of 1 or more, got {way.failures!r}")
    if not way.to.startswith(DESK) and way.to != END and flow.state(way.to) is None:
        faults.append(
            f"expected a state, {DESK}NAME or {END!r}; states are {_those(state.name for state in flow.states)}"
        )
    return faults


def _digits_faults(digits: Digits, ways: Sequence[Go], tools: dict[str, Tool]) -> list[str]:
    """What is wrong with how digits are collected."""
    faults = []
    tool = tools.get(digits.tool)
    if tool is None:
        faults.append(f"expected a tool that is offered here, one of {_those(tools)}, got {digits.tool!r}")
    else:
        arguments = tool.parameters.get("properties", {})
        if digits.argument not in arguments:
            faults.append(f"expected an argument of {tool.name!r}, one of {_those(arguments)}, got {digits.argument!r}")
        others = [name for name in tool.parameters.get("required", []) if name != digits.argument]
        if others:
            faults.append(
                f"the tool {tool.name!r} wants {', '.join(others)} too, which nobody types; give it a default"
            )
    if digits.ends not in ("#", "*"):
        faults.append(f"expected them to end by # or *, got {digits.ends!r}")
    elif any(way.key == digits.ends for way in ways):
        faults.append(f"the key {digits.ends!r} ends them and takes a way too")
    if digits.max_digits < 1:
        faults.append(f"expected max_digits of 1 or more, got {digits.max_digits!r}")
    return faults


def _path_faults(mode: Mode, flow: Flow) -> list[str]:
    """States that no way leads to, and states with no way to a person."""
    ways = {state.name: [way.to for way in state.go] for state in flow.states}
    begin = {flow.start, flow.start_closed or flow.start}
    reached = _reach(begin, ways) if begin <= ways.keys() else set(ways)
    faults = [
        f"flow: state {name!r}: no way leads there from where a call begins" for name in ways if name not in reached
    ]
    if any(transfers(tool) for tool in mode.tools):
        return faults
    for state in flow.states:
        ahead = _reach({state.name}, ways)
        tools = chain.from_iterable(there.tools for there in flow.states if there.name in ahead)
        if not any(to.startswith(DESK) for to in ahead) and not any(transfers(tool) for tool in tools):
            faults.append(
                f"flow: state {state.name!r}: expected a way to a person: a path to a {DESK}NAME, or a tool that returns Transfer"
            )
    return faults


def _reach(begin: set[str], ways: dict[str, list[str]]) -> set[str]:
    """Everything that can be come to from here, these included: states, desks and the end."""
    reached: set[str] = set()
    ahead = list(begin)
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += ways.get(name, [])
    return reached


def transfers(tool: Tool) -> bool:
    """Whether a tool may put the caller through: its return type holds Transfer."""
    return _holds_transfer(get_type_hints(tool.function).get("return"))


def _holds_transfer(kind: Any) -> bool:
    return kind is Transfer or any(_holds_transfer(part) for part in get_args(kind))


def _twice(names: Iterable[str]) -> list[str]:
    names = list(names)
    return sorted({name for name in names if names.count(name) > 1})


def _those(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
