"""What the calls of a day have cost, from the books: one sum for each caller and dialled number."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.tables import calls


class Spent(msgspec.Struct, frozen=True):
    """What the calls between one caller and one number of ours have cost, whoever dialled."""

    caller: str
    dialled: str
    usd: float


async def spent_since(engine: AsyncEngine, since: datetime, but: Sequence[str]) -> list[Spent]:
    """Sums of the calls that began at `since` (aware) or later, and have a cost; not of those whose SIDs are in `but`.

    Goes by the index on started_at. Raises what the database raises.
    """
    out = calls.c.direction == "outbound"
    caller = case((out, calls.c.to_number), else_=calls.c.from_number).label("caller")
    dialled = case((out, calls.c.from_number), else_=calls.c.to_number).label("dialled")
    query = (
        select(caller, dialled, func.sum(calls.c.cost_usd).label("usd"))
        .where(calls.c.started_at >= since, calls.c.cost_usd > 0, calls.c.call_sid.not_in(but))
        .group_by(caller, dialled)
    )
    async with engine.connect() as connection:
        return [Spent(row.caller, row.dialled, float(row.usd)) for row in await connection.execute(query)]
