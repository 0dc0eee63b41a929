"""Brings the database to the newest schema: Alembic's `upgrade heads`, in process, safe when two start at once."""

import os
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import (
    DATABASE_ERRORS,
    make_engine,
    place_of,
    reason_of,
    remedy_for,
    revisions_of,
    sqlstate,
)
from app.adapters.revisions import MODES, VERSIONS, Line, lines
from app.errors import SetupError

log = structlog.get_logger()

MIGRATIONS = VERSIONS.parent
LOCK_KEY = 0x0FF_4007
"""Ours among Postgres's advisory locks; any number that nobody else in this database uses."""
LOCK_SECONDS = 60


async def migrate(url: str | URL, modes: Path = MODES) -> bool:
    """Migrate the database at `url` on a connection of its own; see `upgrade`."""
    engine = make_engine(url, keep_connections=False, command_seconds=None)
    try:
        return await upgrade(engine, modes)
    finally:
        await engine.dispose()


async def upgrade(engine: AsyncEngine, modes: Path = MODES) -> bool:
    """Run what is missing, all of it in one transaction; False if nothing was. Costs one query when there is nothing to do.

    modes: the folder of the modes; those with tables of their own have a line of revisions each. Raises SetupError if Postgres
    is not there or another migration holds the lock for a minute.
    """
    known = lines(modes)
    try:
        async with engine.connect() as connection:
            before = await revisions_of(connection)
            if not any(line.behind(before) for line in known):
                return False
        async with engine.begin() as connection:
            # Held until the transaction ends, so that it also works behind a transaction pooler.
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            before = await revisions_of(connection)
            missing = [line for line in known if line.behind(before)]
            if not missing:
                return False
            strange = sorted(before - {revision for line in known for revision in line.revisions})
            await connection.run_sync(_upgrade, known, missing, strange)
            after = await revisions_of(connection)
    except DATABASE_ERRORS as error:
        remedy = "Another migration is running; wait for it." if sqlstate(error) == "55P03" else remedy_for(error)
        raise SetupError(
            f"Postgres at {place_of(engine.url)} could not be migrated: {reason_of(error)}. Nothing was changed. {remedy}"
        ) from error
    log.info("database.migrated", before=sorted(before), after=sorted(after))
    return True


def _upgrade(connection: Connection, known: Sequence[Line], missing: Sequence[Line], strange: Sequence[str]) -> None:
    """Each missing line to its head.

    strange: revisions that are not here (of a mode that was taken away, or of newer code). Alembic goes nowhere while it
    sees one, so they are hidden from it and put back, within the transaction.
    """
    from alembic import command  # here, because loading Alembic takes longer than everything else in a start
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _quoted(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(_quoted(line.folder) for line in known))
    config.attributes["connection"] = connection
    for revision in strange:
        connection.execute(text("DELETE FROM alembic_version WHERE version_num = :was"), {"was": revision})
    for line in missing:
        command.upgrade(config, line.head)
    for revision in strange:
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:was)"), {"was": revision})


def _quoted(path: Path) -> str:
    """A path as an option of the configuration, where % begins a reference."""
    return str(path).replace("%", "%%")
