"""The books are tidied every hour: what has served its time goes, and calls that a crash left open are closed."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.claims import Claims
from app.adapters.deliveries import Deliveries
from app.adapters.retention import Retention
from app.adapters.store import CallStore
from app.rules.retention import RetentionDays

LOST = timedelta(hours=25)
"""Twilio ends a call after a day at most; one that is open longer has lost its process."""


async def tidy(engine: AsyncEngine, days: RetentionDays) -> None:
    """Again and again, until cancelled."""
    books, word, claims = CallStore(engine), Deliveries(engine), Claims(engine)
    retention = Retention(
        engine,
        days,
        {
            "lost_calls": lambda now: books.close_lost(started_before=now - LOST),
            "deliveries": lambda now: word.forget(),
            "standings": lambda now: books.forget_standings(now - LOST),
            "tickets": lambda now: claims.forget(now - LOST),
        },
    )
    await retention.run()
