"""What becomes of recordings afterwards: those that a crash broke off are finished, and old ones are deleted.

Both are done at a start, and every hour. What a crash left is kept only if the books have the proof that its caller was
told before it came; files without a row (their row was lost with the process) are deleted with the same age as all others.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import DATABASE_ERRORS
from app.adapters.recording_files import FOLDER, Reel, delete, left_behind
from app.adapters.tables import consents, recordings
from app.calls.recording import row_of
from app.core.recorded import Recording
from app.rules.recording import RecordingRules

log = structlog.get_logger()

AT_ONCE = 500
EVERY_SECONDS = 3600.0


async def care_for_recordings(engine: AsyncEngine, data: Path, rules: RecordingRules) -> None:
    """Tidy now, and every hour, until cancelled."""
    while True:
        try:
            finished, deleted = await tidy_recordings(engine, data, rules)
            if finished or deleted:
                log.info("recordings tidied", finished=finished, deleted=deleted)
        except (*DATABASE_ERRORS, OSError) as wrong:  # next time, then
            log.warning("recordings could not be tidied", why=str(wrong))
        await asyncio.sleep(EVERY_SECONDS)


async def tidy_recordings(engine: AsyncEngine, data: Path, rules: RecordingRules) -> tuple[int, int]:
    """Finish what was broken off, delete what is too old: how many of each. Raises what the database raises, and OSError."""
    before = datetime.now(UTC) - timedelta(days=rules.days)
    return await finish_left_behind(engine, data), await delete_old(engine, data, before)


async def finish_left_behind(engine: AsyncEngine, data: Path) -> int:
    """Make recordings of what processes that are no more have left on this disk; how many."""
    finished = 0
    reels = await asyncio.to_thread(lambda: list(left_behind(data)))
    try:
        for reel in reels:
            told = await _told(engine, reel.label.call_sid)
            row = await asyncio.to_thread(_finish, reel, told)
            if row is not None:
                statement = insert(recordings).values({name: getattr(row, name) for name in row.__struct_fields__})
                async with engine.begin() as connection:
                    await connection.execute(statement.on_conflict_do_nothing())
                await asyncio.to_thread(reel.drop)
                finished += 1
    except Exception:  # the database is away, say: what we still hold could not be taken up the next time
        for reel in reels:
            reel.close()
        raise
    return finished


def _finish(reel: Reel, told: str) -> Recording | None:
    """On a thread. told: by which announcement the caller knew; empty: none is proven."""
    if not told:
        log.warning("a recording that a crash broke off is deleted: nothing proves that its caller was told")
        reel.drop()
        return None
    try:
        return row_of(reel, reel.weave(), told, complete=False)
    except OSError as wrong:
        log.error("a recording that was broken off could not be finished; it is tried again", why=str(wrong))
        reel.close()
        return None


async def _told(engine: AsyncEngine, call_sid: str) -> str:
    """By which announcement a caller knew that they were recorded; empty if none is proven."""
    heard = select(consents.c.what).where(consents.c.call_sid == call_sid, consents.c.heard, consents.c.what != "ai")
    async with engine.connect() as connection:
        return (await connection.execute(heard)).scalars().first() or ""


async def delete_old(engine: AsyncEngine, data: Path, before: datetime) -> int:
    """Delete recordings that were made before a moment (aware), file first: how many. Their rows stay, and say so.

    One that cannot be deleted is logged, and holds up none of the others.
    """
    deleted = left = 0
    query = select(recordings.c.call_sid, recordings.c.path).order_by(recordings.c.created_at, recordings.c.path)
    query = query.where(recordings.c.deleted_at.is_(None), recordings.c.created_at < before).limit(AT_ONCE)
    while True:
        async with engine.connect() as connection:
            rows = (await connection.execute(query.offset(left))).all()
        for call_sid, path in rows:
            try:
                await asyncio.to_thread(delete, data, path)
            except (OSError, ValueError) as wrong:
                log.error("a recording could not be deleted; it is tried again", call_sid=call_sid, why=str(wrong))
                left += 1
                continue
            this = (recordings.c.call_sid == call_sid, recordings.c.path == path)
            async with engine.begin() as connection:
                await connection.execute(update(recordings).where(*this).values(deleted_at=datetime.now(UTC)))
            deleted += 1
        if len(rows) < AT_ONCE:
            break
    await asyncio.to_thread(_delete_strays, data, before)
    return deleted


def _delete_strays(data: Path, before: datetime) -> None:
    """Files of that age without a row. Months that are over and empty go, too."""
    for file in (data / FOLDER).glob("*/*.wav"):
        if file.stat().st_mtime < before.timestamp():
            file.unlink(missing_ok=True)
    for month in (data / FOLDER).glob("*"):
        if month.is_dir() and month.name < f"{before:%Y-%m}" and not any(month.iterdir()):
            month.rmdir()
