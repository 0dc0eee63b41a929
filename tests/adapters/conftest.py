"""One Postgres for a test run, migrated once; every test that asks for a database gets a copy of its own."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.adapters.embedded_pg import EmbeddedPostgres, create_database
from app.adapters.migrate import migrate

names = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Postgres."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    yield postgres.start()
    postgres.stop()


@pytest.fixture(scope="session")
async def template(server: str) -> str:
    """The name of a migrated, empty database to copy."""
    await migrate(await create_database(server, "template_books"))
    return "template_books"


@pytest.fixture
async def empty_database(server: str) -> str:
    """The address of a database that nobody migrated."""
    return await create_database(server, f"empty_{next(names)}")


@pytest.fixture
async def database(server: str, template: str) -> str:
    """The address of a migrated database without rows."""
    return await create_database(server, f"books_{next(names)}", template)


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database without rows."""
    engine = make_engine(database)
    yield engine
    await engine.dispose()
