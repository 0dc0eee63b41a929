"""Which process has used a ticket: one row in Postgres, written by whoever comes first. So a used ticket is refused everywhere.

The owner of a ticket does not wait long for it: it made the ticket, and remembers it. All others accept only with a row of theirs.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import DATABASE_ERRORS, make_engine, reason_of
from app.adapters.in_time import Patience
from app.adapters.tables import call_states, used_tickets

log = structlog.get_logger()

CLAIM_SECONDS = 1.0
"""A carrier waits longer, but a caller hears nothing meanwhile; refused, it asks what is next, and gets a new ticket."""

CLAIM = text(
    "WITH mine AS (INSERT INTO used_tickets (ticket, used_by) VALUES (:ticket, :by) ON CONFLICT DO NOTHING "
    "RETURNING used_by) SELECT used_by FROM mine "
    "UNION ALL SELECT used_by FROM used_tickets WHERE ticket = :ticket LIMIT 1"
)
"""One statement, and no transaction around it: each way to Postgres and back is time in which the caller hears nothing. A row that
another process is just writing is waited for, and then seen by neither half: no answer means that somebody else was first."""


class Claims:
    """Used tickets, by their hashes: the books hold nothing that could open a stream."""

    def __init__(self, engine: AsyncEngine, patience: Patience | None = None) -> None:
        self._engine = engine
        self._patience = patience or Patience()
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._life = secrets.token_hex(4)  # a process that starts again has its name again, and is another one

    async def first(self, ticket: str, by: str, seconds: float = CLAIM_SECONDS) -> bool | None:
        """Whether this process, called `by`, is the first to use a ticket. None: the books do not say, within so many seconds."""
        name = hashlib.sha256(ticket.encode()).hexdigest()
        by = f"{by}.{self._life}"
        try:
            return await self._patience.ask(seconds, self._surely_first(name, by))
        except DATABASE_ERRORS as error:
            log.warning("the books do not say whether a ticket was used", reason=reason_of(error))
            return None

    async def _surely_first(self, name: str, by: str) -> bool:
        try:
            return await self._first(name, by)
        except DBAPIError as error:  # a connection that was kept, and had gone meanwhile
            if not error.connection_invalidated:
                raise
            return await self._first(name, by)

    async def _first(self, name: str, by: str) -> bool:
        async with self._at_once.connect() as connection:
            return bool((await connection.execute(CLAIM, {"ticket": name, "by": by})).scalar() == by)

    async def owner(self, call_sid: str) -> str:
        """Which process has a call; empty if none has said so, or the books do not answer within a second."""
        try:
            return await self._patience.ask(CLAIM_SECONDS, self._owner(call_sid))
        except DATABASE_ERRORS as error:
            log.warning("the books do not say who has a call", reason=reason_of(error))
            return ""

    async def _owner(self, call_sid: str) -> str:
        query = select(call_states.c.owner).where(call_states.c.call_sid == call_sid)
        async with self._engine.connect() as connection:
            return str((await connection.execute(query)).scalar() or "")

    async def forget(self, before: datetime) -> int:
        """Delete what was used before (aware): such tickets are late by themselves. How many."""
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(used_tickets).where(used_tickets.c.at < before))).rowcount


@asynccontextmanager
async def open_claims(url: str, patience: Patience | None = None) -> AsyncIterator[Claims]:
    """Claims with connections of their own, open, and not looked at before each use: a caller's greeting waits for them."""
    engine = make_engine(url, pool_size=1, max_overflow=1, checks=False)
    try:
        claims = Claims(engine, patience)
        await claims.owner("")
        yield claims
    finally:
        await engine.dispose()
