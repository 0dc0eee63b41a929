"""Transactions on the house's database for tools of modes: short, all or nothing, and honest when Postgres is not there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.adapters.database import DATABASE_ERRORS, reason_of
from app.errors import BackendDown

log = structlog.get_logger()

DEADLINE_SECONDS = 2.5
"""For a whole transaction: less than a tool has by default, so that the tool can still say what happened."""
DOWN = (
    "The records do not answer right now, and it is not known whether anything was done. Say so; do not say that it is done. "
    "Offer to try again, or a person."
)

Sessions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


def sessions(engine: AsyncEngine, *, seconds: float = DEADLINE_SECONDS) -> Sessions:
    """What `CallContext.session` is: each use is one transaction, committed at its end, rolled back by an error.

    Whatever Postgres has against it is raised as BackendDown; mistakes in the mode's own use of SQLAlchemy stay what they are.
    """

    @asynccontextmanager
    async def session() -> AsyncIterator[AsyncSession]:
        try:
            async with (
                asyncio.timeout(seconds),
                AsyncSession(engine, expire_on_commit=False) as opened,
                opened.begin(),
            ):
                yield opened
        except (ArgumentError, InvalidRequestError):
            raise
        except DATABASE_ERRORS as error:
            log.warning("mode.database", reason=reason_of(error))
            raise BackendDown(DOWN) from error

    return session
