"""A flow's sheet: each state with what is offered there, and the ways out."""

import msgspec

from app import tokens
from app.core.flow import house_tools
from app.flows import Go, State
from app.mode import Mode


class ShownWay(msgspec.Struct, kw_only=True):
    """One way. `when`: what takes it, in words."""

    when: str
    to: str


class ShownState(msgspec.Struct, kw_only=True):
    """One state. `tools`: what is offered there besides the mode's own, the house's included. `digits`: in words, or empty."""

    name: str
    says: str
    menu: str
    tools: list[str]
    tools_tokens: int
    """Of those tools, as they go into the session."""
    digits: str
    ways: list[ShownWay]


class ShownFlow(msgspec.Struct, kw_only=True):
    """A whole flow. `start_closed`: where a call begins outside office hours."""

    start: str
    start_closed: str
    states: list[ShownState]


def look_at_flow(mode: Mode) -> ShownFlow | None:
    """A mode's flow; None if it has none."""
    flow = mode.flow
    if flow is None:
        return None
    common = {tool.name for tool in mode.tools}
    return ShownFlow(
        start=flow.start,
        start_closed=flow.start_closed or flow.start,
        states=[_state(state, common) for state in flow.states],
    )


def _state(state: State, common: set[str]) -> ShownState:
    wires = [*(tool.wire() for tool in state.tools if tool.name not in common), *house_tools(state)]
    digits = state.digits
    return ShownState(
        name=state.name,
        says=state.says,
        menu=state.menu,
        tools=[wire["name"] for wire in wires],
        tools_tokens=sum(tokens.count_tool(wire) for wire in wires),
        digits=f"up to {digits.max_digits}, ended by {digits.ends}, to {digits.tool}({digits.argument})"
        if digits
        else "",
        ways=[ShownWay(when=_when(way), to=way.to) for way in state.go],
    )


def _when(way: Go) -> str:
    """What takes a way, in words."""
    if way.key:
        return f"key {way.key}"
    if way.intent:
        return f"intent {way.intent!r}, confidence {way.min_confidence:g} or more"
    if way.correction:
        return "a correction"
    if way.failures:
        return "1 failure" if way.failures == 1 else f"{way.failures} failures"
    fields = ", ".join(f"{name}={value!r}" for name, value in way.when.items())
    return f"tool {way.tool}" + (f" with {fields}" if fields else "")
