"""`./offhook show` of a mode with a flow: its states, what is offered there, and every way, for people and for machines."""

import msgspec
import pytest

from app import prompts, tokens
from app.commands.show import _text
from app.commands.show_flow import flow_text
from app.core.flow import house_tools
from app.flow_sheet import look_at_flow
from app.mode_sheet import Shown, look
from modes.receptionist import mode as receptionist
from tests.core.flow_samples import HOTLINE, find_order, flow, put_through, send_back
from tests.house.samples import make_settings


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The hotline as `show` sees it."""
    monkeypatch.setattr(prompts, "render", lambda *_: "You answer the phone.")
    return look(HOTLINE, make_settings())


def test_people_read_each_state_with_its_ways(shown: Shown) -> None:
    assert shown.flow is not None
    lines = flow_text(shown.flow)
    assert lines[0] == "flow, from menu, from closed when the office is closed:"
    state = lines[lines.index("  state order") : lines.index("  state known")]
    tools = tokens.count_tool(find_order.wire()) + sum(tokens.count_tool(wire) for wire in house_tools(flow.states[1]))
    assert state == [
        "  state order",
        "    says: Ask for the order number, spoken or typed.",
        f"    tools: find_order, correct ({tools} tokens)",
        "    digits: up to 6, ended by #, to find_order(number)",
        "    tool find_order with found=True -> known",
        "    a correction -> menu",
        "    key 0 -> desk:office",
        "    3 failures -> desk:office",
    ]
    assert "    intent 'an order', confidence 0.7 or more -> order" in lines
    assert set(lines) <= set(_text(shown).splitlines())


def test_a_tool_of_some_states_is_shown_with_them_and_the_largest_state_counts(shown: Shown) -> None:
    assert {tool.name: tool.states for tool in shown.tools} == {
        "put_through": [],
        "find_order": ["order"],
        "send_back": ["known"],
    }
    common = tokens.count_tool(put_through.wire())
    in_states = [
        sum(tokens.count_tool(wire) for wire in (*(tool.wire() for tool in state.tools), *house_tools(state)))
        for state in flow.states
    ]
    assert shown.tokens.all_tools == shown.tokens.prompt + common + max(in_states)
    assert f"tool {send_back.name} (in known, " in _text(shown)


def test_machines_get_the_flow_too(shown: Shown) -> None:
    told = msgspec.json.decode(msgspec.json.encode(shown))["flow"]
    assert [state["name"] for state in told["states"]] == ["menu", "order", "known", "closed"]
    assert told["states"][0]["ways"][0] == {"when": "key 1", "to": "order"}


def test_a_mode_without_a_flow_shows_none() -> None:
    assert look_at_flow(receptionist) is None
