"""DATABASE_URL to an engine: Postgres as its users write it, also behind a transaction pooler, and one clear error without it."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import structlog
from sqlalchemy import select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import column, table

from app.adapters.revisions import MODES, lines
from app.adapters.tables import storable
from app.errors import SetupError

log = structlog.get_logger()

DATABASE_ERRORS = (SQLAlchemyError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a query may raise when the database, not the query, is to blame; the last two come raw from connecting."""

SCHEMES = ("postgresql://", "postgres://", "postgresql+asyncpg://")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
KEPT = (
    "application_name", "connect_timeout", "host", "options", "port", "ssl", "sslcert", "sslkey", "sslmode", "sslrootcert",
    "target_session_attrs",
)  # fmt: skip
MAPPED = {"user": "username", "password": "password", "dbname": "database"}
NOT_OURS = {
    "channel_binding", "gssencmode", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname",
    "pgbouncer", "requiressl", "sslcompression", "sslnegotiation", "sslsni", "tcp_user_timeout",
}  # fmt: skip
"""libpq's, or an ORM's: our driver does without them, so they are left out with a line in the log."""

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
RECYCLE_SECONDS = 540
"""Poolers and proxies of hosting providers end connections after ten minutes (Fly, mpg/client-configuration)."""


def database_url(text: str) -> URL:
    """Read a Postgres address as psql or a hosting provider writes it; the answer is for `make_engine`.

    Raises SetupError, never with the password in it.
    """
    if not text.startswith(SCHEMES):
        raise SetupError(
            f"DATABASE_URL: expected postgresql://USER:PASSWORD@HOST:5432/DATABASE, got {_scheme(text)}. "
            "Leave it unset to use the embedded Postgres."
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise SetupError(
            "DATABASE_URL: expected postgresql://USER:PASSWORD@HOST:5432/DATABASE with one host and a port in digits, got "
            "something else. Characters like @ : / # in a password must be percent-encoded (@ is %40)."
        ) from error
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    unknown = sorted(set(query) - set(KEPT) - set(MAPPED) - NOT_OURS)
    if unknown:
        raise SetupError(
            f"DATABASE_URL: unknown option {', '.join(unknown)}; expected only {', '.join(sorted({*KEPT, *MAPPED}))}. "
            "Take it out of the URL."
        )
    ignored = sorted(NOT_OURS & set(query))
    if ignored:
        log.warning("database.options_ignored", options=ignored, why="the driver has no such option")
    parts = {MAPPED[name]: query[name] for name in MAPPED if name in query}
    kept = {name: query[name] for name in KEPT if name in query}
    if "sslmode" in kept:
        kept["ssl"] = kept.pop("sslmode")
    if kept.get("ssl", "prefer") not in SSL_MODES:
        raise SetupError(f"DATABASE_URL: expected sslmode={'|'.join(SSL_MODES)}, got {kept['ssl']}.")
    if not kept.get("connect_timeout", "1").isdigit():
        raise SetupError(f"DATABASE_URL: expected connect_timeout in whole seconds, got {kept['connect_timeout']}.")
    return url.set(drivername="postgresql+asyncpg", query=kept, **parts)  # type: ignore[arg-type]  # str parts only


def _scheme(text: str) -> str:
    head, found, _ = text.strip().partition("://")
    return f"{head}://..." if found else "a text without ://" if text.strip() else "nothing"


def make_engine(
    url: str | URL,
    *,
    pool_size: int = 5,
    max_overflow: int = 5,
    keep_connections: bool = True,
    command_seconds: float | None = COMMAND_SECONDS,
    checks: bool = True,
) -> AsyncEngine:
    """An engine on `url`, not connected yet.

    keep_connections: False opens one for every use, for a command that is soon over.
    command_seconds: limit of one statement; None for migrations.
    checks: see whether a kept connection still works before each use, which takes four ways to Postgres and back.
    """
    url = database_url(url if isinstance(url, str) else url.render_as_string(hide_password=False))
    query = {name: str(value) for name, value in url.query.items()}
    settings = {"application_name": query.pop("application_name", "offhook")}
    if "options" in query:
        settings["options"] = query.pop("options")
    connect: dict[str, Any] = {
        "timeout": float(query.pop("connect_timeout", 0)) or CONNECT_SECONDS,
        "command_timeout": command_seconds,
        "server_settings": settings,
        # A transaction pooler gives each transaction another server, so nothing of ours may stay on one: no statements are kept,
        # which also leaves them without a name, and SQLAlchemy only prepares inside a transaction.
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
    }
    certificates: dict[str, str] = {
        name: query.pop(name) for name in ("sslrootcert", "sslcert", "sslkey") if name in query
    }
    mode = query.get("ssl", "prefer")
    if certificates or mode.startswith("verify-"):
        query.pop("ssl", None)
        connect["ssl"] = _ssl_context(mode, certificates)
    pool: dict[str, Any] = (
        {
            "pool_size": pool_size,
            "max_overflow": max_overflow,
            "pool_timeout": CONNECT_SECONDS,
            "pool_pre_ping": checks,
            "pool_recycle": RECYCLE_SECONDS,
        }
        if keep_connections
        else {"poolclass": NullPool}
    )
    return create_async_engine(
        url.set(query=query),
        connect_args=connect,
        json_serializer=to_json,
        json_deserializer=msgspec.json.decode,
        hide_parameters=True,  # callers' names and words do not belong in tracebacks
        **pool,
    )


def _ssl_context(mode: str, certificates: Mapping[str, str]) -> ssl.SSLContext:
    """TLS that checks the server as libpq's sslmode says; against the system's authorities if no sslrootcert is given."""
    root = certificates.get("sslrootcert", "system")
    try:
        context = ssl.create_default_context(cafile=None if root == "system" else root)
        if "sslcert" in certificates:
            context.load_cert_chain(certificates["sslcert"], certificates.get("sslkey"))
    except OSError as error:
        raise SetupError(
            f"DATABASE_URL: expected readable PEM files in {', '.join(certificates)}, got: {error}. Check the paths."
        ) from error
    context.check_hostname = mode == "verify-full" or certificates.get("sslrootcert") == "system"
    if mode != "verify-full" and "sslrootcert" not in certificates and mode != "verify-ca":
        context.verify_mode = ssl.CERT_NONE  # a client certificate alone asks for no check of the server
    return context


def to_json(value: Any) -> str:
    """JSON that a jsonb column takes: no NUL, no half surrogates, in keys or values."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_storable_json(value)).decode()
    if b"\\u0000" in encoded:
        encoded = msgspec.json.encode(_storable_json(value))
    return encoded.decode()


def _storable_json(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case Mapping():
            return {_storable_json(key): _storable_json(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_storable_json(item) for item in value]
        case msgspec.Raw():
            return _storable_json(msgspec.json.decode(value))
        case msgspec.Struct():
            return _storable_json(msgspec.to_builtins(value))
    return value


async def revisions_of(connection: AsyncConnection) -> set[str]:
    """The Alembic revisions that the database is at; empty if it was never migrated."""
    versions = table("alembic_version", column("version_num"))
    try:
        async with connection.begin_nested() if connection.in_transaction() else connection.begin():
            return {str(row.version_num) for row in await connection.execute(select(versions))}
    except ProgrammingError as error:
        if sqlstate(error) == asyncpg.UndefinedTableError.sqlstate:
            return set()
        raise


def sqlstate(error: BaseException) -> str:
    """Postgres's five-character code of an error, wrapped or not; empty if it did not come from the server."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
    return str(getattr(cause, "sqlstate", None) or "")


def behind(found: set[str], modes: Path = MODES) -> bool:
    """Whether a database at these revisions still needs a migration. One that is ahead of this code does not.

    modes: the folder of the modes, some of which have tables of their own.
    """
    return any(line.behind(found) for line in lines(modes))


async def check(engine: AsyncEngine, modes: Path = MODES) -> None:
    """Raise one SetupError that tells the operator what to do, unless Postgres answers and its schema fits."""
    place = f"Postgres at {place_of(engine.url)}"
    try:
        async with engine.connect() as connection:
            found = await revisions_of(connection)
    except DATABASE_ERRORS as error:
        raise SetupError(f"{place} cannot be used: {reason_of(error)}. {remedy_for(error)}") from error
    known = lines(modes)
    if any(line.behind(found) for line in known):
        at = ", ".join(sorted(found)) or "an empty schema"
        wanted = ", ".join(line.head for line in known)
        raise SetupError(f"{place}: expected schema {wanted}, got {at}. Run ./offhook migrate.")
    for line in known:
        if newer := line.ahead(found):
            log.warning("database.schema_is_newer", found=sorted(newer), known=line.head)


def place_of(url: URL) -> str:
    """Host, port and database for a message; never the password."""
    host = url.query.get("host", url.host) or "localhost"
    port = "" if str(host).startswith("/") else f":{url.port or 5432}"
    return f"{host}{port}, database {url.database or url.username or 'by default'}"


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line, without SQLAlchemy's wrapping and without SQL or its parameters."""
    cause = error.orig.__cause__ or error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    lines = _VALUE.sub(r"\1", str(cause)).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__


_VALUE = re.compile(r"(query argument \$\d+): .*(?= \()", re.DOTALL)
"""The driver tells the value that it could not bind, which may be what a caller said."""


REMEDIES = {
    "28": "Check the user and the password in DATABASE_URL.",
    "3D": "Create the database, or correct its name in DATABASE_URL.",
    "53": "The server is out of connections or space; raise its limits.",
    "57": "The server is starting or stopping; try again in a moment.",
}


def remedy_for(error: BaseException) -> str:
    """What the operator can do about it, by class of SQLSTATE."""
    if isinstance(error, ssl.SSLError):
        return "Check sslmode and sslrootcert in DATABASE_URL against what the server offers."
    return REMEDIES.get(
        sqlstate(error)[:2], "Start Postgres or correct DATABASE_URL; leave it unset to use the embedded Postgres."
    )
