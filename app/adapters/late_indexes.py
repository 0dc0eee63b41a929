"""Indexes of big tables, built while calls go on: a migration would hold up every writer until it is done.

A revision builds them at once where a table is small. Otherwise `build_missing` does, after the start: CREATE INDEX CONCURRENTLY
lets rows be written meanwhile, and pages that want the index are slow until it is there, and right all the same.
"""

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.adapters.database import DATABASE_ERRORS, make_engine, reason_of
from app.adapters.tables import CUT, FAILED, PARTY, SLOW, WORDS

log = structlog.get_logger()


class LateIndex(msgspec.Struct, frozen=True):
    """An index, as CREATE INDEX has it."""

    name: str
    table: str
    what: str

    def sql(self, *, concurrently: bool = False) -> str:
        """The statement that builds it."""
        how = "CONCURRENTLY IF NOT EXISTS " if concurrently else ""
        return f"CREATE INDEX {how}{self.name} ON {self.table} {self.what}"


LATE = (
    LateIndex("ix_calls_mode", "calls", "(mode, started_at, call_sid)"),
    LateIndex("ix_calls_outcome", "calls", "(outcome, started_at, call_sid)"),
    LateIndex("ix_calls_party", "calls", f"(reverse({PARTY}) text_pattern_ops, started_at, call_sid)"),
    LateIndex("ix_calls_slow", "calls", f"(started_at, call_sid) WHERE {SLOW}"),
    LateIndex("ix_calls_cut", "calls", f"(started_at, call_sid) WHERE {CUT}"),
    LateIndex("ix_calls_failed", "calls", f"(started_at, call_sid) WHERE {FAILED}"),
    LateIndex("ix_turns_words", "turns", f"USING gin ({WORDS})"),
    LateIndex("ix_bookings_phone", "bookings", "(phone)"),
    LateIndex("ix_messages_phone", "messages", "(phone)"),
)

STATE = text(
    "SELECT c.relname, i.indisvalid OR EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) "
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = ANY(:names) AND n.nspname = current_schema()"
)


async def build_missing(url: str | URL) -> list[str]:
    """Build what is not there, one after the other; the names of those built. Takes minutes where a table has millions of rows.

    A build that was broken off leaves an index that is of no use: it is dropped and built again. One that fails is logged and
    left for the next start. One that another process builds just now is left to it.
    """
    engine = make_engine(url, keep_connections=False, command_seconds=None)
    built: list[str] = []
    try:
        async with engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            rows = (await connection.execute(STATE, {"names": [index.name for index in LATE]})).all()
            state = {str(name): bool(valid) for name, valid in rows}
            for index in LATE:
                if state.get(index.name):
                    continue
                log.info("index.building", index=index.name, table=index.table)
                if index.name in state:
                    await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"))
                await connection.execute(text(index.sql(concurrently=True)))
                built.append(index.name)
                log.info("index.built", index=index.name)
    except DATABASE_ERRORS as error:
        log.warning("index.not_built", reason=reason_of(error), remedy="it is tried again at the next start")
    finally:
        await engine.dispose()
    return built
