"""What the books say of many calls at once: counts, percentiles, cost and tools of a period, by bucket, mode and model.

A period is cut into buckets by its edges, which the caller makes on the operator's clock: a day may have 23 or 25 hours. A call
belongs to the bucket in which it started. Percentiles are Postgres's own (percentile_cont), asked for bucket by bucket and name
by name: one range of an index and one sort of numbers each, since sorting all waits by day or name costs several times as much.
What a figure needs and the books have not is left out of it: calls of before a revision, or that are not over.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

LONGEST_CALL = timedelta(days=2)
"""A tool call is written down within this of its call's start."""
MEMORY = "64MB"
"""For one sort: a month's waits stay in memory."""
LOCALLY = text(f"SELECT set_config('work_mem', '{MEMORY}', true), set_config('jit', 'off', true)")
"""Compiling takes longer than the figures. One question, since on a busy machine each costs more than its work."""
MOST_NAMES = 30
"""Modes, models or tools that are told apart; what is rarer is left out of the tables."""

By = Literal["mode", "model"]


class Wish(msgspec.Struct, frozen=True):
    """Which calls. edges: aware, ascending, two or more: the first is the period's start, the last its end, which is not in it.

    mode, model: only calls of it; empty for all.
    """

    edges: tuple[datetime, ...]
    mode: str = ""
    model: str = ""


class Waits(msgspec.Struct, frozen=True):
    """How long something took, in milliseconds; None if nothing was counted."""

    count: int = 0
    median: float | None = None
    p95: float | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of some calls. talked: those whose waits and cuts the books have."""

    calls: int = 0
    failed: int = 0
    """Calls with the outcome failed or lost."""
    talked: int = 0
    cuts: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Of all that are over."""
    greeting: Waits = Waits()
    turn: Waits = Waits()


class Named(msgspec.Struct, frozen=True):
    """Figures of the calls with one mode or model; the name is empty where the books have none."""

    name: str
    figures: Group


class Tool(msgspec.Struct, frozen=True):
    """A tool over a period. `waits` are those of calls that have come back."""

    name: str
    waits: Waits
    refused: int
    failed: int
    """Errors, and answers that came too late."""
    working: int


class Counted(msgspec.Struct, frozen=True):
    """How often something came."""

    name: str
    count: int


class Transfers(msgspec.Struct, frozen=True):
    """Attempts to reach a desk, by what came of them; the result is empty while that is not known."""

    desk: str
    results: dict[str, int]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a period."""

    total: Group
    buckets: list[Group]
    """One for each two edges, in order."""
    modes: list[Named]
    models: list[Named]
    outcomes: list[Counted]
    """By the outcome's name; empty for calls that are not over."""
    greetings: list[tuple[str, Waits]]
    """By the way in which the greeting came."""
    tools: list[Tool]
    transfers: list[Transfers]
    rounded: bool = False
    """Percentiles are true to 1 %, not exact."""


async def stats(engine: AsyncEngine, wish: Wish) -> Stats:
    """All figures of a period. Asked on a few connections: a call that ends meanwhile may be in some and not in others."""
    work = (
        asyncio.create_task(_buckets(engine, wish)),
        asyncio.create_task(_named(engine, wish)),
        asyncio.create_task(_whole(engine, wish)),
        asyncio.create_task(_deeds(engine, wish)),
    )
    await _over(*work)
    buckets, (modes, models), (total, outcomes, greetings), (tools, transfers) = (
        work[0].result(),
        work[1].result(),
        work[2].result(),
        work[3].result(),
    )
    return Stats(
        total=total,
        buckets=buckets,
        modes=modes if len(modes) != 1 else [Named(modes[0].name, total)],
        models=models if len(models) != 1 else [Named(models[0].name, total)],
        outcomes=outcomes,
        greetings=greetings,
        tools=tools,
        transfers=transfers,
    )


FIGURES = """
    count(*) AS calls, count(*) FILTER (WHERE outcome IN ('failed', 'lost')) AS failed, count(turn_ms) AS talked,
    coalesce(sum(cuts) FILTER (WHERE turn_ms IS NOT NULL), 0) AS cuts, coalesce(sum(cost_usd), 0)::float8 AS cost_usd,
    coalesce(sum(extract(epoch FROM ended_at - started_at)), 0)::float8 AS seconds, count(greeting_ms) AS greetings,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY greeting_ms) AS greeting_ms
"""
TURNS = "count(*) AS turns, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY ms) AS turn_ms"


def _which(since: str = ":since", until: str = ":until", also: str = "") -> str:
    """The condition on `calls`."""
    wished = "(:mode = '' OR mode = :mode) AND (:model = '' OR model = :model)"
    return f"started_at >= {since} AND started_at < {until} AND {wished}{also}"


def _figures(which: str) -> str:
    """FROM-items with all that `_group` reads, of the calls that a condition names."""
    return f"""
        LATERAL (SELECT {FIGURES} FROM calls WHERE {which}) AS figures,
        LATERAL (SELECT {TURNS} FROM (SELECT unnest(turn_ms) AS ms FROM calls WHERE {which}) AS waits) AS waits
    """  # noqa: S608  our own text only; what comes from outside is bound


def _values(wish: Wish) -> dict[str, Any]:
    return {"since": wish.edges[0], "until": wish.edges[-1], "mode": wish.mode, "model": wish.model}


BUCKETS = f"""
    SELECT figures.*, waits.*
    FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) AS bucket (since, until),
    {_figures(_which("bucket.since", "bucket.until"))}
    ORDER BY bucket.since
"""  # noqa: S608


async def _buckets(engine: AsyncEngine, wish: Wish) -> list[Group]:
    values = _values(wish) | {"starts": list(wish.edges[:-1]), "ends": list(wish.edges[1:])}
    return [_group(row) for row in (await ask(engine, (BUCKETS, values)))[0]]


NAMES = f"SELECT mode, coalesce(model, '') AS model, count(*) AS calls FROM calls WHERE {_which()} GROUP BY 1, 2"  # noqa: S608


def _named_by(condition: str) -> str:
    return f"""
        SELECT name, figures.*, waits.* FROM unnest(CAST(:names AS text[])) AS name, {_figures(_which(also=condition))}
        ORDER BY calls DESC, name
    """  # noqa: S608


NAMED: dict[By, str] = {
    "mode": _named_by(" AND mode = name"),
    "model": _named_by(" AND coalesce(model, '') = name"),
}


async def _named(engine: AsyncEngine, wish: Wish) -> tuple[list[Named], list[Named]]:
    """By mode and by model. Where there is only one, its figures are those of all calls, and not asked for."""
    values = _values(wish)
    rows = (await ask(engine, (NAMES, values)))[0]

    async def by(what: By) -> list[Named]:
        count: Counter[str] = Counter()
        for row in rows:
            count[getattr(row, what)] += row.calls
        names = [name for name, _ in count.most_common(MOST_NAMES)]
        if len(names) < 2:
            return [Named(name, Group()) for name in names]
        answer = (await ask(engine, (NAMED[what], values | {"names": names})))[0]
        return [Named(row.name, _group(row)) for row in answer]

    modes, models = asyncio.create_task(by("mode")), asyncio.create_task(by("model"))
    await _over(modes, models)
    return modes.result(), models.result()


WHOLE = f"SELECT figures.*, waits.* FROM {_figures(_which())}"  # noqa: S608
OUTCOMES = (
    f"SELECT coalesce(outcome, '') AS name, count(*) AS count FROM calls WHERE {_which()} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
)
GREETINGS = f"""
    SELECT greeting_path AS name, count(*) AS count,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY greeting_ms) AS waits
    FROM calls WHERE {_which()} AND greeting_path IS NOT NULL AND greeting_ms IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
"""  # noqa: S608


async def _whole(engine: AsyncEngine, wish: Wish) -> tuple[Group, list[Counted], list[tuple[str, Waits]]]:
    values = _values(wish)
    whole, outcomes, greetings = await ask(engine, (WHOLE, values), (OUTCOMES, values), (GREETINGS, values))
    return (
        _group(whole[0]),
        [Counted(row.name, row.count) for row in outcomes],
        [(row.name, Waits(row.count, *row.waits)) for row in greetings],
    )


TOOLS = f"""
    SELECT name, count(*) FILTER (WHERE status <> 'working') AS done,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY ms) FILTER (WHERE status <> 'working') AS waits,
        count(*) FILTER (WHERE status = 'refused') AS refused, count(*) FILTER (WHERE status IN ('error', 'late')) AS failed,
        count(*) FILTER (WHERE status = 'working') AS working
    FROM (
        SELECT name COLLATE "C" AS name, status, ms FROM tool_calls
        WHERE at >= :since AND at < :latest AND call_sid IN (SELECT call_sid FROM calls WHERE {_which()})
    ) AS tool_calls
    GROUP BY name ORDER BY count(*) DESC, name LIMIT {MOST_NAMES}
"""  # noqa: S608
TRANSFERS = f"""
    SELECT transfers.desk, transfers.result, count(*) AS count FROM transfers
    WHERE started_at >= :since AND started_at < :latest AND call_sid IN (SELECT call_sid FROM calls WHERE {_which()})
    GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""  # noqa: S608


async def _deeds(engine: AsyncEngine, wish: Wish) -> tuple[list[Tool], list[Transfers]]:
    values = _values(wish) | {"latest": wish.edges[-1] + LONGEST_CALL}
    tools, transfers = await ask(engine, (TOOLS, values), (TRANSFERS, values))
    desks: dict[str, dict[str, int]] = {}
    for row in transfers:
        desks.setdefault(row.desk, {})[row.result] = row.count
    return (
        [Tool(row.name, Waits(row.done, *(row.waits or ())), row.refused, row.failed, row.working) for row in tools],
        [Transfers(desk, results) for desk, results in desks.items()],
    )


def _group(row: Any) -> Group:
    """A row of what `_figures` selects."""
    return Group(
        calls=row.calls,
        failed=row.failed,
        talked=row.talked,
        cuts=row.cuts,
        cost_usd=row.cost_usd,
        seconds=row.seconds,
        greeting=Waits(row.greetings, *(row.greeting_ms or ())),
        turn=Waits(row.turns, *(row.turn_ms or ())),
    )


async def _over(*tasks: asyncio.Task[Any]) -> None:
    """Wait for all, even if one fails, so that none is left at work on a connection."""
    await asyncio.gather(*tasks, return_exceptions=True)


async def ask(engine: AsyncEngine, *questions: tuple[str, dict[str, Any]]) -> list[Sequence[Any]]:
    """The rows of each question, one after the other on one connection, all as of one moment."""
    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            await connection.execute(LOCALLY)
            return [(await connection.execute(text(sql), values)).all() for sql, values in questions]
