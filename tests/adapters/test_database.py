"""DATABASE_URL as people write it, the engine behind a pooler, and the one clear error without Postgres."""

import ssl
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.adapters.database import behind, check, database_url, make_engine, to_json
from app.adapters.tables import REVISIONS, call_outcomes
from app.errors import SetupError
from tests.adapters.pooler import Pooler


def dialled(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the driver is called with for an address, without calling it."""
    engine = make_engine(text)
    dialect = engine.dialect
    seen: dict[str, Any] = {}

    def connect(*args: object, **options: Any) -> None:
        seen.update(options)
        raise ConnectionRefusedError

    monkeypatch.setattr(dialect.dbapi, "connect", connect)
    with pytest.raises(ConnectionRefusedError):
        engine.sync_engine.raw_connection()
    return seen


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_scheme_that_people_write_is_read(scheme: str) -> None:
    url = database_url(f"{scheme}://ann:p%40ss@db.example.com:6543/books")
    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "ann",
        "p@ss",
        "db.example.com",
        6543,
        "books",
    )


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_sslmode_becomes_the_drivers_ssl(mode: str) -> None:
    assert dict(database_url(f"postgres://h/d?sslmode={mode}").query) == {"ssl": mode}


def test_an_address_may_be_read_twice() -> None:
    once = database_url("postgres://a:b%2Fc@/d?host=/run/my%20pg&port=5433&sslmode=require")
    assert database_url(once.render_as_string(hide_password=False)) == once


def test_user_password_and_database_may_be_options_as_in_libpq() -> None:
    url = database_url("postgresql:///?host=/run/postgresql&user=ann&password=secret&dbname=books")
    assert (url.username, url.password, url.database, dict(url.query)) == (
        "ann",
        "secret",
        "books",
        {"host": "/run/postgresql"},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got nothing"),
        ("mysql://u:hunter2@h/d", "got mysql://..."),
        ("db.example.com/books", "got a text without ://"),
        ("postgres://u:hunter2@h:none/d", "port in digits"),
        ("postgres://u:hunter2@h/d?sslmode=yes", "expected sslmode=disable|allow"),
        ("postgres://u:hunter2@h/d?statement_cache=1&x=2", "unknown option statement_cache, x"),
        ("postgres://u:hunter2@h/d?connect_timeout=soon", "whole seconds"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(text: str, words: str) -> None:
    with pytest.raises(SetupError, match="DATABASE_URL") as caught:
        database_url(text)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_options_of_libpq_that_the_driver_lacks_are_left_out_and_logged() -> None:
    with capture_logs() as logs:
        url = database_url("postgres://h/d?channel_binding=require&sslmode=require&pgbouncer=true")
    assert dict(url.query) == {"ssl": "require"}
    assert logs[0]["options"] == ["channel_binding", "pgbouncer"]


def test_the_driver_keeps_no_statements_and_gets_the_options_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = dialled(
        "postgres://ann@h/d?application_name=desk&options=-csearch_path%3Dx&connect_timeout=3&sslmode=require",
        monkeypatch,
    )
    assert seen["statement_cache_size"] == seen["prepared_statement_cache_size"] == 0
    assert seen["server_settings"] == {"application_name": "desk", "options": "-csearch_path=x"}
    assert (seen["timeout"], seen["ssl"], seen["user"], seen["host"]) == (3.0, "require", "ann", "h")


@pytest.mark.parametrize(
    ("options", "checks_name", "checks_chain"),
    [
        ("sslmode=verify-full", True, True),
        ("sslmode=verify-ca", False, True),
        ("sslmode=require&sslrootcert=system", True, True),
    ],
)
def test_verifying_modes_check_the_server_against_known_authorities(
    options: str, checks_name: bool, checks_chain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = dialled(f"postgres://h/d?{options}", monkeypatch)["ssl"]
    assert context.check_hostname is checks_name
    assert (context.verify_mode is ssl.CERT_REQUIRED) is checks_chain


def test_a_root_certificate_that_is_not_there_is_told() -> None:
    with pytest.raises(SetupError, match="sslrootcert"):
        make_engine("postgres://h/d?sslmode=verify-ca&sslrootcert=/nowhere/root.crt")


async def test_statements_work_behind_a_pooler_that_changes_servers_after_every_transaction(database: str) -> None:
    url = database_url(database)
    with TemporaryDirectory() as folder:
        async with Pooler(Path(folder), f"{url.query['host']}/.s.PGSQL.5432") as pooler:
            engine = make_engine(url.set(query={"host": folder, "port": "5432"}), pool_size=1, max_overflow=0)
            rows = [{"call_sid": f"CA{n}", "kind": "k", "fields": {"n": n}, "valid": True} for n in range(7)]
            for row in rows[:3]:
                async with engine.begin() as connection:
                    await connection.execute(insert(call_outcomes), row)
            async with engine.begin() as connection:
                await connection.execute(insert(call_outcomes), rows[3:])
            async with engine.connect() as connection:
                found = (
                    await connection.execute(select(call_outcomes.c.fields).order_by(call_outcomes.c.call_sid))
                ).scalars()
                assert list(found) == [{"n": n} for n in range(7)]
            await engine.dispose()
            assert pooler.switches > 7


async def test_a_ready_database_passes_the_check(engine: AsyncEngine) -> None:
    await check(engine)


async def test_an_empty_database_is_told_to_be_migrated(empty_database: str) -> None:
    engine = make_engine(empty_database)
    with pytest.raises(SetupError, match=r"got an empty schema\. Run \./offhook migrate\."):
        await check(engine)
    await engine.dispose()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            lambda server, port: f"postgres://ann:hunter2@127.0.0.1:{port}/books",
            ["127.0.0.1:", "books", "Start Postgres"],
        ),
        (lambda server, port: "postgres://ann:hunter2@/books?host=/nowhere", ["/nowhere", "Start Postgres"]),
        (
            lambda server, port: "postgres://ann:hunter2@no-such-host.invalid/books",
            ["no-such-host.invalid:5432", "correct DATABASE_URL"],
        ),
        (
            lambda server, port: server.replace("@/postgres", "@/missing"),
            ["database missing", "does not exist", "Create the database"],
        ),
        (lambda server, port: server.replace("//postgres@", "//nobody:hunter2@"), ["nobody", "Check the user"]),
    ],
)
async def test_a_database_that_is_not_there_gives_one_clear_error(
    server: str, unused_tcp_port: int, address: Callable[[str, int], str], words: list[str]
) -> None:
    engine = make_engine(address(server, unused_tcp_port))
    with pytest.raises(SetupError) as caught:
        await check(engine)
    await engine.dispose()
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_newer_schema_is_used_and_mentioned(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE alembic_version SET version_num = '9999' WHERE version_num NOT LIKE '%\\_%'"
        )
    with capture_logs() as logs:
        await check(engine)
    assert logs[0]["event"] == "database.schema_is_newer"


def test_only_a_known_older_schema_is_behind(tmp_path: Path) -> None:
    """tmp_path: a folder without modes that have tables of their own."""
    assert behind(set(), tmp_path)
    assert behind({"0001"}, tmp_path)
    assert behind({REVISIONS[-2]}, tmp_path)
    assert not behind({REVISIONS[-1]}, tmp_path)
    assert not behind({"9999"}, tmp_path)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a\x00b": ["c\x00", {"d": "\x00"}]}, {"ab": ["c", {"d": ""}]}),
        ({"half": "\ud83d", "whole": "\U0001f600"}, {"half": "?", "whole": "\U0001f600"}),
        ({"told": "a backslash: \\u0000"}, {"told": "a backslash: \\u0000"}),
    ],
)
async def test_json_is_kept_without_what_postgres_refuses(engine: AsyncEngine, value: Any, kept: Any) -> None:
    assert msgspec.json.decode(to_json(value)) == kept
    async with engine.begin() as connection:
        await connection.execute(insert(call_outcomes), {"call_sid": "CA", "kind": "k", "fields": value, "valid": True})
        assert (await connection.execute(select(call_outcomes.c.fields))).scalar_one() == kept


async def test_text_is_kept_without_what_postgres_refuses(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        row = {"call_sid": "CA\x00\ud83d1", "kind": "", "fields": {}, "valid": True}
        await connection.execute(insert(call_outcomes), row)
        found = select(func.length(call_outcomes.c.call_sid)).where(call_outcomes.c.call_sid == "CA?1\x00")
        assert (await connection.execute(found)).scalar_one() == 4
