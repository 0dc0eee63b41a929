"""Everything that the books hold of one caller, by their number: to be handed out, or deleted.

A caller's calls are those that came from the number, and those placed to it. With them go all rows of the house's tables that have
their `call_sid`, and rows anywhere that have the number itself in a column for one. Found by the tables' columns, so that a new
table takes part by being there. What others said of the caller, in calls from other numbers, is not found.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, any_, delete, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.all_tables import METADATA
from app.adapters.outbound_tables import do_not_call
from app.adapters.tables import PARTY, calls

NUMBERS = ("phone", "from_number", "to_number", "number")
LISTS = {do_not_call.name}
"""Handed out, and not deleted: they say what must not be done to the number."""


async def sids_of(connection: AsyncConnection, number: str) -> list[str]:
    """The calls of a number, the oldest first. number: E.164."""
    mine = text(f"reverse({PARTY}) = reverse(:number)").bindparams(number=number)
    query = select(calls.c.call_sid).where(mine).order_by(calls.c.started_at, calls.c.call_sid)
    return [str(sid) for sid in (await connection.execute(query)).scalars()]


async def in_progress(connection: AsyncConnection, sids: Sequence[str]) -> list[str]:
    """Those of the calls that are not over; one that is open for longer than a day has lost its process."""
    fresh = calls.c.started_at > func.now() - timedelta(days=1)
    query = select(calls.c.call_sid).where(_of(calls, sids), calls.c.ended_at.is_(None), fresh)
    return [str(sid) for sid in (await connection.execute(query)).scalars()]


async def rows_of(connection: AsyncConnection, number: str, sids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What there is, by table; tables without a row are left out."""
    found = {}
    for table in METADATA.sorted_tables:
        if (which := _of_caller(table, number, sids)) is not None:
            rows = (await connection.execute(select(table).where(which).order_by(*table.primary_key))).mappings()
            found[table.name] = [dict(row) for row in rows]
    return {name: rows for name, rows in found.items() if rows}


async def delete_rows(connection: AsyncConnection, number: str, sids: Sequence[str]) -> Mapping[str, int]:
    """Delete what `rows_of` finds, but for lists that protect the caller; how many rows, by table."""
    gone = {}
    for table in METADATA.sorted_tables:
        which = _of_caller(table, number, sids)
        if which is not None and table.name not in LISTS:
            gone[table.name] = (await connection.execute(delete(table).where(which))).rowcount
    return {name: count for name, count in gone.items() if count}


def _of_caller(table: Table, number: str, sids: Sequence[str]) -> ColumnElement[bool] | None:
    conditions: list[ColumnElement[bool]] = []
    if "call_sid" in table.c:
        conditions.append(_of(table, sids))
    if table is not calls:  # a number that callers dial, or a person's, is the other end of other people's calls
        conditions += [table.c[name] == number for name in NUMBERS if name in table.c]
    return or_(*conditions) if conditions else None


def _of(table: Table, sids: Sequence[str]) -> ColumnElement[bool]:
    """Rows of these calls. As one parameter: a statement has 32,767 at most, and a number that is tried by a monitor more calls."""
    return table.c.call_sid == any_(literal(list(sids), ARRAY(Text)))
