"""Who is calling: a phone number on file and something only its customer knows; three tries, then nothing for an hour.

A try is counted before anything is compared, in rows that both calls of two at once must take one after the other. It is counted
for the number that calls and for the number that is claimed, whether or not it is a customer's: so another call, another
phone or another customer starts nothing anew, and what a stranger hears is the same for numbers that we know and for others.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import and_, case, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.mode import ToolError
from modes.csr.tables import Customer, Identified, Order, Tries

MAX_TRIES = 3
LOCKED_FOR = timedelta(hours=1)
"""Since the last try that counted. Trying while locked prolongs nothing."""

UNKNOWN = (
    "The caller is not identified. Say nothing about any customer or order; ask for the phone number on the account and the "
    "postal code or an order number, and call identify."
)


class Claim(NamedTuple):
    """What a caller says of themselves. `caller`: the number they call from, E.164, or empty; all but `phone` may be empty."""

    call_sid: str
    caller: str
    phone: str
    postal_code: str
    order_number: str


class Verdict(NamedTuple):
    """`left`: tries that are left."""

    result: Literal["proved", "wrong", "locked"]
    left: int = 0
    customer: int = 0


async def prove(session: AsyncSession, claim: Claim, now: datetime) -> Verdict:
    """Judge a claim, and remember the customer for this call if it holds. All that is claimed must be right.

    The transaction must be committed whatever the verdict: it holds the count of tries. now: aware.
    """
    source = f"from:{claim.caller}" if claim.caller else f"call:{claim.call_sid}"
    account = f"claim:{claim.phone}"
    counts = [await _count(session, subject, now) for subject in sorted((source, account))]
    if max(counts) > MAX_TRIES:
        return Verdict("locked")
    knows_order = (
        select(Order.number)
        .where(Order.number == claim.order_number, Order.customer_number == Customer.number)
        .exists()
        .label("knows_order")
    )
    found = (
        await session.execute(
            select(Customer.number, Customer.postal_code, knows_order).where(Customer.phone == claim.phone)
        )
    ).one_or_none()
    holds = (
        found is not None
        and bool(claim.postal_code or claim.order_number)
        and (not claim.postal_code or plain(found.postal_code) == plain(claim.postal_code))
        and (not claim.order_number or bool(found.knows_order))
    )
    if found is None or not holds:
        left = MAX_TRIES - max(counts)
        return Verdict("wrong", left) if left else Verdict("locked")
    await session.execute(delete(Tries).where(Tries.subject == account))
    # A good try is taken back, earlier bad ones are not: an account of one's own buys no more tries at those of others.
    await session.execute(update(Tries).where(Tries.subject == source).values(count=Tries.count - 1))
    remember = insert(Identified).values(call_sid=claim.call_sid, customer_number=found.number)
    await session.execute(
        remember.on_conflict_do_update(index_elements=[Identified.call_sid], set_={"customer_number": found.number})
    )
    return Verdict("proved", MAX_TRIES, found.number)


async def identified(session: AsyncSession, call_sid: str, *, writing: bool = False) -> Customer:
    """The customer that this call has proved to be. Raises ToolError if none.

    writing: keep the customer's row until the transaction ends, so that what is done for one customer is done one by one.
    """
    customer = await whoever(session, call_sid, writing=writing)
    if customer is None:
        raise ToolError(UNKNOWN)
    return customer


async def whoever(session: AsyncSession, call_sid: str, *, writing: bool = False) -> Customer | None:
    """The same; None if the call has not proved anything."""
    query = select(Customer).join(Identified, Identified.customer_number == Customer.number)
    query = query.where(Identified.call_sid == call_sid)
    if writing:
        query = query.with_for_update(of=Customer)
    return (await session.execute(query)).scalar_one_or_none()


def plain(code: str) -> str:
    """A postal code or an order number as it compares: "60614-1234" and "60614 1234" are one."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


async def _count(session: AsyncSession, subject: str, now: datetime) -> int:
    """Count a try of a subject; more than MAX_TRIES: it is locked. Its row stays ours until the transaction ends."""
    over = Tries.last_at < now - LOCKED_FOR
    locked = and_(Tries.count >= MAX_TRIES, Tries.last_at >= now - LOCKED_FOR)
    fresh = insert(Tries).values(subject=subject, count=1, last_at=now)
    counted = fresh.on_conflict_do_update(
        index_elements=[Tries.subject],
        set_={
            "count": case((over, 1), (locked, MAX_TRIES + 1), else_=Tries.count + 1),
            "last_at": case((locked, Tries.last_at), else_=now),
        },
    )
    return int((await session.execute(counted.returning(Tries.count))).scalar_one())
