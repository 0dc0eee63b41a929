"""What a call leaves in the books: rows, writes and bytes on disk, table by table, of a database in which calls were made.

    ./offhook serve &  ./offhook call --all               # calls to measure, in a new data folder
    .venv/bin/python tools/books_per_call.py URL          # URL: what .offhook/database.url says

A few calls do not fill a page of a table, so bytes are measured on temporary copies of each table, large enough and rolled back.
Writes are of Postgres' own statistics, which begin with the database: ask a new one.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.adapters.database import make_engine

BOOKS = (
    "calls", "turns", "tool_calls", "spans", "responses", "milestones", "call_outcomes", "finished_calls", "transfers",
    "captures", "consents", "call_states", "used_tickets", "debug_events",
)  # fmt: skip
COPIES = 20_000
"""Rows of a copy: enough that pages that are not full do not count."""
TOTALS = (
    "SELECT count(*), coalesce(sum(extract(epoch FROM ended_at - started_at)), 0)::float / 60 FROM calls "
    "WHERE ended_at IS NOT NULL"
)
WRITTEN = (
    "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
    "WHERE n_tup_ins > 0 AND schemaname = current_schema() AND relname = ANY(:books) ORDER BY 2 DESC"
)
COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = :name "
    "AND is_identity = 'NO' AND is_generated = 'NEVER' AND column_default IS NULL"
)
OTHERWISE = {"call_sid": "call_sid || '-' || n", "ticket": "md5(ticket || n)", "id": "gen_random_uuid()"}
"""Keys that copies must not share."""


class Left(NamedTuple):
    """What calls left in one table."""

    table: str
    rows: int
    writes: int
    row_bytes: float


async def left(connection: AsyncConnection) -> list[Left]:
    """Every table of the books that has rows, what is written most first."""
    found = []
    written = (await connection.execute(text(WRITTEN), {"books": list(BOOKS)})).all()
    for table, writes in written:
        names = [str(name) for (name,) in await connection.execute(text(COLUMNS), {"name": table})]
        rows = int((await connection.execute(text(f'SELECT count(*) FROM "{table}"'))).scalar_one())  # noqa: S608
        if rows:
            found.append(Left(str(table), rows, int(writes), await _row_bytes(connection, str(table), names, rows)))
    return found


async def _row_bytes(connection: AsyncConnection, table: str, names: list[str], rows: int) -> float:
    """Bytes of a row on disk with its share of the indexes."""
    copies = COPIES // rows + 1
    into, out = (
        ", ".join(f'"{name}"' for name in names),
        ", ".join(OTHERWISE.get(name, f't."{name}"') for name in names),
    )
    await connection.execute(text(f'CREATE TEMP TABLE copied (LIKE "{table}" INCLUDING ALL) ON COMMIT DROP'))
    fill = f'INSERT INTO copied ({into}) SELECT {out} FROM "{table}" t, generate_series(1, {copies}) n'  # noqa: S608
    filled = (await connection.execute(text(fill))).rowcount
    size = int((await connection.execute(text("SELECT pg_total_relation_size('copied')"))).scalar_one())
    await connection.execute(text("DROP TABLE copied"))
    return size / filled


async def measured(url: str) -> list[str]:
    """The lines to print."""
    engine = make_engine(url, keep_connections=False, command_seconds=None)
    try:
        async with engine.connect() as connection:
            calls, minutes = (await connection.execute(text(TOTALS))).one()
            if not calls:
                return ["expected a database with calls that are over, found none"]
            tables = await left(connection)
            await connection.rollback()
    finally:
        await engine.dispose()
    lines = [f"{calls} calls that are over, of {60 * minutes / calls:.0f} s; a minute of them:", ""]
    lines.append(f"{'':18}{'rows':>9}{'writes':>9}{'bytes a row':>13}{'kB':>8}")
    books = [one for one in tables if one.table != "debug_events"]
    for one in tables:
        lines.append(_line(one.table, [one], minutes))
    return [
        *lines,
        "",
        _line("the books", books, minutes),
        _line("debug events", [t for t in tables if t not in books], minutes),
    ]


def _line(title: str, tables: list[Left], minutes: float) -> str:
    rows, writes = (sum(getattr(one, name) for one in tables) for name in ("rows", "writes"))
    size = sum(one.rows * one.row_bytes for one in tables)
    return (
        f"{title:18}{rows / minutes:9.1f}{writes / minutes:9.1f}{size / max(rows, 1):13.0f}{size / minutes / 1000:8.1f}"
    )


def main() -> int:
    """0: done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of a Postgres with calls; it is only read")
    sys.stdout.write("\n".join(asyncio.run(measured(parser.parse_args().url))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
