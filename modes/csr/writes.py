"""What the agent may change: each change and its ticket in one transaction, once by its key, and never two for one article.

The customer's row is kept meanwhile (`proof.identified(writing=True)`), so what is done for one customer is done one by one, and
what was checked still holds when it is written.
"""

import secrets
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.mode import ToolError
from modes.csr.orders import clean, file_ticket, ticket_by_key, ticket_for
from modes.csr.tables import Customer, Order, OrderLine, Ticket

RETURN_DAYS = 30
"""After delivery."""
REFUND_LIMIT_CENTS = 5_000
"""What the agent may give back to one customer within REFUND_DAYS; above it a person decides."""
REFUND_DAYS = 30


class By(NamedTuple):
    """By which wish of which call something is written."""

    key: str
    call_sid: str


class Address(NamedTuple):
    """Where a customer's parcels go."""

    street: str
    city: str
    postal_code: str


async def take_back(
    session: AsyncSession, customer: Customer, article: OrderLine, reason: str, by: By, now: datetime
) -> Ticket:
    """Register an article for return; if it is registered already, the ticket it has. Raises ToolError."""
    if article.settled == "returned" and (before := await _before(session, article, "return", by)):
        return before
    if article.settled != "kept":
        raise ToolError(f"This article is {article.settled} already, so it cannot be returned. Say so; offer a person.")
    delivered = await _delivered(session, article)
    if delivered is None:
        raise ToolError("The order was not delivered yet, so nothing of it can be returned. Say so.")
    if now.date() > delivered + timedelta(days=RETURN_DAYS):
        raise ToolError(
            f"It was delivered more than {RETURN_DAYS} days ago, too late for a return. Say so; offer a person."
        )
    article.settled = "returned"
    return await _file(session, customer, article, "return", reason, by)


async def give_back(
    session: AsyncSession, customer: Customer, article: OrderLine, reason: str, by: By, now: datetime
) -> Ticket | None:
    """Refund an article's price; if that was done already, the ticket it has. None: a person decides. Raises ToolError."""
    if article.settled == "refunded" and (before := await _before(session, article, "refund", by)):
        return before
    if article.settled != "kept":
        raise ToolError(
            f"This article is {article.settled} already: its money comes back once it has arrived. Say so; offer a person."
        )
    if await _delivered(session, article) is None:
        raise ToolError("The order was not delivered yet, so nothing is refunded for now. Say so; offer a person.")
    amount = article.quantity * article.price_cents
    if amount + await refunded_lately(session, customer, now) > REFUND_LIMIT_CENTS:
        return None
    article.settled = "refunded"
    return await _file(session, customer, article, "refund", reason, by, amount_cents=amount)


async def move(session: AsyncSession, customer: Customer, to: Address, by: By) -> Ticket:
    """Change a customer's address; the old one stays on the ticket. The same key again changes nothing.

    Unless they have moved on since: keys begin anew where another process takes the call up.
    """
    was = Address(customer.street, customer.city, customer.postal_code)
    if before := await ticket_by_key(session, by.key):
        if was == to:
            return before
        by = by._replace(key=f"{by.key}/{secrets.token_hex(4)}")
    customer.street, customer.city, customer.postal_code = to
    return await file_ticket(
        session,
        **by._asdict(),
        kind="address",
        customer_number=customer.number,
        text=clean(f"from {', '.join(was)} to {', '.join(to)}"),
        phone=customer.phone,
    )


async def refunded_lately(session: AsyncSession, customer: Customer, now: datetime) -> int:
    """Cents that were given back to a customer in the last REFUND_DAYS."""
    total = select(func.coalesce(func.sum(Ticket.amount_cents), 0)).where(
        Ticket.customer_number == customer.number,
        Ticket.kind == "refund",
        Ticket.created_at > now - timedelta(days=REFUND_DAYS),
    )
    return int((await session.execute(total)).scalar_one())


async def _before(session: AsyncSession, article: OrderLine, kind: str, by: By) -> Ticket | None:
    return await ticket_by_key(session, by.key) or await ticket_for(session, article, kind)


async def _delivered(session: AsyncSession, article: OrderLine) -> date | None:
    query = select(Order.delivered_on).where(Order.number == article.order_number)
    return (await session.execute(query)).scalar_one()


async def _file(
    session: AsyncSession,
    customer: Customer,
    article: OrderLine,
    kind: str,
    reason: str,
    by: By,
    *,
    amount_cents: int = 0,
) -> Ticket:
    return await file_ticket(
        session,
        **by._asdict(),
        kind=kind,
        customer_number=customer.number,
        order_number=article.order_number,
        line=article.line,
        amount_cents=amount_cents,
        text=reason,
        phone=customer.phone,
    )
