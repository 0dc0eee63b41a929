"""The database: there, new enough, writable, behind which kind of pooler; and its schema."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.database import DATABASE_ERRORS, make_engine, place_of, reason_of, remedy_for, revisions_of
from app.adapters.revisions import lines
from app.doctor.patient import Patient, Skip
from app.doctor.rows import Finding, fault, fine, skipped, warning

OLDEST = 13
"""Postgres 12 has had no fixes since November 2024."""
PID = text("SELECT pg_backend_pid()")
FACTS = text(
    "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('server_version')"
)


def _url(patient: Patient) -> str:
    """The database's address. Raises Skip where it is the embedded one, and nobody runs it."""
    if patient.running is not None:
        return patient.running.database_url
    if patient.settings.database_url:
        return patient.settings.database_url
    raise Skip(skipped("needs a running server: the embedded Postgres runs only while it does", "./offhook serve"))


async def database(patient: Patient) -> Finding:
    """Reachable, its version, whether it can be written to, and a transaction pooler before it."""
    engine = make_engine(_url(patient), keep_connections=False)
    place = f"Postgres at {place_of(engine.url)}"
    try:
        async with engine.connect() as first:
            number, standby, version = (await first.execute(FACTS)).one()
            await first.rollback()
            pooled = await _shared(first)
    except DATABASE_ERRORS as wrong:
        return fault(f"{place} cannot be used: {reason_of(wrong)}", remedy_for(wrong))
    finally:
        await engine.dispose()
    what = f"{place}, version {version}{', behind a transaction pooler' if pooled else ''}"
    if standby:
        return fault(f"{what}: a standby, nothing can be written there", "set DATABASE_URL to the primary server")
    if number // 10_000 < OLDEST:
        return warning(what, f"move to Postgres {OLDEST} or newer: older ones get no fixes any more")
    return fine(what)


async def _shared(first: AsyncConnection) -> bool:
    """Whether a connection's transactions go to several server processes, or two open ones to the same: only poolers do that."""
    before, again = await _process(first), await _process(first)
    async with first.engine.connect() as second:
        return again != before or await _process(second) == again


async def _process(connection: AsyncConnection) -> int:
    """The server process that a transaction of this connection comes to."""
    pid: int = (await connection.execute(PID)).scalar_one()
    await connection.rollback()
    return pid


async def migrations(patient: Patient) -> Finding:
    """The schema, against the revisions of this code."""
    engine = make_engine(_url(patient), keep_connections=False)
    try:
        async with engine.connect() as connection:
            found = await revisions_of(connection)
    except DATABASE_ERRORS:
        raise Skip(skipped("the database cannot be asked", "see the line of database")) from None
    finally:
        await engine.dispose()
    known = lines()
    if any(line.behind(found) for line in known):
        at = ", ".join(sorted(found)) or "an empty schema"
        return fault(f"expected {', '.join(line.head for line in known)}, the database is at {at}", "./offhook migrate")
    if newer := sorted(set().union(*(line.ahead(found) for line in known))):
        return warning(
            f"the database is at {', '.join(newer)}, which this code does not know", "bring this checkout up to date"
        )
    return fine(f"at {', '.join(line.head for line in known)}")
