"""A call has one toolbox over all its streams; what comes back after the last of them is on record, outcome and all."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.calls.live_call import LiveCall
from app.calls.toolbox import Toolbox
from app.core import effects as do
from app.core import events as ev
from app.core.rows import Outcome
from app.mode import CallContext, Mode, tool
from tests.house.test_ticket_life import INFO, Stage
from tests.house.test_toolbox import context


@tool(background=True)
async def search(call: CallContext) -> str:
    """Search, and learn something."""
    await asyncio.sleep(20)
    call.outcome["found"] = 3
    return "found"


MODE = Mode(name="some", prompt="some.md", tools=[search])


@pytest.fixture
def stage() -> Iterator[Stage]:
    it = Stage()
    it.board.texting = cast(Any, SimpleNamespace(to=lambda info, taken_up: None))
    yield it
    it.loop.end()


def searching(stage: Stage) -> tuple[LiveCall, list[ev.Event]]:
    """A call whose tool works in the background, and what is reported of it."""
    reports: list[ev.Event] = []

    async def begin() -> LiveCall:
        call = stage.board.incoming(INFO, MODE)
        assert call is not None
        box = stage.board.toolbox(call)
        box.report = reports.append
        returned = await box.run(do.RunTool(call_id="c1", name="search", arguments="{}"))
        assert returned.status == "working"
        return call

    return stage.loop.run_until_complete(begin()), reports


def outcomes(stage: Stage) -> list[dict[str, Any]]:
    return [row.fields for row in stage.rows if isinstance(row, Outcome)]


def test_a_call_has_one_toolbox(stage: Stage) -> None:
    call, _ = searching(stage)
    assert stage.board.toolbox(call) is stage.board.toolbox(call) is call.toolbox


def test_what_a_tool_learns_after_the_call_is_in_its_outcome(stage: Stage) -> None:
    call, reports = searching(stage)
    stage.board.finish(call)
    assert outcomes(stage) == []
    stage.loop.run(21)
    assert [type(report) for report in reports] == [ev.ToolFinished]
    assert outcomes(stage) == [{"found": 3}]


def test_a_process_that_stops_gives_up_what_runs_for_its_calls_and_says_so(stage: Stage) -> None:
    _, reports = searching(stage)
    stage.board.close_all()
    stage.loop.run(0)
    assert [report.status for report in reports if isinstance(report, ev.ToolFinished)] == ["late"]
    stage.loop.run(21)
    assert len(reports) == 1


async def test_the_same_wish_after_another_process_has_fulfilled_it_is_a_new_one() -> None:
    keys: list[str] = []

    @tool
    async def book(call: CallContext) -> str:
        """Book."""
        keys.append(call.key)
        return "booked"

    for done_before in ({}, {"book": 1}):
        box = Toolbox(Mode(name="some", prompt="some.md", tools=[book]), context)
        box.done_before = done_before
        await box.run(do.RunTool("t1", "book", "{}"))
    assert [key.rpartition("-")[2] for key in keys] == ["0", "1"]
