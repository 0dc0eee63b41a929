"""The toolbox over time: slow tools, background ones, and whatever a model may send."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import metrics
from app.calls.toolbox import BROKEN, LATE, TOO_LONG
from app.core import effects as do
from app.core import events as ev
from app.mode import EndCall, Flow, Go, State, ToolError, Transfer, tool
from app.tools import ARGUMENTS_CHARACTERS
from tests.house.toolbox_desk import Desk, Gate, error

# --- slow ones -------------------------------------------------------------------------------------------------------


async def test_a_slow_tool_is_told_of_once_and_answers_all_the_same() -> None:
    gate = Gate()

    @tool(filler="One moment please.", filler_after_ms=1)
    async def look_up() -> str:
        """Look up."""
        return await gate()

    desk = Desk(look_up)
    before = metrics.tool_slow_total.labels("look_up")._value.get()
    running = asyncio.create_task(desk.call("look_up"))
    assert await desk.reported() == ev.ToolSlow(call_id="c1", sentence="One moment please.", after_ms=1)
    gate.open.set()
    assert (await running).status == "ok"
    assert desk.reports.empty()
    assert metrics.tool_slow_total.labels("look_up")._value.get() == before + 1


@pytest.mark.parametrize("filler", ["", "One moment please."])
async def test_a_quick_tool_or_one_without_a_filler_is_not_told_of(filler: str) -> None:
    @tool(filler=filler, filler_after_ms=0 if not filler else 700)
    async def look_up() -> str:
        """Look up."""
        for _ in range(10):
            await asyncio.sleep(0)
        return "found"

    desk = Desk(look_up)
    assert (await desk.call("look_up")).status == "ok"
    loop: Any = asyncio.get_running_loop()
    assert not [timer for timer in loop._scheduled if not timer.cancelled() and "_remind" in repr(timer)]
    assert desk.reports.empty()


async def test_each_tool_says_how_long_its_answer_may_be() -> None:
    @tool(answer_bytes=40)
    async def small(size: int) -> str:
        """Answer."""
        return "é" * size

    @tool(answer_bytes=5000)
    async def large(size: int) -> str:
        """Answer."""
        return "x" * size

    desk = Desk(small, large)
    assert (await desk.call("small", size=10)).status == "ok"
    assert error(await desk.call("small", size=20)) == TOO_LONG, "bytes, not characters"
    assert (await desk.call("large", size=4900)).status == "ok"
    assert error(await desk.call("large", size=5000)) == TOO_LONG


# --- in the background -----------------------------------------------------------------------------------------------


async def test_a_background_tool_answers_at_once_and_reports_when_it_is_done() -> None:
    gate = Gate()

    @tool(background=True)
    async def search() -> dict[str, int]:
        """Search."""
        await gate()
        return {"found": 3}

    desk = Desk(search)
    returned = await desk.call("search")
    assert returned.status == "working"
    told = json.loads(returned.output)
    assert told["status"] == "working"
    assert "do not call it again" in told["note"]
    await gate.entered.wait()
    gate.open.set()
    done = await desk.reported()
    assert isinstance(done, ev.ToolFinished)
    assert (done.call_id, done.status, json.loads(done.output)) == ("c1", "ok", {"found": 3})


async def test_wrong_arguments_of_a_background_tool_are_refused_at_once() -> None:
    @tool(background=True)
    async def search(what: str) -> str:
        """Search."""
        return what

    desk = Desk(search)
    assert "where" in error(await desk.call("search", where="here"))
    assert desk.reports.empty()


@pytest.mark.parametrize(
    ("raises", "status", "says"),
    [(ToolError("Ask for the year."), "refused", "Ask for the year."), (RuntimeError("x"), "error", BROKEN)],
)
async def test_a_background_tool_that_fails_says_so(raises: Exception, status: str, says: str) -> None:
    @tool(background=True)
    async def search() -> str:
        """Search."""
        raise raises

    desk = Desk(search)
    with capture_logs():
        await desk.call("search")
        done = await desk.reported()
    assert isinstance(done, ev.ToolFinished)
    assert (done.status, json.loads(done.output)) == (status, {"error": says})


async def test_a_background_tool_has_a_deadline_too() -> None:
    @tool(background=True, deadline_seconds=0.01)
    async def search() -> str:
        """Search."""
        await asyncio.Event().wait()
        return "never"

    desk = Desk(search)
    await desk.call("search")
    done = await desk.reported()
    assert isinstance(done, ev.ToolFinished)
    assert (done.status, json.loads(done.output)) == ("late", {"error": LATE})


async def test_a_process_that_stops_gives_up_what_runs_and_says_so() -> None:
    gate = Gate()

    @tool(background=True)
    async def search() -> str:
        """Search."""
        return await gate()

    desk = Desk(search)
    await desk.call("search")
    await gate.entered.wait()
    desk.box.stop()
    done = await desk.reported()
    assert isinstance(done, ev.ToolFinished)
    assert (done.call_id, done.status) == ("c1", "late")


def test_a_background_tool_can_neither_transfer_nor_end_nor_have_a_filler() -> None:
    async def put_through() -> str | Transfer:
        """Put through."""
        return "no"

    async def end_call() -> EndCall:
        """End."""
        return EndCall("x")

    async def search() -> str:
        """Search."""
        return "no"

    for function in (put_through, end_call):
        with pytest.raises(TypeError, match=f"tool '{function.__name__}': a background tool"):
            tool(background=True)(function)
    with pytest.raises(TypeError, match="has no filler"):
        tool(background=True, filler="One moment please.")(search)


@pytest.mark.parametrize("wrong", [{"deadline_seconds": 0}, {"answer_bytes": 0}, {"filler_after_ms": -1}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    async def search() -> str:
        """Search."""
        return "no"

    with pytest.raises(TypeError, match=f"tool 'search': expected {next(iter(wrong))}"):
        tool(**wrong)(search)


# --- what a model may send -------------------------------------------------------------------------------------------


@tool
async def note(text: str, copies: int = 1) -> str:
    """Note."""
    return text[:10] * copies


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (json.dumps({"text": "x" * 1_000_000}), "too long"),
        ("x" * 1_000_000, "too long"),
        ("{}", "text"),
        (json.dumps({"text": "a", "k" * 15_000: 1}), "unknown field"),
        ("{" * ARGUMENTS_CHARACTERS, "not JSON"),
        ("[" * ARGUMENTS_CHARACTERS, "note"),
        ('{"text":null}', "text"),
        ('{"text":"a","copies":1.5}', "copies"),
        ('{"text":"a","copies":"1"}', "copies"),
        ('{"text":"a"} {"text":"b"}', "not JSON"),
        ("\ud800", "not JSON"),
        ('{"text":"\\ud800"}', "not JSON"),
    ],
)
async def test_whatever_the_model_sends_it_is_told_in_a_few_words_what_to_do(arguments: str, says: str) -> None:
    desk = Desk(note)
    returned = await desk.box.run(do.RunTool(call_id="c1", name="note", arguments=arguments))
    told = error(returned)
    assert says in told
    assert "call it again" in told.lower()
    assert len(told) < 600


async def test_a_tool_of_a_megabyte_s_name_is_refused_in_a_few_words() -> None:
    desk = Desk(note)
    assert len(error(await desk.call("x" * 1_000_000))) < 300


async def test_tools_of_every_state_of_a_flow_are_in_the_box() -> None:
    here = State(name="start", says="Ask.", tools=[note], go=[Go(to="desk:billing", key="0")])
    desk = Desk(flow=Flow(states=[here], start="start"))
    assert (await desk.call("note", text="x")).status == "ok"
