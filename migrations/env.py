"""Runs revisions: on the connection that app/adapters/migrate.py brings, or on DATABASE_URL for the `alembic` command."""

import asyncio
import importlib
import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, MetaData

from app.adapters.all_tables import METADATA
from app.adapters.database import database_url, make_engine
from app.adapters.revisions import lines
from app.errors import SetupError

OPTIONS: dict[str, Any] = {"compare_type": True, "compare_server_default": True}


def tables() -> list[MetaData]:
    """The house's tables, and those of each mode that has a line of revisions: modes/NAME/tables.py has its `metadata`."""
    return [METADATA, *(importlib.import_module(f"modes.{line.name}.tables").metadata for line in lines() if line.name)]


def run(connection: Connection, target: list[MetaData] | None = None) -> None:
    """target: tables to compare with; running revisions needs none."""
    context.configure(connection=connection, target_metadata=target, **OPTIONS)
    with context.begin_transaction():
        try:
            context.run_migrations()
        except AttributeError as error:
            if error.name == "downgrade":
                raise SetupError(
                    "Revisions only go forward: old code runs on a newer schema. Restore a backup."
                ) from error
            raise


async def run_on_database_url() -> None:
    text = os.environ.get("DATABASE_URL")
    if not text:
        raise SetupError(
            "Set DATABASE_URL for the alembic command, or run ./offhook migrate, which finds the database itself."
        )
    engine = make_engine(text, keep_connections=False, command_seconds=None)
    async with engine.begin() as connection:
        await connection.run_sync(run, tables())
    await engine.dispose()


if context.is_offline_mode():
    context.configure(
        url=database_url(os.environ.get("DATABASE_URL") or "postgresql://"), literal_binds=True, **OPTIONS
    )
    with context.begin_transaction():
        context.run_migrations()
elif (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(run_on_database_url())
