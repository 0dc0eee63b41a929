"""Writes: nothing is done that the caller was not asked for, and what they agreed to is carried through."""

import asyncio
import json

import pytest

from app.captures.captured import Confirmed, DigitString
from app.core import events as ev
from app.mode import CallContext, ToolError, Transfer, tool
from tests.house.toolbox_desk import Desk, Gate, error

# --- writes ----------------------------------------------------------------------------------------------------------


@tool(writes=True)
async def take_message(call: CallContext, text: str) -> str:
    """Write down."""
    if text == "refuse":
        raise ToolError("Ask for more.")
    if text == "hang":
        raise TimeoutError
    return f"saved by {call.key}"


@tool(writes=True)
async def cancel_order(order: Confirmed[DigitString]) -> str:
    """Cancel an order."""
    return f"cancelled {order}"


@tool
async def order_status(order: Confirmed[DigitString]) -> str:
    """Look an order up."""
    return f"on its way: {order}"


async def test_a_write_is_proposed_then_agreed_to_then_done_once() -> None:
    desk = Desk(take_message)
    assert "Nothing was done yet" in error(await desk.call("take_message", text="Call back."))
    assert "has not answered" in error(await desk.call("take_message", text="Call back."))
    desk.turns += 1
    assert (await desk.call("take_message", text="call back")).status == "ok"
    desk.turns += 1
    assert "Nothing was done yet" in error(await desk.call("take_message", text="Call back."))
    desk.turns += 1
    assert (await desk.call("take_message", text="Call back.")).status == "ok"
    first, second = desk.keys
    assert first != second, "a second message of the same words is a second message"


async def test_a_write_of_which_nobody_knows_is_tried_again_under_the_same_key_without_asking_again() -> None:
    desk = Desk(take_message)
    await desk.call("take_message", text="hang")
    desk.turns += 1
    assert [(await desk.call("take_message", text="hang")).status for _ in range(2)] == ["late", "late"]
    assert len(set(desk.keys)) == 1


async def test_a_write_that_the_tool_refuses_may_be_tried_again() -> None:
    desk = Desk(take_message)
    await desk.call("take_message", text="refuse")
    desk.turns += 1
    assert error(await desk.call("take_message", text="refuse")) == "Ask for more."
    assert error(await desk.call("take_message", text="refuse")) == "Ask for more."


async def test_two_writes_of_one_response_are_one_wish() -> None:
    desk = Desk(take_message)
    refusals = await asyncio.gather(*(desk.call("take_message", text="x") for _ in range(2)))
    assert ["Nothing was done yet" in error(one) for one in refusals] == [True, False]
    desk.turns += 1
    await asyncio.gather(*(desk.call("take_message", text="x") for _ in range(2)))
    assert len(set(desk.keys)) == 1, "the store does it once"


async def test_asking_first_is_told_apart_from_what_went_wrong() -> None:
    desk = Desk(take_message)
    assert (await desk.call("take_message", text="refuse")).asks
    assert (await desk.call("take_message", text="refuse")).asks
    assert not (await desk.call("take_message")).asks
    desk.turns += 1
    assert not (await desk.call("take_message", text="refuse")).asks, "the tool itself refuses"


async def test_what_was_read_back_for_a_write_is_not_asked_for_again() -> None:
    desk = Desk(cancel_order, order_status)
    assert "Read the order back" in error(await desk.call("cancel_order", order="4711"))
    desk.turns += 1
    assert (await desk.call("cancel_order", order="4711")).status == "ok"

    desk = Desk(cancel_order, order_status)
    await desk.call("order_status", order="4711")
    desk.turns += 1
    assert (await desk.call("order_status", order="4711")).status == "ok"
    assert "Nothing was done yet" in error(await desk.call("cancel_order", order="4711")), "that was for looking it up"
    desk.turns += 1
    assert (await desk.call("cancel_order", order="4711")).status == "ok"


async def test_a_no_to_one_order_is_no_yes_to_another_that_was_only_asked_about() -> None:
    desk = Desk(cancel_order, order_status)
    assert "Read the order back" in error(await desk.call("cancel_order", order="4711"))
    desk.turns += 1  # "No, leave that one. But where is 4712?"
    assert "Read the order back" in error(await desk.call("order_status", order="4712"))
    desk.turns += 1
    assert (await desk.call("order_status", order="4712")).status == "ok"
    assert "Nothing was done yet" in error(await desk.call("cancel_order", order="4712"))


async def test_wrong_arguments_are_no_proposal() -> None:
    desk = Desk(take_message)
    assert "text" in error(await desk.call("take_message"))
    desk.turns += 1
    assert "Nothing was done yet" in error(await desk.call("take_message", text="x"))


async def test_a_write_that_the_caller_agreed_to_is_carried_through_when_they_hang_up() -> None:
    gate = Gate()

    @tool(writes=True)
    async def book() -> str:
        """Book."""
        return await gate()

    desk = Desk(book)
    await desk.call("book")
    desk.turns += 1
    running = asyncio.create_task(desk.call("book"))
    await gate.entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.open.set()
    done = await desk.reported()
    assert isinstance(done, ev.ToolFinished)
    assert (done.call_id, done.status, json.loads(done.output)) == ("c2", "ok", {"result": "found"})
    assert gate.runs == 1


async def test_a_transfer_that_comes_back_after_its_stream_is_not_told_as_under_way() -> None:
    gate = Gate()

    @tool(writes=True)
    async def refund() -> Transfer:
        """Give money back, or put the caller through."""
        await gate()
        return Transfer(to="billing", reason="a large refund")

    desk = Desk(refund)
    await desk.call("refund")
    desk.turns += 1
    running = asyncio.create_task(desk.call("refund"))
    await gate.entered.wait()
    running.cancel()
    gate.open.set()
    done = await desk.reported()
    assert isinstance(done, ev.ToolFinished)
    assert "NOT put through to billing" in done.output


async def test_a_process_that_stops_waits_for_a_write_and_for_nothing_else() -> None:
    gate, never = Gate(), Gate()

    @tool(writes=True)
    async def book() -> str:
        """Book."""
        return await gate()

    @tool(background=True)
    async def search() -> str:
        """Search."""
        return await never()

    desk = Desk(book, search)
    await desk.call("book")
    desk.turns += 1
    running = asyncio.create_task(desk.call("book"))
    await desk.call("search")
    await gate.entered.wait()
    await never.entered.wait()
    desk.box.stop()
    resting = asyncio.create_task(desk.box.rest())
    given_up = await desk.reported()
    assert isinstance(given_up, ev.ToolFinished)
    assert given_up.status == "late"
    assert not resting.done()
    gate.open.set()
    await resting
    assert (await running).status == "ok"


async def test_what_only_looks_up_ends_with_its_stream() -> None:
    gate, left = Gate(), asyncio.Event()

    @tool
    async def look_up() -> str:
        """Look up."""
        try:
            return await gate()
        finally:
            left.set()

    desk = Desk(look_up)
    running = asyncio.create_task(desk.call("look_up"))
    await gate.entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert left.is_set()
    assert desk.reports.empty()
