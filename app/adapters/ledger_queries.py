"""Finds calls in the books: filters, a page at a time, as quick on ten million rows as on ten.

A page is found by its edge (the moment and CallSid of the row beside it) and never by its number, so rows that come meanwhile
move nothing, and the last page costs what the first does. Each filter has an index that gives the rows in order, but for words:
few hits are looked up and put in order, many are walked along newest first, as one of the next calls has the word anyway.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, literal, literal_column, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.adapters.store import Call
from app.adapters.tables import CUT, FAILED, PARTY, SLOW, WORDS, calls, debug_events, turns
from app.core.record import DebugEvent
from app.errors import AskedWrongly

FEW_HITS = 20_000
"""Turns with the words that are sought: so many are looked up one by one in a fraction of a second."""
LEAST_DIGITS = 4
MOST_DIGITS = 15
WORDS_CHARACTERS = 200
AT_ONCE = 500
"""Rows of a page when all are wanted, for an export."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls. Empty, None and False leave a filter out; moments are aware, `until` is not in it any more.

    number: the other end's, as +E.164, or its last digits. words: as a search engine takes them: "exact words", or, -not.
    slow: an answer took SLOW_MS or more. cut: the caller cut in. failed: the call, or a tool in it, came to nothing.
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


class Edge(msgspec.Struct, frozen=True):
    """The row beside a page. `newer`: the page is of calls that started after it; else before."""

    at: datetime
    call_sid: str
    newer: bool = False


class Page(msgspec.Struct, frozen=True):
    """Calls, the newest first, and whether there are more on either side."""

    calls: list[Call]
    newer: bool
    older: bool


class Ledger:
    """Questions about all calls; what happened in one is the store's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, wanted: Wanted, edge: Edge | None = None, size: int = 50) -> Page:
        """The calls beside an edge, or the newest. Raises AskedWrongly for a filter that cannot be looked for."""
        where = self._where(wanted)
        async with self._engine.connect() as connection:
            if wanted.words:
                where.append(await self._has_words(connection, wanted.words.strip()))
            newer = edge is not None and edge.newer
            if edge is not None:
                here = tuple_(calls.c.started_at, calls.c.call_sid)
                there = tuple_(literal(edge.at), literal(edge.call_sid))
                where.append(here > there if newer else here < there)
            columns = (calls.c.started_at, calls.c.call_sid)
            order = [column.asc() if newer else column.desc() for column in columns]
            query = select(calls).where(*where).order_by(*order).limit(size + 1)
            rows = (await connection.execute(query)).all()
        found = [_call(row) for row in rows[:size]]
        more = len(rows) > size
        if newer:
            found.reverse()
        return Page(found, newer=more if newer else edge is not None, older=more if not newer else True)

    async def each(self, wanted: Wanted) -> AsyncIterator[Call]:
        """All of them, the newest first. Holds one page in memory, and no connection while its reader is slow."""
        edge = None
        while True:
            page = await self.page(wanted, edge, AT_ONCE)
            for call in page.calls:
                yield call
            if not page.older or not page.calls:
                return
            edge = Edge(page.calls[-1].started_at, page.calls[-1].call_sid)

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

    async def raw_events(self, call_sid: str, *, skip: int = 0, limit: int = 200) -> list[DebugEvent]:
        """Protocol events of one call, oldest first, without the first `skip`. None are left after two weeks."""
        query = select(debug_events).where(debug_events.c.call_sid == call_sid)
        query = query.order_by(debug_events.c.at, debug_events.c.id).offset(skip).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [msgspec.convert(row, DebugEvent, from_attributes=True) for row in rows]

    def _where(self, wanted: Wanted) -> list[ColumnElement[bool]]:
        """The filters that a call's own row answers."""
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
        # Word for word as the partial indexes have it, so that the planner knows them again.
        flags = ((wanted.slow, SLOW), (wanted.cut, CUT), (wanted.failed, f"({FAILED})"))
        return where + [literal_column(sql) for on, sql in flags if on]

    async def _has_words(self, connection: AsyncConnection, words: str) -> ColumnElement[bool]:
        """The condition for calls in which this was said, in the way that is quick for so many hits."""
        if len(words) > WORDS_CHARACTERS:
            raise AskedWrongly(f"expected at most {WORDS_CHARACTERS} characters of words, got {len(words)}")
        sought = func.websearch_to_tsquery(text("'simple'"), words.replace("\x00", " "))
        if (await connection.execute(select(func.querytree(sought)))).scalar_one() in ("", "T"):
            raise AskedWrongly("expected a word that was said; only words to leave out, or none at all, came")
        hit = literal_column(WORDS).op("@@")(sought)
        some = select(literal(1)).select_from(turns).where(hit).limit(FEW_HITS + 1).subquery()
        hits = (await connection.execute(select(func.count()).select_from(some))).scalar_one()
        if hits <= FEW_HITS:
            sids = func.array(select(turns.c.call_sid).where(hit).distinct().scalar_subquery())
            return calls.c.call_sid == func.any(sids)
        # OFFSET 0 keeps the planner from gathering all hits first.
        return (
            select(literal(1))
            .select_from(turns)
            .where(and_(turns.c.call_sid == calls.c.call_sid, hit))
            .offset(0)
            .exists()
        )


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


def _call(row: Row[Any]) -> Call:
    return msgspec.convert(row, Call, from_attributes=True)
