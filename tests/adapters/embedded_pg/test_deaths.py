"""Deaths of every kind: app, server, both at once; and what the next start finds."""

# ruff: noqa: ASYNC220, ASYNC222, ASYNC240 - nothing else runs on a test's loop

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.adapters import pg_binaries
from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.pg_postmaster import end_left_over
from tests.adapters.embedded_pg.pg_app import App, Watch, callers, children, linux_only, query, running_in


@linux_only
async def test_a_killed_app_takes_its_server_down_and_every_row_is_there_again(
    start_app: Callable[..., App], folder: Path, postgres: EmbeddedPostgres
) -> None:
    app = start_app(folder).answers()
    await query(app.url, "INSERT INTO calls VALUES ('second')")
    server = Watch(running_in(folder).pid)

    app.is_killed()

    assert server.ends()
    assert await callers(postgres.start()) == ["first", "second"]
    assert postgres.owner


@linux_only
async def test_rows_survive_when_app_and_server_are_killed_at_once(
    start_app: Callable[..., App], folder: Path, postgres: EmbeddedPostgres
) -> None:
    app = start_app(folder).answers()
    await query(app.url, "INSERT INTO calls VALUES ('second')")
    server = running_in(folder).pid
    tree = [server, *children(server)]
    assert len(tree) > 3

    os.kill(app.process.pid, signal.SIGSTOP)  # so that it cannot tidy up
    for pid in tree:
        os.kill(pid, signal.SIGKILL)
    app.is_killed()

    assert await callers(postgres.start()) == ["first", "second"]


async def test_a_killed_server_is_started_again_by_the_same_app(folder: Path, postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    await query(url, "INSERT INTO calls VALUES ('second')")
    server = running_in(folder).pid
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)  # dead, and a zombie

    assert await callers(postgres.start()) == ["first", "second"]
    assert postgres.owner


async def test_one_that_outlived_its_killed_app_is_ended_and_one_whose_app_lives_is_not(
    start_app: Callable[..., App], folder: Path, postgres: EmbeddedPostgres
) -> None:
    """As `stop` does it."""
    app = start_app(folder, platform="other").answers()
    await query(app.url, "INSERT INTO calls VALUES ('second')")
    left = running_in(folder)
    assert end_left_over(folder, time.monotonic() + 20) == []
    assert left.answers
    app.is_killed()
    assert left.answers
    assert end_left_over(folder, time.monotonic() + 20) == [left.pid]
    assert not left.alive
    assert await callers(postgres.start()) == ["first", "second"]


async def test_a_server_that_outlived_its_killed_app_is_replaced_by_one_of_ours(
    start_app: Callable[..., App], folder: Path, postgres: EmbeddedPostgres
) -> None:
    """As on macOS, where nothing tells a child that its parent died."""
    app = start_app(folder, platform="other").answers()
    await query(app.url, "INSERT INTO calls VALUES ('second')")
    left = running_in(folder)
    app.is_killed()
    assert left.answers

    assert await callers(postgres.start()) == ["first", "second"]

    assert postgres.owner
    assert running_in(folder).pid != left.pid
    assert not left.alive


async def test_a_process_number_that_another_program_has_now_does_not_keep_the_database_shut(
    folder: Path, postgres: EmbeddedPostgres
) -> None:
    """As after a reboot: the files of a server that died are there, and its number is somebody else's."""
    postgres.start()
    dead = running_in(folder)
    os.kill(dead.pid, signal.SIGKILL)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for left in (*folder.glob("pg*/postmaster.pid"), *folder.glob("pg*/.s.PGSQL.*.lock")):
            left.write_text(left.read_text().replace(str(dead.pid), str(other.pid), 1))
        assert await callers(postgres.start()) == ["first"]
        assert other.poll() is None, "it must not be hurt"
        other.kill()


async def test_a_database_whose_making_was_interrupted_is_made_again(tmp_path: Path) -> None:
    binaries = pg_binaries.find_binaries()
    half = tmp_path / f"pg{pg_binaries.major_version(binaries)}.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    postgres = EmbeddedPostgres(tmp_path, durable=False)
    try:
        assert await query(postgres.start(), "SELECT 1") == ["1"]
    finally:
        postgres.stop()
    assert not half.exists()
