"""Postgres killed, hung, out of connections or full, the disk full, the process killed: every row is in the books once."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters import book_batch
from app.adapters import journal as journal_module
from app.adapters.database import make_engine
from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.entries import Entry
from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.migrate import migrate
from app.adapters.spool import Spool
from app.adapters.spool_folder import SpoolFolder
from app.adapters.store import CallStore
from app.adapters.tables import debug_events
from tests.adapters.pg_trouble import hung, postmaster
from tests.adapters.rows import ended, event, started, turn
from tests.adapters.test_journal_trouble import postgres_away


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(book_batch, "WRITE_SECONDS", 0.5)
    monkeypatch.setattr(book_batch, "LAST_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(journal_module, "DISK_RETRY_SECONDS", 0.05)


@asynccontextmanager
async def life(engine: AsyncEngine, root: Path, *, left: int = 0) -> AsyncIterator[Journal]:
    """A journal as a process has it, from its start to its end. left: rows that it must find."""
    journal = Journal(engine, JournalDisk(SpoolFolder(root)))
    assert await journal.adopt() == left
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(journal.run())
        yield journal
        assert await journal.close(0.5) == 0
        await running
    assert journal.lost == journal.set_aside == 0


def spooled(root: Path) -> int:
    """Rows of the books that are on disk."""
    return sum(path.read_bytes().count(b"\n") for path in root.glob("*/books.*"))


def nothing_in(root: Path) -> bool:
    return list(root.iterdir()) == []


async def until_spooled(root: Path, rows: int) -> None:
    async with asyncio.timeout(10):
        while spooled(root) < rows:  # noqa: ASYNC110  a thread sets no event of ours
            await asyncio.sleep(0.01)


async def words(engine: AsyncEngine) -> list[str]:
    return [row.generated_text for row in await CallStore(engine).turns("CA1")]


async def events(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(debug_events))).scalar_one())


async def test_healthy_rows_pass_by_the_disk_and_leave_nothing_there(engine: AsyncEngine, tmp_path: Path) -> None:
    async with life(engine, tmp_path) as journal:
        for number in range(250):
            journal.put(turn(number % 50, str(number)))
            journal.put(event(number))
        assert await journal.flush()
        assert journal.pending == 0
        assert await words(engine) == [str(number) for number in range(200, 250)]
        assert await events(engine) == 250
        assert spooled(tmp_path) == 0
    assert nothing_in(tmp_path)


async def test_while_postgres_hangs_rows_are_on_disk_and_it_is_found_out(
    server: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with life(engine, tmp_path) as journal:
        journal.put(started)
        assert await journal.flush()
        with hung(server), capture_logs() as logs:
            for number in range(150):
                journal.put(turn(number % 30, str(number)))
            journal.put(ended)
            await until_spooled(tmp_path, 151)
            async with asyncio.timeout(10):
                while not any(line["event"] == "journal.waits_for_postgres" for line in logs):  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.02)
            assert journal.pending == 151
        assert await journal.flush(10)
        assert await words(engine) == [str(number) for number in range(120, 150)]
        assert spooled(tmp_path) == 0


async def test_what_postgres_did_not_take_before_the_end_the_next_life_writes(
    server: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with postgres_away(server, engine):
        with capture_logs() as logs:
            async with life(engine, tmp_path) as journal:
                journal.put(started)
                for number in range(120):
                    journal.put(turn(number, str(number)))
                    journal.put(event(number))
        (line,) = (line for line in logs if line["event"] == "journal.left_on_disk")
        assert line["rows"] == 241
    async with life(engine, tmp_path, left=241) as journal:
        journal.put(ended)
        assert await journal.flush()
        assert await words(engine) == [str(number) for number in range(120)]
        assert await events(engine) == 120
        call = await CallStore(engine).call("CA1")
        assert call is not None
        assert (call.mode, call.outcome) == ("receptionist", "agent_ended")
    assert nothing_in(tmp_path)


@pytest.fixture
async def poor(server: str, engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The database as a role that may have one connection."""
    name = engine.url.database
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"CREATE ROLE poor_{name} LOGIN CONNECTION LIMIT 1")
        await connection.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO poor_{name}")
    poor = make_engine(engine.url.set(username=f"poor_{name}"), keep_connections=False)
    yield poor
    await poor.dispose()


async def test_out_of_connections_rows_wait(poor: AsyncEngine, engine: AsyncEngine, tmp_path: Path) -> None:
    async with life(poor, tmp_path) as journal:
        with capture_logs() as logs:
            async with poor.connect() as only:
                await only.exec_driver_sql("SELECT 1")
                journal.put(turn(0))
                assert not await journal.flush(0.4)
            assert await journal.flush()
        assert any("too many connections" in line["reason"] for line in logs if "reason" in line)
        assert await words(engine) == ["Hello."]


async def test_a_full_disk_of_postgres_is_no_fault_of_the_rows(engine: AsyncEngine, tmp_path: Path) -> None:
    full = (
        "CREATE FUNCTION no_room() RETURNS trigger AS $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END $$ "
        "LANGUAGE plpgsql"
    )
    async with engine.begin() as connection:
        await connection.exec_driver_sql(full)
        await connection.exec_driver_sql("CREATE TRIGGER no_room BEFORE INSERT ON turns EXECUTE FUNCTION no_room()")
    async with life(engine, tmp_path) as journal:
        for number in range(5):
            journal.put(turn(number))
        assert not await journal.flush(0.5)
        assert spooled(tmp_path) == 5
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DROP TRIGGER no_room ON turns")
        assert await journal.flush()
        assert len(await words(engine)) == 5


async def test_while_our_own_disk_is_full_rows_go_to_postgres_from_memory_and_stay_in_order(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = True
    append = Spool.append

    def full(spool: Spool, lines: list[bytes]) -> None:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(spool, lines)

    monkeypatch.setattr(Spool, "append", full)
    with capture_logs() as logs:
        async with life(engine, tmp_path) as journal:
            for number in range(90):
                room = not 30 <= number < 60
                journal.put(turn(number % 7, str(number)))
                if number % 30 == 29:
                    assert await journal.flush()
                    assert await words(engine) == [
                        str(last) for last in sorted(range(number - 6, number + 1), key=lambda n: n % 7)
                    ]
    said = [line["event"] for line in logs]
    assert said == ["journal.disk_takes_nothing", "journal.disk_takes_rows_again"]


async def test_with_neither_postgres_nor_a_disk_memory_is_bounded_and_it_is_said(
    server: str, engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(spool: Spool, lines: list[bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spool, "append", full)
    journal = Journal(engine, JournalDisk(SpoolFolder(tmp_path)), capacity=50)
    async with asyncio.TaskGroup() as tasks, postgres_away(server, engine):
        running = tasks.create_task(journal.run())
        with capture_logs() as logs:
            for number in range(70):
                journal.put(turn(number))
            assert journal.pending == 50
            assert await journal.close(0.2) == 50
        await running
    assert journal.lost == 70
    assert {"journal.full", "journal.disk_takes_nothing", "journal.rows_lost"} <= {line["event"] for line in logs}


async def test_a_refused_row_is_kept_in_a_file_of_its_own(engine: AsyncEngine, tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path)
    journal = Journal(engine, JournalDisk(folder))
    running = asyncio.create_task(journal.run())
    with capture_logs() as logs:
        for row in (turn(0), turn(1, "my secret words", start_ms=2**40), turn(2)):
            journal.put(row)
        assert await journal.flush()
    assert await journal.close(5) == 0
    await running
    assert (journal.set_aside, journal.lost, len(await words(engine))) == (1, 0, 2)
    (kept,) = folder.refused.rows()
    assert b"my secret words" in kept
    assert b'"Turn"' in kept
    assert "secret" not in str(logs)
    assert str(2**40) not in str(logs), "not even the value that was refused is logged"


# --- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that a test may kill."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("killed"), durable=True)
    yield postgres
    postgres.stop()


async def test_a_postgres_that_was_killed_in_a_batch_has_every_row_once_when_it_is_back(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.start()
    await migrate(url)
    engine = make_engine(url)
    async with life(engine, tmp_path) as journal:
        journal.put(started)
        assert await journal.flush()
        write, in_a_batch = journal._batch.write, asyncio.Event()

        async def write_and_tell(piece: list[Entry]) -> None:
            in_a_batch.set()
            await write(piece)

        monkeypatch.setattr(journal._batch, "write", write_and_tell)
        for number in range(400):
            journal.put(turn(number % 100, str(number)))
            journal.put(event(number))
        await in_a_batch.wait()
        os.kill(postmaster(url), signal.SIGKILL)
        journal.put(ended)
        await until_spooled(tmp_path, 1)
        assert not await journal.flush(0.3)
        assert postgres.revive()
        assert await journal.flush(20)
        assert await words(engine) == [str(number) for number in range(300, 400)]
        assert await events(engine) == 400
    await engine.dispose()


DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from app.adapters import spool
from app.adapters.database import make_engine
from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.spool_folder import SpoolFolder
from tests.adapters.rows import started, turn

where, url, root = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    journal = Journal(make_engine(url), JournalDisk(SpoolFolder(Path(root))))
    running = asyncio.create_task(journal.run())
    journal.put(started)
    journal.put(turn(0, "old"))
    assert await journal.flush()
    write = journal._batch.write
    if where == "torn":
        os_write = os.write
        def half(file, data):
            os_write(file, bytes(data)[:-9])
            die()
        spool.os.write = half
    elif where == "kept":
        sync = spool._sync
        def synced(file):
            sync(file)
            die()
        spool._sync = synced
    elif where == "writing":
        async def halfway(piece):
            async with journal._batch._engine.begin() as connection:
                await connection.exec_driver_sql("UPDATE turns SET generated_text = 'never'")
                die()
        journal._batch.write = halfway
    elif where == "committed":
        async def committed(piece):
            await write(piece)
            die()
        journal._batch.write = committed
    elif where == "letting go":
        while journal._disk.lines:
            await asyncio.sleep(0.01)
        spool.os.ftruncate = die
    for number in range(60):
        journal.put(turn(number % 20, f"new {number}"))
    await running

asyncio.run(main())
"""


@pytest.mark.parametrize("where", ["torn", "kept", "writing", "committed", "letting go"])
async def test_whenever_we_are_killed_the_next_life_leaves_every_kept_row_once_and_in_order(
    engine: AsyncEngine, database: str, tmp_path: Path, where: str
) -> None:
    command = [sys.executable, "-c", DIE, where, database, str(tmp_path)]
    died = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    left = spooled(tmp_path) + (where == "torn")
    assert left == 60
    with capture_logs() as logs:
        async with life(engine, tmp_path, left=60) as journal:
            assert await journal.flush()
            expected = [f"new {number}" for number in range(40, 60)]
            if where == "torn":  # the last row was being written
                expected[19] = "new 39"
            assert await words(engine) == expected
    assert any(line["event"] == "journal.torn_rows" for line in logs) == (where == "torn")
    assert nothing_in(tmp_path)


async def test_a_living_process_adopts_what_another_leaves(
    engine: AsyncEngine, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "ADOPT_SECONDS", 0.05)
    async with postgres_away(server, engine), life(engine, tmp_path) as journal:
        journal.put(turn(0))
    gone = SpoolFolder(tmp_path)
    gone.append("books", [b'["Turn","",{"call_sid":"CA1","seq":1}]'])  # of another version, or what it may be: no row
    gone.append("books", [b"no JSON at all"])
    gone.close()
    journal = Journal(engine, JournalDisk(SpoolFolder(tmp_path)))
    running = asyncio.create_task(journal.run())
    async with asyncio.timeout(10):
        while not await words(engine) or journal.set_aside < 2:  # noqa: ASYNC110  nothing of ours tells of the other's row
            await asyncio.sleep(0.02)
    assert await journal.close(5) == 0
    await running
