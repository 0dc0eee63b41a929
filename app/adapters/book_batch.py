"""A batch of rows on its way into Postgres, tried for as long as it takes.

It is a pile of pieces, each one transaction. A piece that Postgres refuses for what is in it is halved until the bad row stands
alone; its neighbours are written. Whatever else goes wrong, the piece waits and is tried again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.adapters.database import DATABASE_ERRORS, reason_of, sqlstate
from app.adapters.entries import WRITING_ORDER, Entry, bound

log = structlog.get_logger()

WRITE_SECONDS = 10.0
"""For one transaction, connecting included: a Postgres that hangs is found out by then."""
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 5.0
CONTENT_CLASSES = {"22", "23", "54"}
"""SQLSTATE classes that blame the row: data exception, integrity constraint violation, program limit exceeded."""


class BookBatch:
    """The pieces of one batch, the next one last; none when it is done."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        written: Callable[[list[Entry]], None],
        refused: Callable[[Entry, Exception], Awaitable[None]],
        waiting: Callable[[], int],
    ) -> None:
        """waiting: how many rows wait in all, for the log."""
        self.pieces: list[list[Entry]] = []
        self._engine = engine
        self._written, self._refused, self._waiting = written, refused, waiting

    async def finish(self) -> None:
        """Write every piece. May be cancelled and called again: what is not written is kept."""
        retry_seconds = 0.0
        while self.pieces:
            piece = self.pieces[-1]
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self.write(piece)
            except Exception as error:
                if blames_the_rows(error):
                    await self._halve(error)
                    continue
                metrics.postgres_away.set(1)
                retry_seconds = min(max(FIRST_RETRY_SECONDS, retry_seconds * 2), LAST_RETRY_SECONDS)
                log.warning(
                    "journal.waits_for_postgres",
                    reason=reason_of(error),
                    rows=self._waiting(),
                    retry_seconds=retry_seconds,
                )
                await asyncio.sleep(retry_seconds)
            else:
                retry_seconds = 0.0
                metrics.postgres_away.set(0)
                self._written(self.pieces.pop())

    async def write(self, piece: list[Entry]) -> None:
        """One piece, in one transaction."""
        async with self._engine.begin() as connection:
            for kind, statement in WRITING_ORDER.items():
                if values := [entry.values for entry in piece if entry.kind is kind]:
                    await connection.execute(statement, bound(kind, values))

    async def _halve(self, error: Exception) -> None:
        piece = self.pieces.pop()
        if len(piece) > 1:
            middle = len(piece) // 2
            self.pieces += [piece[middle:], piece[:middle]]
        else:
            await self._refused(piece[0], error)


def blames_the_rows(error: Exception) -> bool:
    """Whether writing these rows would fail again however healthy Postgres is."""
    if isinstance(error, DBAPIError):
        # The driver's own refusal to encode a value is a ValueError and has no code.
        encoding = isinstance(error.orig and error.orig.__cause__, ValueError)
        return encoding or sqlstate(error)[:2] in CONTENT_CLASSES
    if isinstance(error, StatementError):
        return True  # a value could not even be bound
    return not isinstance(error, DATABASE_ERRORS)
