"""Finds calls in the books: filters, a page at a time, as quick on ten million rows as on ten.

A page is found by its edge (the moment and CallSid of the row beside it) and never by its number, so rows that come meanwhile
move nothing, and the last page costs what the first does. Each filter has an index that gives the rows in order, but for words:
few hits (by the planner's own guess, which costs nothing) are looked up and put in order; for many the calls are walked along,
as one of the next has the words anyway. A walk that finds too little stops after a while and says how far it came.
"""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, literal, literal_column, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.adapters.store import Call
from app.adapters.tables import CUT, FAILED, PARTY, SLOW, WORDS, calls, debug_events, missed_calls, storable, turns
from app.errors import AskedWrongly

FEW_HITS = 10_000
"""Turns with the words that are sought: so many are looked up one by one in a fraction of a second."""
WALKED = 3_000
"""Calls that are looked into at most for one page of a frequent word."""
LEAST_DIGITS = 4
MOST_DIGITS = 15
WORDS_CHARACTERS = 200
AT_ONCE = 500
"""Rows of a page when all are wanted, for an export."""


GUESS = text(f"EXPLAIN (FORMAT JSON) SELECT FROM turns WHERE {WORDS} @@ websearch_to_tsquery('simple', :words)")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls. Empty, None and False leave a filter out; moments are aware, `until` is not in it any more.

    number: the other end's, as +E.164, or its last digits. words: as a search engine takes them: "exact words", or, -not.
    slow: an answer took SLOW_MS or more. cut: the caller cut in. failed: the call, or a tool in it, came to nothing.
    missed: neither the agent nor a person could talk to the caller.
    """

    mode: str = ""
    outcome: str = ""
    number: str = ""
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""
    slow: bool = False
    cut: bool = False
    failed: bool = False
    missed: bool = False


class Edge(msgspec.Struct, frozen=True):
    """The row beside a page. `newer`: the page is of calls that started after it; else before."""

    at: datetime
    call_sid: str
    newer: bool = False


class Page(msgspec.Struct, frozen=True):
    """Calls, the newest first, and whether there are, or may be, more on either side.

    walked_to: the page is not full, because no more calls were looked into; it goes on behind this one.
    """

    calls: list[Call]
    newer: bool
    older: bool
    walked_to: Edge | None = None


class RawEvent(msgspec.Struct, frozen=True):
    """One raw protocol event, audio taken out."""

    at: datetime
    source: Literal["carrier", "model", "house"]
    event: dict[str, Any]


class Ledger:
    """Questions about all calls; what happened in one is the store's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, wanted: Wanted, edge: Edge | None = None, size: int = 50) -> Page:
        """The calls beside an edge, or the newest.

        Raises AskedWrongly for a filter that cannot be looked for, or not within the time that a statement has.
        """
        newer = edge is not None and edge.newer
        columns = (calls.c.started_at, calls.c.call_sid)
        query = select(calls).where(*_where(wanted, edge))
        query = query.order_by(*(column.asc() if newer else column.desc() for column in columns))
        walked_to = None
        try:
            async with self._engine.connect() as connection:
                if not wanted.words:
                    rows = (await connection.execute(query.limit(size + 1))).all()
                else:
                    hit, few = await _hit(connection, wanted.words)
                    if few:
                        sids = func.array(select(turns.c.call_sid).where(hit).distinct().scalar_subquery())
                        query = query.where(calls.c.call_sid == func.any(sids))
                        rows = (await connection.execute(query.limit(size + 1))).all()
                    else:
                        rows = (await connection.execute(_walk(query, hit, size + 1, newer=newer))).all()
                        if len(rows) <= size:
                            last = (await connection.execute(query.offset(WALKED - 1).limit(1))).first()
                            walked_to = None if last is None else Edge(last.started_at, last.call_sid, newer)
        except TimeoutError:
            raise AskedWrongly(
                "this takes longer than a page may; ask for fewer days, a mode, or words that are said less often"
            ) from None
        found = [msgspec.convert(row, Call, from_attributes=True) for row in rows[:size]]
        more = len(rows) > size or walked_to is not None
        if newer:
            found.reverse()
            return Page(found, newer=more, older=True, walked_to=walked_to)
        return Page(found, newer=edge is not None, older=more, walked_to=walked_to)

    async def each(self, wanted: Wanted) -> AsyncIterator[Call]:
        """All of them, the newest first. Holds one page in memory, and no connection while its reader is slow."""
        edge = None
        while True:
            page = await self.page(wanted, edge, AT_ONCE)
            for call in page.calls:
                yield call
            if not page.older:
                return
            edge = page.walked_to or Edge(page.calls[-1].started_at, page.calls[-1].call_sid)

    async def known(self, column: str) -> list[str]:
        """The values of `mode` or `outcome` that there are, in order: by hops along the index, not by reading it."""
        if column not in ("mode", "outcome"):
            raise ValueError(f"expected mode or outcome, got {column}")
        hops = text(
            f"WITH RECURSIVE hop AS ((SELECT {column} AS value FROM calls WHERE {column} > '' ORDER BY 1 LIMIT 1) UNION ALL "  # noqa: S608
            f"SELECT (SELECT {column} FROM calls WHERE {column} > hop.value ORDER BY 1 LIMIT 1) FROM hop "
            "WHERE hop.value IS NOT NULL) SELECT value FROM hop WHERE value IS NOT NULL LIMIT 200"
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(hops)).scalars())

    async def raw_events(self, call_sid: str, *, skip: int = 0, limit: int = 200) -> list[RawEvent]:
        """Protocol events of one call, oldest first, without the first `skip`. None are left after `retention.debug_days`."""
        query = select(debug_events).where(debug_events.c.call_sid == call_sid)
        query = query.order_by(debug_events.c.at, debug_events.c.id).offset(skip).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [msgspec.convert(row, RawEvent, from_attributes=True) for row in rows]


def _where(wanted: Wanted, edge: Edge | None) -> list[ColumnElement[bool]]:
    """What a call's own row answers."""
    where: list[ColumnElement[bool]] = []
    if wanted.mode:
        where.append(calls.c.mode == wanted.mode)
    if wanted.outcome:
        where.append(calls.c.outcome == wanted.outcome)
    if wanted.number:
        where.append(_number(wanted.number))
    if wanted.since is not None:
        where.append(calls.c.started_at >= wanted.since)
    if wanted.until is not None:
        where.append(calls.c.started_at < wanted.until)
    if edge is not None:
        here = tuple_(calls.c.started_at, calls.c.call_sid)
        there = tuple_(literal(edge.at), literal(edge.call_sid, calls.c.call_sid.type))
        where.append(here > there if edge.newer else here < there)
    # Word for word as the partial indexes have it, so that the planner knows them again.
    flags = ((wanted.slow, SLOW), (wanted.cut, CUT), (wanted.failed, f"({FAILED})"))
    if wanted.missed:
        where.append(calls.c.call_sid.in_(select(missed_calls.c.call_sid)))
    return where + [literal_column(sql) for on, sql in flags if on]


async def _hit(connection: AsyncConnection, words: str) -> tuple[ColumnElement[bool], bool]:
    """The condition for turns in which this was said, and whether they are few: the planner's guess, as it has counted words.

    Raises AskedWrongly if no word is asked for.
    """
    words = storable(words.strip())
    if len(words) > WORDS_CHARACTERS:
        raise AskedWrongly(f"expected at most {WORDS_CHARACTERS} characters of words, got {len(words)}")
    sought = func.websearch_to_tsquery(text("'simple'"), words)
    if (await connection.execute(select(func.querytree(sought)))).scalar_one() in ("", "T"):
        raise AskedWrongly("expected a word that was said; only words to leave out, or none at all, came")
    plan = (await connection.execute(GUESS, {"words": words})).scalar_one()
    hits = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"]
    return literal_column(WORDS).op("@@")(sought), hits <= FEW_HITS


def _walk(query: Select[Any], hit: ColumnElement[bool], size: int, *, newer: bool) -> Select[Any]:
    """The next calls in order, looked into one by one. OFFSET 0 keeps the planner from gathering all hits first."""
    near = query.limit(WALKED).subquery()
    said = (
        select(literal(1)).select_from(turns).where(and_(turns.c.call_sid == near.c.call_sid, hit)).offset(0).exists()
    )
    columns = (near.c.started_at, near.c.call_sid)
    return select(near).where(said).order_by(*(part.asc() if newer else part.desc() for part in columns)).limit(size)


def _number(number: str) -> ColumnElement[bool]:
    """Equal to a whole number, or ending in these digits. The index has numbers backwards."""
    digits = "".join(sign for sign in number if sign in "0123456789")
    rest = number.translate(str.maketrans("", "", "0123456789+-(). /\u00a0"))
    if rest or not LEAST_DIGITS <= len(digits) <= MOST_DIGITS:
        raise AskedWrongly(
            f"expected a number as +14155550133, or its last {LEAST_DIGITS} digits or more, got {number!r}"
        )
    party: ColumnElement[str] = literal_column(f"reverse({PARTY})")
    if number.strip().startswith("+"):
        return party == ("+" + digits)[::-1]
    low = digits[::-1]
    return and_(party.op("~>=~")(low), party.op("~<~")(low[:-1] + chr(ord(low[-1]) + 1)))
