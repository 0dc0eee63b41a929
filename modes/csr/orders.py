"""Orders and tickets: looking them up, filing a ticket, and how they are told. Every function works within one transaction.

What a row says is data: it is cut and cleaned before the model reads it, and nothing is decided by it.
"""

import secrets
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.mode import BackendDown, ToolError
from modes.csr.proof import plain
from modes.csr.tables import Customer, Order, OrderLine, Ticket

LATEST = 3
LINES = 8
LETTERS = "FHJKMPRTWXY34679"
"""For references: nothing that sounds or looks like another, and no vowels."""
REFERENCE_LETTERS = 6
ATTEMPTS = 8


async def latest(session: AsyncSession, customer: Customer) -> list[Order]:
    """A customer's latest orders, newest first."""
    query = select(Order).where(Order.customer_number == customer.number)
    return list((await session.execute(query.order_by(Order.placed_on.desc(), Order.number).limit(LATEST))).scalars())


async def order_of(session: AsyncSession, customer: Customer, number: str) -> Order:
    """One of the customer's orders. Raises ToolError, the same for no order and for another's."""
    query = select(Order).where(Order.number == plain(number), Order.customer_number == customer.number)
    order = (await session.execute(query)).scalar_one_or_none()
    if order is None:
        raise ToolError(
            f"This customer has no order {plain(number)[:20]!r}. Read the number back, or look up the latest orders without one."
        )
    return order


async def lines_of(session: AsyncSession, order: Order) -> list[OrderLine]:
    """An order's articles, in order."""
    query = select(OrderLine).where(OrderLine.order_number == order.number).order_by(OrderLine.line)
    return list((await session.execute(query)).scalars())


async def article_of(session: AsyncSession, customer: Customer, number: str, line: int) -> OrderLine:
    """One article of one of the customer's orders, kept until the transaction ends. Raises ToolError."""
    order = await order_of(session, customer, number)
    query = select(OrderLine).where(OrderLine.order_number == order.number, OrderLine.line == line)
    found = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if found is None:
        raise ToolError(
            f"Order {order.number} has no line {line}. Look it up with order_status, and ask which article it is."
        )
    return found


async def ticket_by_key(session: AsyncSession, key: str) -> Ticket | None:
    """What was done by this key already."""
    return (await session.execute(select(Ticket).where(Ticket.key == key))).scalar_one_or_none()


async def ticket_for(session: AsyncSession, article: OrderLine, kind: str) -> Ticket | None:
    """The latest ticket of a kind for an article."""
    query = select(Ticket).where(
        Ticket.order_number == article.order_number, Ticket.line == article.line, Ticket.kind == kind
    )
    return (await session.execute(query.order_by(Ticket.created_at.desc()).limit(1))).scalar_one_or_none()


async def file_ticket(session: AsyncSession, **values: Any) -> Ticket:
    """Write a ticket, or find the one of the same key. The database's unique keys decide, not this code."""
    for _ in range(ATTEMPTS):
        reference = "".join(secrets.choice(LETTERS) for _ in range(REFERENCE_LETTERS))
        # Waits for a twin with the same key that is not committed yet; then there is no row, and no error either.
        statement = insert(Ticket).values(reference=reference, **values).on_conflict_do_nothing().returning(Ticket)
        if ticket := (await session.execute(statement)).scalar_one_or_none():
            return ticket
        if ticket := await ticket_by_key(session, values["key"]):
            return ticket
    raise BackendDown("The records do not take anything new right now. Say so, and offer a person.")


def summary(order: Order) -> dict[str, Any]:
    """An order as the model reads it; dates that are not known are left out."""
    days = {"expected": order.expected_on if order.delivered_on is None else None, "delivered": order.delivered_on}
    return {
        "order": order.number,
        "status": order.status,
        "placed": order.placed_on.isoformat(),
        **{name: day.isoformat() for name, day in days.items() if day is not None},
    }


def described(article: OrderLine) -> dict[str, Any]:
    """One article as the model reads it."""
    return {
        "line": article.line,
        "article": clean(article.article, 60),
        "quantity": article.quantity,
        "price": dollars(article.price_cents * article.quantity),
        "state": article.settled,
    }


def dollars(cents: int) -> str:
    """An amount as it is read out."""
    return f"${cents // 100}.{cents % 100:02}"


def clean(text: str, longest: int = 1000) -> str:
    """Words from a caller or a row on one line, without what is not printable (which Postgres refuses in part)."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:longest]
