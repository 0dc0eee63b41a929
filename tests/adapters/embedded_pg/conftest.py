"""A data folder with a row in it, a server on it, and apps in processes of their own."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.adapters.embedded_pg import EmbeddedPostgres
from tests.adapters.embedded_pg.pg_app import App


@pytest.fixture
def start_app() -> Iterator[Callable[..., App]]:
    """Starts apps, and ends those that a failed test left."""
    started: list[App] = []

    def start(folder: Path, platform: str = "linux") -> App:
        started.append(App(folder, platform))
        return started[-1]

    yield start
    for app in started:
        app.stops()


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a first start leaves it, with one row in it; tests copy it."""
    folder = tmp_path_factory.mktemp("made") / ".offhook"
    postgres = EmbeddedPostgres(folder, durable=False)
    url = postgres.start()
    subprocess.run([sys.executable, "-c", WRITE, url], check=True)
    postgres.stop()
    return folder


WRITE = """
import asyncio, sys
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
async def main():
    engine = create_async_engine(sys.argv[1])
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE calls (caller text)"))
        await connection.execute(text("INSERT INTO calls VALUES ('first')"))
    await engine.dispose()
asyncio.run(main())
"""


@pytest.fixture
def folder(made_before: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / ".offhook"
    shutil.copytree(made_before, copy)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    yield server
    server.stop()
