"""The data folder, for its owner alone: secrets, the embedded database, what a running server leaves for other commands."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import structlog

from app.adapters import processes
from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.synced import write
from app.errors import SetupError
from app.log import hide
from app.settings import Settings

log = structlog.get_logger()


class Running(msgspec.Struct, frozen=True):
    """What a running server leaves here for other commands."""

    pid: int
    url: str
    public_url: str
    database_url: str
    model: str
    """URL of the built-in model stand-in; empty if a real model answers."""
    started: str = ""
    """When the process began, in the system's words: with `pid` it is this process and no other."""
    began: float = 0.0
    """When it began to answer, in seconds of the epoch."""
    port: int = 0
    version: str = ""
    key: str = ""
    """What its own door wants to see: whoever may read this file may ask how it stands."""


class Starting(msgspec.Struct, frozen=True):
    """What a server leaves here until it answers."""

    pid: int
    started: str
    port: int


def running_file(folder: Path) -> Path:
    """Where `Running` is, as JSON."""
    return folder / "serve.json"


def starting_file(folder: Path) -> Path:
    """Where `Starting` is, as JSON."""
    return folder / "starting.json"


def read_running(folder: Path) -> Running | None:
    """The server that answers for this folder; None if there is none, or what is written there is of one that died."""
    return _of_the_living(running_file(folder), Running)


def read_starting(folder: Path) -> Starting | None:
    """The server that is starting with this folder; None if there is none."""
    return _of_the_living(starting_file(folder), Starting)


Left = TypeVar("Left", Running, Starting)


def _of_the_living(path: Path, kind: type[Left]) -> Left | None:
    try:
        left = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
    return left if processes.same(left.pid, left.started) else None


def note_starting(folder: Path, port: int) -> None:
    """Tell other commands that this process starts."""
    note = Starting(os.getpid(), processes.began(os.getpid()), port)
    write_private(starting_file(folder), msgspec.json.encode(note).decode())


def forget(path: Path) -> None:
    """Take away what this process left for other commands, unless another has put its own there."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if msgspec.json.decode(path.read_bytes(), type=Whose).pid == os.getpid():
            path.unlink()


class Whose(msgspec.Struct):
    """Any of the notes, as far as it says whose it is."""

    pid: int


class Database(NamedTuple):
    """An open database. `revive` starts an embedded one again that died, and does nothing where it did not."""

    url: str
    revive: Callable[[], bool]


@contextlib.contextmanager
def open_database(settings: Settings, meanwhile: Callable[[], object] = lambda: None) -> Iterator[Database]:
    """The database; an embedded one runs while this is entered if none is configured. Raises SetupError.

    To be entered on the main thread. meanwhile: done while an embedded one boots. `database.url` tells other programs, psql too.
    """
    data_folder(settings.data)
    note = settings.data / "database.url"
    postgres = None if settings.database_url else EmbeddedPostgres(settings.data)
    try:
        url = settings.database_url if postgres is None else postgres.start(meanwhile)
        write_private(note, url.replace("postgresql+asyncpg://", "postgresql://", 1) + "\n")
        yield Database(url, (lambda: False) if postgres is None else postgres.revive)
    finally:
        if postgres is not None:
            if postgres.owner:
                note.unlink(missing_ok=True)
            postgres.stop()


def data_folder(folder: Path) -> Path:
    """Make the data folder, for its owner alone. Raises SetupError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as wrong:
        raise SetupError(
            f"expected to write to the data folder {folder}, but: {wrong.strerror}. Set OFFHOOK_DATA to a folder of yours."
        ) from wrong
    return folder


def kept_secret(folder: Path, name: str) -> str:
    """A random secret that stays the same over restarts: in the data folder, for its owner alone. The first to make it wins.

    Raises SetupError: it cannot be made there, or what is there is none.
    """
    path = data_folder(folder) / name
    if not path.exists():
        try:
            fresh = _private(path, secrets.token_hex(16) + "\n")
            try:
                os.link(fresh, path)
            finally:
                fresh.unlink()
        except FileExistsError:  # another process was first
            pass
        except OSError as wrong:
            raise SetupError(
                f"expected to make {path} by a hard link, but: {wrong.strerror}. Set OFFHOOK_DATA to a folder on another disk."
            ) from wrong
        else:
            log.warning("made a secret", what=name, where=str(path))
    secret = path.read_text().strip()
    if not secret:  # anybody could sign with nothing
        raise SetupError(f"expected a secret in {path}, found it empty. Delete it: a new one is made.")
    hide(secret)
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    _private(path, text).replace(path)


def _private(path: Path, text: str) -> Path:
    """A file beside `path` that is complete, on disk, and only its owner's."""
    fresh = path.with_name(path.name + f".{secrets.token_hex(4)}")
    try:
        write(fresh, text.encode())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return fresh
