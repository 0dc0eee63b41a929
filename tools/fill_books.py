"""Fills a database with made-up calls, and times the questions of the console on it: how docs/books.md got its figures.

    python tools/fill_books.py --calls 1000000 [--url postgresql://...] [--plans]

Without --url an embedded Postgres in a folder of its own, which is deleted afterwards. A call has ten turns. Rows are made by
Postgres itself (generate_series), so a million calls take minutes, and the same number gives the same rows.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.adapters.database import make_engine
from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.late_indexes import LATE, build_missing
from app.adapters.ledger_queries import Edge, Ledger, Wanted
from app.adapters.migrate import migrate
from app.adapters.stats_days import EXACT_CALLS, FEW, KEPT, Remembered, day_edges, figures
from app.adapters.stats_queries import Wish, stats

TURNS = 10
PIECE = 50_000
"""Calls a transaction."""

CALLS = """
INSERT INTO calls (call_sid, mode, direction, from_number, to_number, started_at, ended_at, outcome, cost_usd, greeting_path,
                   greeting_ms, version, model, slowest_turn_ms, cuts, failed_tools, turn_ms)
SELECT 'CA' || md5(n::text),
       CASE WHEN n % 1000 = 0 THEN 'reminder' WHEN n % 5 = 0 THEN 'ivr' WHEN n % 7 = 0 THEN 'csr' ELSE 'receptionist' END,
       'inbound', '+1415' || lpad((n * 7919 % 10000000)::text, 7, '0'), '+14155550199',
       timestamptz '2026-11-01' - n * interval '31 seconds',
       timestamptz '2026-11-01' - n * interval '31 seconds' + interval '2 min',
       CASE WHEN n % 200 = 0 THEN 'failed' WHEN n % 9 = 0 THEN 'transferred' WHEN n % 4 = 0 THEN 'caller_left' ELSE 'completed' END,
       0.04, CASE WHEN n % 11 = 0 THEN 'cold' ELSE 'prepared' END, 120 + abs(hashint8(n)) % 300, '0.1.0', 'gpt-realtime-1.5',
       CASE WHEN n % 150 = 0 THEN 2600 ELSE 400 + n % 900 END, CASE WHEN n % 6 = 0 THEN 1 ELSE 0 END,
       CASE WHEN n % 300 = 0 THEN 1 ELSE 0 END,
       (SELECT array_agg(350 + abs(hashint8(n * 100 + t)) % 1400) FROM generate_series(1, 5) AS t)
FROM generate_series(CAST(:low AS int8), CAST(:high AS int8)) AS n
"""
TOOLS = """
INSERT INTO tool_calls (call_sid, seq, name, arguments, result, status, ms, start_ms, at)
SELECT 'CA' || md5(n::text), t, (ARRAY['free_slots', 'book_appointment', 'opening_hours', 'end_call'])[1 + (n + t) % 4], '{}', '{}',
       CASE WHEN n % 300 = 0 THEN 'error' ELSE 'ok' END, 5 + abs(hashint8(n * 7 + t)) % 400, 20000 * t,
       timestamptz '2026-11-01' - n * interval '31 seconds' + t * interval '20 seconds'
FROM generate_series(CAST(:low AS int8), CAST(:high AS int8)) AS n, generate_series(0, 1) AS t
"""
WORDS = [
    "hello", "thank", "you", "for", "calling", "how", "can", "i", "help", "today", "yes", "no", "please", "book", "an",
    "appointment", "tuesday", "wednesday", "morning", "afternoon", "name", "phone", "number", "is", "that", "right", "of",
    "course", "one", "moment", "let", "me", "have", "a", "look", "invoice", "billing", "address", "order", "return", "refund",
    "late", "goodbye",
]  # fmt: skip
SPOKEN = f"""
INSERT INTO turns (call_sid, seq, who, generated_text, heard_text, start_ms, end_ms)
SELECT 'CA' || md5(n::text), t, CASE WHEN t % 2 = 0 THEN 'agent' ELSE 'caller' END, words.said, words.said,
       t * 4000, t * 4000 + 3000
FROM generate_series(CAST(:low AS int8), CAST(:high AS int8)) AS n, generate_series(0, {TURNS - 1}) AS t,
LATERAL (SELECT string_agg((CAST(:words AS text[]))[1 + abs(hashint8(n * 1000 + t * 20 + w)) % {len(WORDS)}], ' ')
         || CASE WHEN t = 3 THEN ' customer' || (n % 50000) ELSE '' END
         || CASE WHEN t = 5 AND n % 100 = 0 THEN ' crown' ELSE '' END AS said FROM generate_series(1, 9) AS w) AS words
"""  # noqa: S608  our own words


def tell(line: str) -> None:
    """A line of the answer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """How far it has come."""
    sys.stderr.write(line + "\n")


async def fill(engine: AsyncEngine, count: int) -> None:
    """Calls 1 to `count`, and their turns. The indexes of the console are built afterwards, as on a database that grew before."""
    async with engine.begin() as connection:
        for index in LATE:
            await connection.execute(text(f"DROP INDEX IF EXISTS {index.name}"))
    for low in range(1, count + 1, PIECE):
        piece = {"low": low, "high": min(count, low + PIECE - 1)}
        async with engine.begin() as connection:
            await connection.execute(text(CALLS), piece)
            await connection.execute(text(TOOLS), piece)
            await connection.execute(text(SPOKEN), {**piece, "words": WORDS})
        note(f"{piece['high']:>10,} calls")


def questions(count: int) -> dict[str, tuple[Wanted, Edge | None]]:
    """What an operator asks; edges are in the middle of all calls."""
    middle = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(seconds=31 * count / 2)
    edge = Edge(middle, "CA")
    return {
        "the newest": (Wanted(), None),
        "a page in the middle": (Wanted(), edge),
        "... and back": (Wanted(), Edge(middle, "CA", newer=True)),
        "a mode": (Wanted(mode="csr"), edge),
        "a rare mode": (Wanted(mode="reminder"), None),
        "an outcome": (Wanted(outcome="transferred"), edge),
        "slow": (Wanted(slow=True), edge),
        "cut": (Wanted(cut=True), edge),
        "failed": (Wanted(failed=True), edge),
        "slow and failed": (Wanted(slow=True, failed=True), None),
        "a rare mode, slow": (Wanted(mode="reminder", slow=True), None),
        "a day": (Wanted(since=middle, until=middle + timedelta(days=1)), None),
        "a whole number": (Wanted(number="+14150007919"), None),
        "the last four digits": (Wanted(number="7919"), None),
        "a word in most calls": (Wanted(words="goodbye"), None),
        "a word in every hundredth call": (Wanted(words="crown"), None),
        "a rare word": (Wanted(words="customer4711"), None),
        "a phrase of frequent words": (Wanted(words='"thank you"'), None),
        "frequent words, a rare mode": (Wanted(words="please tuesday", mode="reminder"), None),
        "a word that nobody said": (Wanted(words="zebra"), None),
    }


async def measure(engine: AsyncEngine, count: int, *, plans: bool) -> None:
    """Each question three times: the slowest, which met cold pages, and the median."""
    ledger = Ledger(engine)
    said: list[tuple[str, object]] = []
    event.listen(
        engine.sync_engine, "before_cursor_execute", lambda _c, _k, sql, given, _x, _m: said.append((sql, given))
    )
    tell(
        f"| question, {count:,} calls and {count * TURNS:,} turns | rows | first ms | then ms |\n| --- | --- | --- | --- |"
    )
    for name, (wanted, edge) in questions(count).items():
        took, page = [], None
        for _ in range(3):
            said.clear()
            began = time.perf_counter()
            page = await ledger.page(wanted, edge)
            took.append((time.perf_counter() - began) * 1000)
        assert page is not None
        tell(f"| {name} | {len(page.calls)} | {took[0]:.1f} | {sorted(took)[1]:.1f} |")
        if plans:
            async with engine.connect() as connection:
                for sql, given in list(said):
                    rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", given)  # type: ignore[arg-type]
                    tell("\n".join(f"    {line}" for line in rows.scalars()))


async def measure_figures(engine: AsyncEngine, *, plans: bool) -> None:
    """The page of figures: counted afresh, then with the days that are over being counted, then with them kept."""
    now = datetime(2026, 10, 31, 18, tzinfo=UTC)
    tell(
        "| figures of | calls | all counted, ms | days counted first, ms | days kept, ms |\n| --- | --- | --- | --- | --- |"
    )
    for days in (1, 7, 30, 90):
        edges = day_edges(days, now, ZoneInfo("America/Chicago"))
        if days == 1:
            edges = tuple(edges[0] + timedelta(hours=n) for n in range(25))
        wish, took, total, remembered = Wish(edges), [], 0, Remembered()
        kept = partial(figures, engine, wish, now, remembered)
        for count in (partial(stats, engine, wish), kept, kept):
            began = time.perf_counter()
            total = (await count()).total.calls
            took.append((time.perf_counter() - began) * 1000)
        tell(f"| {days} days | {total:,} | " + " | ".join(f"{ms:,.0f}" for ms in took) + " |")
    if plans:
        async with engine.connect() as connection:
            asked = {"since": edges[0], "until": edges[-1]}
            for sql in (FEW, KEPT):
                plan = text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}")
                rows = await connection.execute(plan, asked if sql is KEPT else {**asked, "most": EXACT_CALLS})
                tell("\n".join(f"    {line}" for line in rows.scalars()))


async def work(url: str, count: int, *, plans: bool, again: bool = False) -> None:
    """All of it on one database."""
    await migrate(url)
    engine = make_engine(url, command_seconds=None)
    if not again:
        began = time.perf_counter()
        await fill(engine, count)
        note(f"filled in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        await build_missing(url)
        note(f"indexes built in {time.perf_counter() - began:.0f} s")
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE calls, turns, tool_calls"))
        await connection.commit()
        size = (
            await connection.execute(text("SELECT pg_size_pretty(pg_database_size(current_database()))"))
        ).scalar_one()
    note(f"database: {size}")
    await measure(engine, count, plans=plans)
    await measure_figures(engine, plans=plans)
    await engine.dispose()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--url", default="", help="a database of its own to fill; without it an embedded one")
    parser.add_argument("--plans", action="store_true", help="print each plan")
    parser.add_argument("--again", action="store_true", help="measure on a database that was filled before")
    options = parser.parse_args()
    if options.url:
        asyncio.run(work(options.url, options.calls, plans=options.plans, again=options.again))
        return
    folder = Path(tempfile.mkdtemp(prefix="offhook-books-"))
    postgres = EmbeddedPostgres(folder, durable=False)
    try:
        asyncio.run(work(postgres.start(), options.calls, plans=options.plans))
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
