"""A mode whose tools take time, at the table: machine and toolbox together, in virtual time."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import asyncio
from collections.abc import Callable

import msgspec

from app.core import effects as do
from app.core import events as ev
from app.core.rows import ToolCall
from app.mode import CallContext, Mode, tool
from tests.modes.rehearsal_table import Rehearsal

Rehearse = Callable[..., Rehearsal]
SECONDS = {"quick": 0.2, "slow": 2.0}
FILLER = "One moment please."


@tool(filler=FILLER)
async def look_up(what: str) -> str:
    """Look something up."""
    await asyncio.sleep(SECONDS[what])
    return "found"


@tool(background=True)
async def search() -> dict[str, int]:
    """Search far and wide."""
    await asyncio.sleep(20)
    return {"found": 3}


@tool(writes=True, filler=FILLER)
async def book(call: CallContext, day: str) -> str:
    """Book a day."""
    await asyncio.sleep(2)
    call.outcome["day"] = day
    return "Booked."


MODE = Mode(name="slow", prompt="slow.md", tools=[look_up, search, book])


def talking(rehearse: Rehearse) -> Rehearsal:
    call = rehearse(MODE)
    call.rings()
    call.agent_says("How can I help you?")
    call.waits(2500)
    call.caller_says("Please look it up.")
    return call


def reads(call: Rehearsal) -> list[str]:
    """What was asked for in this act: fillers by their sentence, answers as nothing."""
    return [ask.reads for ask in call.all(do.RequestResponse)]


def read_out(call: Rehearsal) -> None:
    """The model reads the filler, which takes a second to hear."""
    call.says("filler", ("filler-item", 1000), text=FILLER)


def test_a_quick_tool_is_answered_without_a_filler(rehearse: Rehearse) -> None:
    call = talking(rehearse)
    call.model_calls("look_up", what="quick")
    call.waits(3000)
    assert reads(call) == [""]


def test_a_slow_tool_is_filled_in_for_after_its_time_and_answered_behind_it(rehearse: Rehearse) -> None:
    call = talking(rehearse)
    call.model_calls("look_up", what="slow")
    call.waits(690)
    assert reads(call) == []
    call.waits(20)
    assert reads(call) == [FILLER]
    read_out(call)
    call.waits(1400)
    assert call.answer() == {"result": "found"}
    assert reads(call) == [""]
    call.agent_says("I found it.")
    call.waits(2500)
    assert call.overheard()[-2:] == [("agent", FILLER), ("agent", "I found it.")]


def test_a_background_answer_comes_in_after_the_caller_has_gone_on_talking(rehearse: Rehearse) -> None:
    call = talking(rehearse)
    call.model_calls("search")
    assert call.answer()["status"] == "working"
    call.agent_says("I am searching. What else?")
    call.waits(18_000)
    call.act(ev.CallerSpoke("long"))
    call.waits(5000)
    assert '{"found":3}' in call.did(do.AddText).text
    assert reads(call) == []
    call.act(ev.CallerStopped("long"))
    call.agent_says("There are three. And to your question: yes.")
    call.waits(5000)
    assert reads(call) == []
    assert call.last_tool().status == "ok"


def test_a_background_answer_that_comes_after_the_call_is_on_record(rehearse: Rehearse) -> None:
    call = talking(rehearse)
    call.model_calls("search")
    call.hangs_up()
    assert call.over
    assert call.last_tool().status == "working"
    call.waits(25_000)
    assert (call.last_tool().status, msgspec.json.decode(call.last_tool().result)) == ("ok", {"found": 3})


def test_a_booking_is_asked_for_first_and_then_done_even_if_the_caller_hangs_up(rehearse: Rehearse) -> None:
    call = talking(rehearse)
    call.model_calls("book", day="Tuesday")
    assert "Nothing was done yet" in call.answer()["error"]
    call.agent_says("Shall I book Tuesday?")
    call.waits(2500)
    call.caller_says("Yes, thank you, goodbye.")
    call.model_calls("book", day="Tuesday")
    call.waits(500)
    call.hangs_up()
    assert call.last_tool().status == "late"
    call.waits(3000)
    asked, booked = [(0, "working"), (0, "refused")], [(1, "working"), (1, "late"), (1, "ok")]
    assert [(row.seq, row.status) for row in call.rows(ToolCall)] == [*asked, *booked]
    assert call.outcome == {"day": "Tuesday"}


def test_a_model_that_claims_a_yes_nobody_said_books_nothing(rehearse: Rehearse) -> None:
    call = talking(rehearse)
    for _ in range(3):
        call.model_calls("book", day="Tuesday")
        call.waits(3000)
        assert call.last_tool().status == "refused"
    assert call.outcome == {}
