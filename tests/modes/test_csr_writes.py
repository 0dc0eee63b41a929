"""What customer service changes: agreed to, once, all or nothing, and never told before it is so."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core import effects as do
from app.core import events as ev
from modes.csr.tables import Customer, OrderLine, Ticket
from tests.modes.csr_call import ALWAYS_OPEN, DANIEL, EMMA, LAURA, ROBERT, CsrCall, with_demo_rows

LAMP = {"order_number": "40117", "line": 1, "reason": "changed mind"}
BULBS = {"order_number": "40117", "line": 2, "reason": "damaged"}
CHAIR = {"order_number": "40455", "line": 1, "reason": "damaged"}


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncEngine:
    """A shop with customers and orders."""
    return await with_demo_rows(engine)


async def state(call: CsrCall, order: str, line: int) -> str:
    (settled,) = await call.rows(
        select(OrderLine.settled).where(OrderLine.order_number == order, OrderLine.line == line)
    )
    return str(settled)


async def tickets(call: CsrCall, kind: str) -> list[Ticket]:
    return await call.rows(select(Ticket).where(Ticket.kind == kind).order_by(Ticket.created_at))


async def test_a_return_is_registered_once_the_caller_agreed(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(EMMA, "60614")
    assert "Nothing was done yet" in (await call.does("return_item", **LAMP))["error"]
    assert "has not answered" in (await call.does("return_item", **LAMP))["error"]
    assert (await state(call, "40117", 1), await tickets(call, "return")) == ("kept", [])
    call.turns += 1
    answer = await call.does("return_item", **LAMP)
    (ticket,) = await tickets(call, "return")
    assert answer == {"done": "return", "reference": ticket.reference, "done_before": False, "article": "Desk lamp"}
    assert await state(call, "40117", 1) == "returned"
    assert (ticket.customer_number, ticket.order_number, ticket.line, ticket.text) == (1001, "40117", 1, "changed mind")
    assert (call.outcome["result"], call.outcome["reference"]) == ("return", ticket.reference)


async def test_two_calls_that_return_the_same_article_at_once_return_it_once(shop: AsyncEngine) -> None:
    calls = [await CsrCall(shop).proves(EMMA, "60614") for _ in range(4)]
    answers = await asyncio.gather(*(call.agrees("return_item", **LAMP) for call in calls))
    assert sorted(answer["done_before"] for answer in answers) == [False, True, True, True]
    assert len({answer["reference"] for answer in answers}) == 1
    assert len(await tickets(calls[0], "return")) == 1


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("return_item", LAMP, "return"),
        ("refund_item", BULBS, "refund"),
        ("change_address", {"street": "1 New Road", "city": "Chicago", "postal_code": "60601"}, "address"),
        ("open_ticket", {"question": "Do you have it in red?"}, "question"),
    ],
)
async def test_the_same_key_again_even_at_once_is_done_once_and_answered_the_same(
    shop: AsyncEngine, name: str, arguments: dict[str, Any], kind: str
) -> None:
    first = await CsrCall(shop).proves(EMMA, "60614")
    twins = [first, *(CsrCall(shop, call_sid=first.call_sid) for _ in range(2))]  # one call in three processes: one key
    answers = await asyncio.gather(*(twin.agrees(name, **arguments) for twin in twins))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["done_before"] is False
    assert len(await tickets(first, kind)) == 1


async def test_a_late_return_one_not_delivered_and_one_refunded_are_refused_with_words(shop: AsyncEngine) -> None:
    emma, daniel = await CsrCall(shop).proves(EMMA, "60614"), await CsrCall(shop).proves(DANIEL, "60610")
    late = await emma.agrees("return_item", order_number="40098", line=1, reason="other")
    assert "too late" in late["error"]
    early = await daniel.agrees("return_item", order_number="40342", line=1, reason="other")
    assert "not delivered" in early["error"]
    await emma.agrees("refund_item", **BULBS)
    refunded = await emma.agrees("return_item", order_number="40117", line=2, reason="other")
    assert "refunded already" in refunded["error"]
    assert "no line 9" in (await emma.agrees("return_item", order_number="40117", line=9, reason="other"))["error"]
    assert await tickets(emma, "return") == []


async def test_a_small_refund_is_given_and_told_with_its_amount(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(EMMA, "60614")
    answer = await call.agrees("refund_item", **BULBS)
    assert answer["amount"] == "$13.50"
    assert call.outcome["amount_cents"] == 1350
    assert await state(call, "40117", 2) == "refunded"
    again = await call.agrees("refund_item", **BULBS)
    assert (again["done_before"], again["reference"]) == (True, answer["reference"])


async def test_a_refund_above_the_limit_goes_to_a_person_and_changes_nothing(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(LAURA, "60201")
    assert "put through to billing" in (await call.agrees("refund_item", **CHAIR))["result"]
    assert call.last is not None
    assert (call.last.transfer_to, call.last.transfer_outcome) == ("billing", {"result": "transferred"})
    assert (await state(call, "40455", 1), await tickets(call, "refund")) == ("kept", [])
    assert call.outcome.get("result") is None


async def test_small_refunds_do_not_add_up_past_the_limit_not_even_at_once(shop: AsyncEngine) -> None:
    calls = [await CsrCall(shop).proves(EMMA, "60614") for _ in range(2)]
    wishes = [{**LAMP, "reason": "damaged"}, BULBS]  # 39.00 and 13.50: one of them fits into 50.00
    answers = await asyncio.gather(
        *(call.agrees("refund_item", **wish) for call, wish in zip(calls, wishes, strict=True))
    )
    assert sorted("done" in answer for answer in answers) == [False, True]
    assert len(await tickets(calls[0], "refund")) == 1


async def test_where_no_person_can_be_reached_a_large_refund_is_left_open(shop: AsyncEngine) -> None:
    nobody = msgspec.structs.replace(ALWAYS_OPEN, desks={"lab": ALWAYS_OPEN.desks["lab"]})
    call = await CsrCall(shop, office=nobody).proves(LAURA, "60201")
    assert "none can be reached" in (await call.agrees("refund_item", **CHAIR))["error"]


async def test_a_returned_article_is_not_refunded_on_the_phone(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(EMMA, "60614")
    await call.agrees("return_item", order_number="40117", line=2, reason="other")
    assert "returned already" in (await call.agrees("refund_item", **BULBS))["error"]


async def test_an_address_that_comes_back_in_another_process_is_changed_and_not_only_called_so(
    shop: AsyncEngine,
) -> None:
    here, there = CsrCall(shop, call_sid="CA" + "a" * 32), CsrCall(shop, call_sid="CA" + "a" * 32)
    await here.proves(EMMA, "60614")
    first = {"street": "1 New Road", "city": "Evanston", "postal_code": "60202"}
    second = first | {"street": "2 Old Road"}
    told = [
        await call.agrees("change_address", **address)
        for call, address in ((here, first), (there, second), (there, first))
    ]
    assert len({answer["reference"] for answer in told}) == 3
    assert not any(answer["done_before"] for answer in told)
    assert await here.rows(select(Customer.street).where(Customer.number == 1001)) == ["1 New Road"]


async def test_a_new_address_is_kept_and_the_old_one_stays_on_the_ticket(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(ROBERT, "60604")
    answer = await call.agrees("change_address", street="1  New\nRoad", city="Evanston", postal_code="60202")
    assert answer["done"] == "address"
    (robert,) = await call.rows(select(Customer).where(Customer.phone == ROBERT))
    assert (robert.street, robert.city, robert.postal_code) == ("1 New Road", "Evanston", "60202")
    (ticket,) = await tickets(call, "address")
    assert ticket.text == "from 231 State Street, Chicago, 60604 to 1 New Road, Evanston, 60202"
    assert (
        "empty" in (await call.agrees("change_address", street=" \n ", city="Evanston", postal_code="60202"))["error"]
    )


async def test_a_caller_who_is_nobody_leaves_a_question_if_there_is_a_number_to_ring_back(shop: AsyncEngine) -> None:
    call = CsrCall(shop, "")
    assert "no number to ring back" in (await call.agrees("open_ticket", question="Where is my lamp?"))["error"]
    await call.agrees("open_ticket", question="Where is my lamp?", callback="415 555 0123")
    (ticket,) = await tickets(call, "question")
    assert (ticket.customer_number, ticket.phone, ticket.text) == (None, "+14155550123", "Where is my lamp?")
    assert call.outcome["result"] == "ticket"


async def test_a_write_whose_second_half_fails_leaves_nothing_and_says_so(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(EMMA, "60614")
    async with shop.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE csr_tickets ADD CONSTRAINT shut CHECK (kind <> 'return')")
    answer = await call.agrees("return_item", **LAMP)
    assert "do not answer right now" in answer["error"]
    assert await state(call, "40117", 1) == "kept"
    assert "result" not in call.outcome
    async with shop.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE csr_tickets DROP CONSTRAINT shut")
    assert (await call.does("return_item", **LAMP))["done_before"] is False, (
        "agreed before, so the same wish may run again"
    )


async def test_a_caller_who_hangs_up_in_the_middle_of_a_write_leaves_all_of_it(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(EMMA, "60614")
    told: list[ev.Event] = []
    call.toolbox.report = told.append
    await call.does("return_item", **LAMP)
    call.turns += 1
    async with call.session() as session:  # somebody holds the row
        await session.execute(select(Customer).where(Customer.number == 1001).with_for_update())
        words = msgspec.json.encode(LAMP).decode()
        work = asyncio.create_task(call.toolbox.run(do.RunTool("cut", "return_item", words)))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert await tickets(call, "return") == []
    await call.toolbox.rest()
    assert (await state(call, "40117", 1), len(await tickets(call, "return"))) == ("returned", 1)
    assert [event.status for event in told if isinstance(event, ev.ToolFinished)] == ["ok"]


async def test_reads_and_proofs_need_no_agreement_and_refunds_age(shop: AsyncEngine) -> None:
    call = await CsrCall(shop).proves(EMMA, "60614")
    await call.agrees("refund_item", **{**LAMP, "reason": "damaged"})
    call.late = timedelta(days=31)
    assert (await call.agrees("refund_item", **BULBS))["amount"] == "$13.50"
