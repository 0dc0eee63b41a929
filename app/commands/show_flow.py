"""A mode's flow as `./offhook show` prints it: each state with what is offered there, and the ways out."""

from app.flow_sheet import ShownFlow


def flow_text(flow: ShownFlow) -> list[str]:
    """A flow as lines for people."""
    closed = f", from {flow.start_closed} when the office is closed" if flow.start_closed != flow.start else ""
    lines = [f"flow, from {flow.start}{closed}:"]
    for state in flow.states:
        tools = f"{', '.join(state.tools)} ({state.tools_tokens} tokens)" if state.tools else "none besides the mode's"
        lines += [f"  state {state.name}", f"    says: {state.says}"]
        lines += [f"    menu: {state.menu}"] if state.menu else []
        lines += [f"    tools: {tools}"]
        lines += [f"    digits: {state.digits}"] if state.digits else []
        lines += [f"    {way.when} -> {way.to}" for way in state.ways]
    return lines
