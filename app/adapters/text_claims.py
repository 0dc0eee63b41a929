"""Which texts a call has asked the carrier for: one row each, written by whoever comes first, before it asks.

So a text that was asked for in one process is not sent again by another that has taken the call up. The words are not kept, only
their digest. What became of it is written into the row afterwards; a row without it is of a process that is asking just now, or
died in it: nobody knows whether that text was sent.
"""

import asyncio
import hashlib
from typing import Any, Literal

import structlog
from sqlalchemy import Executable, Row, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.in_time import in_time
from app.adapters.tables import texts
from app.adapters.texted import Texted

log = structlog.get_logger()

CLAIM_SECONDS = 1.0
"""A tool waits for it, and the caller for the tool."""
RETRY_SECONDS = 2.0
TRIES = 30

CLAIM = text(
    "WITH mine AS (INSERT INTO texts (call_sid, digest, state) VALUES (:sid, :digest, 'asked') "
    "ON CONFLICT (call_sid, digest) DO UPDATE SET state = 'asked', at = now() WHERE texts.state = 'refused' "
    "RETURNING 'mine' AS state, 0 AS code) SELECT state, code FROM mine "
    "UNION ALL SELECT state, code FROM texts WHERE call_sid = :sid AND digest = :digest LIMIT 1"
)
"""One that the carrier refused did not go out, and may be asked for again. A row that another process is just writing is waited
for, and then seen by neither half: no answer means that somebody else was first."""


class TextClaims:
    """The table `texts`. Nothing here raises but when cancelled."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def claim(self, call_sid: str, words: str) -> Literal["mine"] | Texted | None:
        """Whether a text may be asked for: "mine", or what became of it elsewhere. None: the books do not say, within a second."""
        key = {"sid": call_sid, "digest": digest(words)}
        try:
            row = await in_time(CLAIM_SECONDS, self._claim(key))
        except DATABASE_ERRORS as error:
            log.warning("the books do not say whether a text was sent", call_sid=call_sid, reason=reason_of(error))
            return None
        if row is not None and row.state == "mine":
            return "mine"
        return Texted("sent") if row is not None and row.state == "sent" else Texted("unknown")

    async def settle(self, call_sid: str, words: str, texted: Texted) -> bool:
        """Write down what became of a text, claimed or not; tried for a minute. False: the books did not take it."""
        row = {"call_sid": call_sid, "digest": digest(words), "state": texted.state, "code": texted.code}
        put = insert(texts).values(row)
        open_yet = texts.c.state.in_(
            ("asked", "refused")
        )  # else a refusal that is written late would hide what was sent
        put = put.on_conflict_do_update(index_elements=["call_sid", "digest"], set_=row, where=open_yet)
        for tried in range(TRIES):
            if tried:
                await asyncio.sleep(RETRY_SECONDS)
            try:
                await in_time(CLAIM_SECONDS, self._put(put))
                return True
            except DATABASE_ERRORS as error:
                reason = reason_of(error)
        log.warning("the books did not take what became of a text", call_sid=call_sid, reason=reason)
        return False

    async def _claim(self, key: dict[str, str]) -> Row[Any] | None:
        async with self._at_once.connect() as connection:
            return (await connection.execute(CLAIM, key)).first()

    async def _put(self, row: Executable) -> None:
        async with self._at_once.connect() as connection:
            await connection.execute(row)


def digest(words: str) -> str:
    """A text as the books know it again."""
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()
