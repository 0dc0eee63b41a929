"""What a day's calls have cost, as a real Postgres adds it up."""

from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.spent import Spent, spent_since
from tests.adapters.rows import NOON, ended, started, writing

ANNA, BEN, OURS, OTHER = "+14155550133", "+14155550134", "+14155550199", "+14155550198"


async def test_sums_are_by_who_is_at_the_other_end_and_our_number_whoever_dialled(engine: AsyncEngine) -> None:
    placed = {"direction": "outbound", "from_number": OURS, "to_number": ANNA}
    calls: dict[str, tuple[dict[str, Any], float]] = {
        "CA1": ({}, 0.5),
        "CA2": (placed, 0.25),
        "CA3": ({"from_number": BEN, "to_number": OTHER}, 1.5),
        "CA4": ({"started_at": NOON - timedelta(microseconds=1)}, 7.0),  # yesterday's
        "CA5": ({"from_number": ""}, 0.125),  # withheld
        "CA6": ({}, 0.0),
        "CA7": ({}, 3.0),  # counted elsewhere
    }
    async with writing(engine) as journal:
        for call_sid, (changes, usd) in calls.items():
            journal.put(replace(started, call_sid=call_sid, **changes))
            journal.put(replace(ended, call_sid=call_sid, cost_usd=usd))
        journal.put(replace(started, call_sid="CA8"))  # it talks yet
    found = await spent_since(engine, NOON, ["CA7", "CA9"])
    assert sorted(found, key=lambda row: row.usd) == [
        Spent("", OURS, 0.125),
        Spent(ANNA, OURS, 0.75),
        Spent(BEN, OTHER, 1.5),
    ]
    everything = await spent_since(engine, NOON - timedelta(days=1), [])
    assert sum(row.usd for row in everything) == 12.375


async def test_a_day_is_found_by_its_index_and_not_by_reading_all_calls(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        many = (
            "INSERT INTO calls (call_sid, mode, direction, from_number, to_number, started_at, version, cost_usd) "
            "SELECT 'CB' || n, 'ivr', 'inbound', '+1', '+2', now() - make_interval(mins => n), '', 1 "
            "FROM generate_series(1, 20000) n"
        )
        await connection.execute(text(many))
        await connection.execute(text("ANALYZE calls"))
        plan = "EXPLAIN SELECT sum(cost_usd) FROM calls WHERE started_at >= now() - interval '1 hour' AND cost_usd > 0"
        told = " ".join(row[0] for row in await connection.execute(text(plan)))
    assert "Index" in told, told
    assert "Seq Scan" not in told
