"""Brings the database to the newest schema: Alembic's `upgrade heads`, in process, safe when two start at once."""

from pathlib import Path

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import (
    DATABASE_ERRORS,
    behind,
    make_engine,
    place_of,
    reason_of,
    remedy_for,
    revisions_of,
    sqlstate,
)
from app.errors import SetupError

log = structlog.get_logger()

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
LOCK_KEY = 0x0FF_4007
"""Ours among Postgres's advisory locks; any number that nobody else in this database uses."""
LOCK_SECONDS = 60


async def migrate(url: str | URL) -> bool:
    """Migrate the database at `url` on a connection of its own; see `upgrade`."""
    engine = make_engine(url, keep_connections=False, command_seconds=None)
    try:
        return await upgrade(engine)
    finally:
        await engine.dispose()


async def upgrade(engine: AsyncEngine) -> bool:
    """Run what is missing, all of it in one transaction; False if nothing was. Costs one query when there is nothing to do.

    Raises SetupError if Postgres is not there or another migration holds the lock for a minute.
    """
    try:
        async with engine.connect() as connection:
            if not behind(await revisions_of(connection)):
                return False
        async with engine.begin() as connection:
            # Held until the transaction ends, so that it also works behind a transaction pooler.
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            before = await revisions_of(connection)
            if not behind(before):
                return False
            await connection.run_sync(_upgrade_heads)
            after = await revisions_of(connection)
    except DATABASE_ERRORS as error:
        remedy = "Another migration is running; wait for it." if sqlstate(error) == "55P03" else remedy_for(error)
        raise SetupError(
            f"Postgres at {place_of(engine.url)} could not be migrated: {reason_of(error)}. Nothing was changed. {remedy}"
        ) from error
    log.info("database.migrated", before=sorted(before), after=sorted(after))
    return True


def _upgrade_heads(connection: Connection) -> None:
    from alembic import command  # here, because loading Alembic takes longer than everything else in a start
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")
