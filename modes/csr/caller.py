"""What the customer service keeps of one caller, for those who ask for it, or want it erased.

The customer is the one who has the number, with their orders; tickets and proofs are also those of the number's calls. A number
that calls about somebody else's order does not give that customer away: only what was done in its own calls is its own.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text, any_, delete, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.mode import Caller
from modes.csr.tables import Customer, Identified, Order, OrderLine, Row, Ticket, Tries


async def caller_rows(session: AsyncSession, caller: Caller) -> dict[str, list[dict[str, Any]]]:
    """The rows by table; with `erase` they are gone afterwards."""
    customers = select(Customer.number).where(Customer.phone == caller.number)
    orders = select(Order.number).where(Order.customer_number.in_(customers))
    # Each list as one parameter: a statement has 32,767 at most.
    sids = any_(literal(list(caller.call_sids), ARRAY(Text)))
    tried = [f"{kind}:{caller.number}" for kind in ("from", "claim")] + [f"call:{sid}" for sid in caller.call_sids]
    # In the order in which they can be deleted: of those that refer first.
    whose: dict[type[Row], ColumnElement[bool]] = {
        Ticket: or_(
            Ticket.phone == caller.number,
            Ticket.call_sid == sids,
            Ticket.customer_number.in_(customers),
            Ticket.order_number.in_(orders),
        ),
        Identified: or_(Identified.call_sid == sids, Identified.customer_number.in_(customers)),
        Tries: Tries.subject == any_(literal(tried, ARRAY(Text))),
        OrderLine: OrderLine.order_number.in_(orders),
        Order: Order.customer_number.in_(customers),
        Customer: Customer.phone == caller.number,
    }
    found = {}
    for table, which in whose.items():
        rows = (await session.execute(select(table.__table__).where(which))).mappings()
        found[str(table.__tablename__)] = [dict(row) for row in rows]
    if caller.erase:
        for table, which in whose.items():
            await session.execute(delete(table).where(which).execution_options(synchronize_session=False))
    return {name: rows for name, rows in found.items() if rows}
