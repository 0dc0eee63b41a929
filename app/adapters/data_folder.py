"""The data folder, for its owner alone: secrets, the embedded database, what a running server leaves for other commands."""

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from app.adapters.embedded_pg import EmbeddedPostgres
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


def running_file(folder: Path) -> Path:
    """Where `Running` is, as JSON."""
    return folder / "serve.json"


def open_database(
    settings: Settings, meanwhile: Callable[[], object] = lambda: None
) -> tuple[str, EmbeddedPostgres | None]:
    """The database's URL, an embedded one started if none is configured. Call from the main thread. Raises SetupError.

    meanwhile: done while an embedded one boots.
    """
    data_folder(settings.data)
    if settings.database_url:
        return settings.database_url, None
    postgres = EmbeddedPostgres(settings.data)
    url = postgres.start(meanwhile)
    write_private(settings.data / "database.url", url + "\n")
    return url, postgres


def data_folder(folder: Path) -> Path:
    """Make the data folder, for its owner alone."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def kept_secret(folder: Path, name: str) -> str:
    """A random secret that stays the same over restarts: in the data folder, for its owner alone."""
    path = data_folder(folder) / name
    if not path.exists():
        write_private(path, secrets.token_hex(16) + "\n")
        log.warning("made a secret", what=name, where=str(path))
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    fresh = path.with_name(path.name + f".{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
