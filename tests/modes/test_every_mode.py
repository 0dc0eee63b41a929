"""Whatever the registry finds holds a conversation: a new mode is tested the day it is added."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import json
from collections.abc import Callable

import pytest

from app import registry, settings
from app.commands.conformance import shortcomings
from app.core import effects as do
from app.errors import ToolError
from app.mode import Mode, Tool
from tests.modes.rehearsal_table import Rehearsal

SETTINGS = settings.load({})
MODES = registry.find(SETTINGS).modes
EVERY_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
EVERY_TOOL = pytest.mark.parametrize(
    ("mode", "tool"),
    [pytest.param(mode, tool, id=f"{name}-{tool.name}") for name, mode in MODES.items() for tool in mode.tools],
)
Rehearse = Callable[..., Rehearsal]


def talking(rehearse: Rehearse, mode: Mode) -> Rehearsal:
    """A call in which both have spoken."""
    call = rehearse(mode)
    call.rings()
    call.agent_says("Good morning.", ms=1000)
    call.waits(ms=1100)
    call.caller_says("Hello.")
    return call


def test_there_is_a_mode_to_test() -> None:
    assert MODES


@EVERY_MODE
def test_it_conforms(mode: Mode) -> None:
    assert shortcomings(mode, SETTINGS) == [], "what to do about it is said in docs/04-modes.md, Conformance"


@EVERY_MODE
def test_it_opens_the_talk_or_lets_the_caller_and_offers_all_its_tools_after_the_first_turn(
    rehearse: Rehearse, mode: Mode
) -> None:
    call = rehearse(mode)
    call.rings()
    assert (call.machine.sequencer.asked == "opening") is bool(mode.opening)
    if not mode.opening:
        call.caller_says("Hello?")
    call.agent_says("Good morning.", ms=1000)
    assert call.did(do.OfferTools)
    assert call.did(do.Measure)
    assert {tool.name for tool in mode.first_turn} <= {tool.name for tool in mode.tools}


@EVERY_MODE
def test_its_caller_may_cut_in(rehearse: Rehearse, mode: Mode) -> None:
    call = rehearse(mode)
    call.rings()
    call.agent_says("Good morning, what can I do for you today?", ms=3000)
    call.waits(ms=1234)
    call.caller_says("Hello!")
    assert call.did(do.ClearPlayback)
    assert call.did(do.Truncate).heard_ms == 1234
    call.agent_says("Yes?", ms=500)
    call.waits(ms=600)
    call.hangs_up()
    assert call.did(do.CallIsOver).outcome == "caller_left"
    assert [who for who, _ in call.overheard()] == ["agent", "caller", "agent"]


@EVERY_TOOL
def test_its_tools_are_described_as_objects_that_refuse_unknown_keys(mode: Mode, tool: Tool) -> None:
    wire = json.loads(json.dumps(tool.wire()))
    schema = wire["parameters"]
    assert (wire["type"], wire["name"], schema["type"]) == ("function", tool.name, "object")
    assert wire["description"].strip()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(schema.get("properties", {}))
    assert tool.context_name not in schema.get("properties", {})
    assert 0 < tool.deadline_seconds <= 30
    with pytest.raises(ToolError, match=tool.name):
        tool.check('{"nobodys_key": 1}')


@EVERY_TOOL
@pytest.mark.parametrize("arguments", ['{"nobodys_key": 1}', '{"nobodys', "[]", "null", '"text"'])
def test_its_tools_answer_arguments_that_are_wrong_with_words(
    rehearse: Rehearse, mode: Mode, tool: Tool, arguments: str
) -> None:
    call = talking(rehearse, mode)
    call.model_calls_with(tool.name, arguments)
    assert call.answer()["error"]
    assert call.last_tool().status == "refused"
    assert call.did(do.RequestResponse)
    assert not call.over


@EVERY_MODE
def test_a_tool_that_it_does_not_have_is_refused(rehearse: Rehearse, mode: Mode) -> None:
    call = talking(rehearse, mode)
    call.model_calls("no_such_tool")
    assert "no_such_tool" in call.answer()["error"]
    assert not call.over


@EVERY_MODE
def test_its_silent_caller_is_asked_and_taken_leave_of(rehearse: Rehearse, mode: Mode) -> None:
    call = rehearse(mode, dormant_seconds=20.0, goodbye_seconds=10.0)
    call.rings()
    call.agent_says("Good morning.", ms=1000)
    call.waits(ms=21_100)
    assert call.did(do.AddText)
    for _ in range(2):
        call.agent_says("Are you still there?", ms=1000)
        call.waits(ms=11_100)
    assert call.did(do.HangUp)
    call.agent_says("Goodbye.", ms=1000)
    call.waits(ms=1100)
    assert call.did(do.CallIsOver).outcome == "dormant"
