"""The embedded Postgres: starting, stopping, joining, moving."""

# ruff: noqa: ASYNC240 - nothing else runs on a test's loop

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.adapters.embedded_pg import EmbeddedPostgres, create_database
from app.errors import HouseError
from tests.adapters.embedded_pg.pg_app import App, Watch, callers, linux_only, query, running_in


async def test_a_first_start_makes_a_private_database_and_a_second_one_finds_its_rows(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    postgres = EmbeddedPostgres(folder)
    try:
        url = postgres.start()
        assert postgres.owner
        await query(url, "CREATE TABLE calls (caller text)")
        await query(url, "INSERT INTO calls VALUES ('first')")
        assert await query(url, "SHOW fsync") == ["on"]
        assert await query(url, "SHOW listen_addresses") == [""]
        postgres.stop()
        postgres.stop()
        assert not postgres.owner
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

        assert await callers(postgres.start()) == ["first"]
    finally:
        postgres.stop()
    assert not list(folder.glob("pg*/postmaster.pid"))


async def test_a_server_for_tests_does_not_wait_for_the_disk(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder, durable=False)
    try:
        assert await query(postgres.start(), "SHOW fsync") == ["off"]
    finally:
        postgres.stop()


async def test_settings_of_another_postgres_in_the_environment_do_not_matter(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "7777")
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c wrong=1")
    assert await callers(postgres.start()) == ["first"]


async def test_of_two_starts_at_once_one_owns_the_server_and_both_reach_it(
    start_app: Callable[..., App], folder: Path
) -> None:
    apps = [start_app(folder) for _ in range(3)]
    for app in apps:
        app.answers()
        assert await callers(app.url) == ["first"]
    assert sorted(app.owner for app in apps) == [False, False, True]


async def test_who_joined_does_not_stop_the_server(
    start_app: Callable[..., App], folder: Path, postgres: EmbeddedPostgres
) -> None:
    app = start_app(folder).answers()
    url = postgres.start()
    assert not postgres.owner
    assert url == app.url

    postgres.stop()

    assert await callers(app.url) == ["first"]
    app.stops()
    assert await callers(postgres.start()) == ["first"]
    assert postgres.owner


async def test_a_moved_folder_starts_where_it_is_now(folder: Path, tmp_path: Path) -> None:
    before = EmbeddedPostgres(folder)
    before.start()
    before.stop()
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    postgres = EmbeddedPostgres(moved)
    try:
        assert await callers(postgres.start()) == ["first"]
        assert Path(running_in(moved).folder).parent == moved
    finally:
        postgres.stop()


@linux_only
@pytest.mark.parametrize("name", ["x" * 120, "Anna's office, 2nd floor: phones"])
async def test_a_folder_whose_path_no_socket_can_have_gets_a_private_one_elsewhere(
    start_app: Callable[..., App], folder: Path, name: str
) -> None:
    long = folder.parent / name
    folder.rename(long)
    app = start_app(long).answers()
    sockets = Path(running_in(long).sockets)
    assert sockets.parent != long
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700

    joined = EmbeddedPostgres(long)
    assert await callers(joined.start()) == ["first"]
    assert not joined.owner
    joined.stop()

    server = Watch(running_in(long).pid)
    app.is_killed()
    assert server.ends()
    assert await callers(joined.start()) == ["first"]
    assert Path(running_in(long).sockets) == sockets, "the folder that the killed app left is used again"
    joined.stop()
    assert not sockets.exists()


async def test_databases_are_copied_from_a_template(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    template = await create_database(url, "template_of_calls")
    await query(template, "CREATE TABLE greetings (words text)")
    await query(template, "INSERT INTO greetings VALUES ('Good morning')")
    copy = await create_database(url, "a copy", template="template_of_calls")
    assert await query(copy, "SELECT words FROM greetings") == ["Good morning"]


def test_a_start_from_a_worker_thread_is_refused(postgres: EmbeddedPostgres) -> None:
    raised: list[BaseException] = []

    def start() -> None:
        try:
            postgres.start()
        except HouseError as error:
            raised.append(error)

    worker = threading.Thread(target=start)
    worker.start()
    worker.join()
    assert "main thread" in str(raised[0])
