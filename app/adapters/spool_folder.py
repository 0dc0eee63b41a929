"""The journal's folder: a sub-folder for each life of a process, held by a lock, and the rows that Postgres refused.

    spool/4711-9f3c.../          one life; its process number is only for people
        lock                     held by flock for as long as the process lives: whoever gets it later adopts the rest
        books.00000001, ...      rows of the books (app/adapters/spool.py)
        debug.00000001, ...      debug events, only while Postgres is away; the first to go when the room is used up
    spool/refused                rows that Postgres refused for what is in them: ./offhook refused

The kernel lets go of a lock at any kind of death, so that it can never be stale. What is adopted is read before anything of our
own. Everything here blocks, and is for one thread, which is not the loop's.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from app.adapters.spool import Read, Spool, line_of, rows_in

log = structlog.get_logger()

BOOKS, DEBUG = "books", "debug"
REFUSED_BYTES = 64 << 20
"""Past this no more refused rows are kept; something is wrong that a longer file would not mend."""


class Taken(NamedTuple):
    """Rows out of one spool, to be given back to `advance`."""

    spool: Spool
    read: Read
    kind: str


class Life(NamedTuple):
    """The files of one process's life, and our hold on them."""

    folder: Path
    lock: int
    spools: dict[str, Spool]

    @property
    def lines(self) -> int:
        """How many rows wait here."""
        return sum(spool.lines for spool in self.spools.values())

    def end(self) -> None:
        """Let go; with nothing in it, it is deleted."""
        for spool in self.spools.values():
            spool.close()
        if not self.lines:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self.lock)


class SpoolFolder:
    """All that the journal has on disk. `most_bytes`: what the rows of our own life may take there."""

    def __init__(self, root: Path, most_bytes: int = 512 << 20) -> None:
        self.root = root
        self.most_bytes = most_bytes
        self.refused = Refused(root / "refused")
        self._own: Life | None = None
        self._adopted: list[Life] = []

    @property
    def lines(self) -> int:
        """How many rows wait on disk, torn ones included."""
        return sum(life.lines for life in self._lives())

    def adopt(self) -> dict[str, int]:
        """Take over what dead processes left; how many rows of which kind. Raises OSError."""
        found = {BOOKS: 0, DEBUG: 0}
        held = {life.folder for life in self._lives()}
        for folder in sorted(self._folders(), key=_age):
            if folder in held or (lock := _lock(folder, os.O_RDWR)) is None:
                continue
            life = Life(folder, lock, {kind: Spool(folder, kind) for kind in (BOOKS, DEBUG)})
            if not life.lines:
                life.end()
                continue
            self._adopted.append(life)
            for kind, spool in life.spools.items():
                found[kind] += spool.lines
        return found

    def others_alive(self) -> bool:
        """Whether another process has rows here that Postgres may not have yet."""
        held = {life.folder for life in self._lives()}
        return any(
            file.stat().st_size
            for folder in self._folders()
            if folder not in held
            for file in folder.glob("[bd]*.[0-9]*")
        )

    def append(self, kind: str, rows: Sequence[bytes]) -> dict[str, int]:
        """Keep rows; how many older ones had to go for them, by kind. Raises OSError: none was kept."""
        lines = [line_of(row) for row in rows]
        if self._own is None:
            self._own = _begin(self.root)
        lost = {BOOKS: 0, DEBUG: 0}
        more = sum(map(len, lines))
        while self._size() + more > self.most_bytes and self._drop(lost, DEBUG, BOOKS):
            pass
        while True:
            try:
                self._own.spools[kind].append(lines)
            except OSError:  # the disk is full: debug events make room, but for nothing of their own kind
                if kind == DEBUG or not self._drop(lost, DEBUG):
                    raise
            else:
                return lost

    def read(self, kind: str, most: int) -> Taken | None:
        """The next rows of a kind, those of the dead first. Raises OSError."""
        for life in self._lives():
            spool = life.spools[kind]
            try:
                read = spool.read(most)
            except FileNotFoundError:
                log.error("journal.spool_is_gone", folder=str(life.folder), rows=spool.drop())
                continue
            if read is not None:
                return Taken(spool, read, kind)
        return None

    def advance(self, taken: Taken) -> None:
        """Postgres has these."""
        taken.spool.advance(taken.read)
        for life in [life for life in self._adopted if not life.lines]:
            self._adopted.remove(life)
            life.end()

    def close(self) -> None:
        """Let go of everything; what waits stays for the next life."""
        for life in self._lives():
            life.end()
        self._adopted.clear()
        self._own = None

    def _lives(self) -> list[Life]:
        return self._adopted + ([self._own] if self._own is not None else [])

    def _folders(self) -> Iterator[Path]:
        return (path.parent for path in self.root.glob("*/lock"))

    def _size(self) -> int:
        return sum(spool.size for life in self._lives() for spool in life.spools.values())

    def _drop(self, lost: dict[str, int], *kinds: str) -> bool:
        """Give up the oldest segment of the first kind that has one; False: there is none."""
        for kind in kinds:
            for life in self._lives():
                if life.spools[kind].lines:
                    lost[kind] += life.spools[kind].drop()
                    return True
        return False


class Refused:
    """Rows that Postgres refused for what is in them. One file for all processes: it is locked for each use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, row: bytes) -> bool:
        """Keep one; False: there is no room left. Raises OSError."""
        with self._locked(), self.path.open("ab") as file:
            if file.tell() >= REFUSED_BYTES:
                return False
            file.write(line_of(row))
            file.flush()
            os.fsync(file.fileno())
            return True

    def rows(self) -> list[bytes]:
        """All of them, each once: one that was refused again after a crash is there twice."""
        return list(dict.fromkeys(rows_in(self.path))) if self.path.exists() else []

    def remove(self, rows: Collection[bytes]) -> None:
        """Take these out, or change nothing; what a running server has added since they were read stays. Raises OSError."""
        gone = set(rows)
        with self._locked():
            left = [row for row in self.rows() if row not in gone]
            fresh = self.path.with_name(f"{self.path.name}.new")
            with fresh.open("wb") as file:
                file.write(b"".join(map(line_of, left)))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _begin(root: Path) -> Life:
    """A life of our own. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        folder = root / f"{os.getpid()}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        lock = _lock(folder, os.O_RDWR | os.O_CREAT)
        if lock is not None:  # else somebody took it for a dead one's, before it was locked
            return Life(folder, lock, {kind: Spool(folder, kind) for kind in (BOOKS, DEBUG)})


def _lock(folder: Path, flags: int) -> int | None:
    """Our hold on a life; None: another process has it, or it is gone."""
    path = folder / "lock"
    try:
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), path.stat()):
            return file
    os.close(file)
    return None


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0
