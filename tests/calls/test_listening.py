"""Whole calls of callers whom no script announced, over real sockets: the stand-in hears, the product does what they want."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.sim import voices
from app.sim.caller import ScriptedCaller
from app.sim.carrier_call import CarrierCall
from app.sim.hearing_worker import Hearing
from app.sim.model import ModelServer
from app.sim.script import Turn
from tests.calls.product import OURS, Product, new_number, product

GREETED = Turn(agent="(whatever the agent says)")
CALL_SECONDS = 100


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[Product]:
    async with product(model=ModelServer(hearing=Hearing())) as it:
        yield it


def line(text: str, **more: Any) -> Turn:
    return Turn(caller=text, **more)


async def calls(house: Product, mode: str, voice: str, *turns: Turn) -> tuple[list[Any], Any]:
    """A caller says these lines, each when the agent has finished, and the call takes its end: tool calls, outcome."""
    holder: list[CarrierCall] = []
    caller = ScriptedCaller(
        [GREETED, *turns],
        lambda text: voices.say(text, voice),
        press=lambda keys: holder[0].press(keys),
        hang_up=lambda: holder[0].put_down(),
    )
    webhook = f"/twilio/incoming?mode={mode}"
    call = await house.carrier.dial(from_number=new_number(), to_number=OURS, line=caller, webhook=webhook)
    holder.append(call)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await call.finished()
    finally:
        await call.hang_up()
    await house.closed(call.call_sid)
    return await house.store.tool_calls(call.call_sid), await house.store.outcome(call.call_sid)


async def test_callers_without_a_script_are_heard_in_every_shipped_mode(house: Product) -> None:
    async with asyncio.TaskGroup() as group:
        desk = group.create_task(calls(
            house, "receptionist", "carl",
            line("I have a toothache. Do you have anything on Tuesday?", cuts_in_after_ms=1500),
            line("Yes please."), line("P, A, R, K, E, R."), line("Yes, that is right."),
            line("No, that is all. Thank you, goodbye."),
        ))  # fmt: skip
        menu = group.create_task(calls(
            house, "ivr", "anna",
            line("What are your opening hours?"), line("No, that is all. Thank you, goodbye."),
        ))  # fmt: skip
        service = group.create_task(calls(
            house, "csr", "ben",
            line("Where is my order?"), line("It is 4, 1, 5, 5, 5, 5, 0, 1, 8, 2."), line("Yes, that is right."),
            line("4, 0, 3, 4, 2."), line("Yes, that is right."), line("No, that is all. Thank you, goodbye."),
        ))  # fmt: skip
    tools, outcome = desk.result()
    assert [(tool.name, tool.status) for tool in tools] == [
        ("free_slots", "ok"), ("book_appointment", "ok"), ("end_call", "ok"),
    ]  # fmt: skip
    assert (outcome.fields["result"], outcome.fields["name"]) == ("booked", "Parker")
    tools, outcome = menu.result()
    assert [(tool.name, tool.status) for tool in tools] == [
        ("choose", "ok"), ("opening_hours", "ok"), ("end_call", "ok"),
    ]  # fmt: skip
    tools, outcome = service.result()
    assert [(tool.name, tool.status) for tool in tools] == [
        ("identify", "ok"), ("order_status", "ok"), ("end_call", "ok"),
    ]  # fmt: skip
    assert outcome.fields["order"] == "40342"
