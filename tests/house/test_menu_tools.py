"""Tools that the keypad menu cannot see through: one that works in the background, and one that the caller must agree to."""

import asyncio
from typing import Any, cast

from app import keypad
from app.calls.live_call import LiveCall
from app.calls.toolbox import Toolbox
from app.core import events as ev
from app.core.rows import ToolCall
from app.mode import Digits, Flow, Go, Mode, State, tool
from app.rules.office import Office
from app.web.menu import KeypadMenu
from tests.house.samples import OFFICE
from tests.house.test_live_call import INFO, Journal
from tests.house.test_toolbox import context


async def test_what_goes_on_in_the_background_is_no_failure() -> None:
    may_end = asyncio.Event()

    @tool(background=True)
    async def search(number: str) -> str:
        """Search for a number."""
        await may_end.wait()
        return f"found {number}"

    state = State(
        name="ask",
        says="Ask for a number.",
        menu="Please enter a number.",
        tools=[search],
        digits=Digits(tool="search", argument="number"),
        go=[Go(to="desk:billing", key="0")],
    )
    mode = Mode(name="m", prompt="m.md", tools=[], flow=Flow(states=[state], start="ask"))
    board: Any = Board(mode)
    call = LiveCall(board, INFO, mode)
    menu = KeypadMenu(board, lambda path: f"https://phone.example{path}", lambda call: "", lambda call, say: say)
    document = await menu.answer(call, "state=ask&failures=1&step=3", "4711")
    assert f"<Say>{keypad.WORKING}</Say><Say>Please enter a number.</Say>" in document
    assert "failures=1&amp;step=4" in document
    (row,) = [row for row in board.journal.rows if isinstance(row, ToolCall)]
    assert row.status == "working"
    assert list(call.record.working.values()) == [row]
    may_end.set()
    finished = await asyncio.wait_for(board.reports.get(), 5)
    assert cast(ev.ToolFinished, finished).call_id in call.record.working, "the machine that was can write it down"


async def test_what_the_caller_must_agree_to_is_not_done_by_keys_alone_however_often_they_are_pressed() -> None:
    done: list[str] = []

    @tool(writes=True)
    async def cancel(number: str) -> str:
        """Cancel an order."""
        done.append(number)
        return "cancelled"

    state = State(
        name="ask",
        says="Ask for a number.",
        menu="Please enter a number.",
        tools=[cancel],
        digits=Digits(tool="cancel", argument="number"),
        go=[Go(to="desk:billing", key="0")],
    )
    mode = Mode(name="m", prompt="m.md", tools=[], flow=Flow(states=[state], start="ask"))
    board: Any = Board(mode)
    call = LiveCall(board, INFO, mode)
    menu = KeypadMenu(board, lambda path: f"https://phone.example{path}", lambda call: "", lambda call, say: say)
    for step in (1, 2):
        document = await menu.answer(call, f"state=ask&failures=0&step={step}", "4711")
        assert "Please enter a number." in document
    assert done == []


class Board:
    """What a menu needs of the switchboard."""

    def __init__(self, mode: Mode) -> None:
        self.journal = Journal()
        self.office = OFFICE
        self.reports: asyncio.Queue[ev.Event] = asyncio.Queue()
        self.box = Toolbox(mode, context)
        self.box.report = self.reports.put_nowait

    def office_of(self, call: LiveCall) -> Office:
        return self.office

    def toolbox(self, call: LiveCall) -> Toolbox:
        return self.box

    def keep(self, call: LiveCall) -> None:
        """It is not looked at here."""
