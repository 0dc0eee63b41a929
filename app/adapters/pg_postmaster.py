"""What a Postgres server tells about itself in its database folder, and whether it is alive."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import structlog

from app.errors import SetupError

log = structlog.get_logger()

POLL_SECONDS = 0.01
PORT = 5432  # only part of the socket's name; nothing listens on TCP
SOCKET = f".s.PGSQL.{PORT}"


class Postmaster(NamedTuple):
    """postmaster.pid. Source: Postgres, src/include/utils/pidfile.h."""

    pid: int
    folder: str
    sockets: str
    status: str  # starting, standby, ready, stopping

    @property
    def answers(self) -> bool:
        """Whether it accepts connections right now; the file alone survives a server that was killed."""
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(f"{self.sockets}/{SOCKET}")
            except OSError:
                return False
        return self.status == "ready"

    @property
    def alive(self) -> bool:
        """Whether this process number is still this server: numbers are used again, and a zombie keeps its own."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            words = Path(f"/proc/{self.pid}/cmdline").read_bytes().decode(errors="surrogateescape")
        except (FileNotFoundError, ProcessLookupError):
            if Path("/proc/self/stat").exists():
                return False
            listed = subprocess.run(  # noqa: S603
                ["ps", "-ww", "-p", str(self.pid), "-o", "stat=,command="],  # noqa: S607 - part of every Unix
                capture_output=True,
                text=True,
                check=False,
            ).stdout.strip()
            state, _, words = listed.partition(" ")
        return not state.startswith("Z") and "postgres" in words and self.folder in words


def read_postmaster(database: Path) -> Postmaster | None:
    """None: no server has written there. The last lines come later than the first; until then it is starting."""
    try:
        lines = (database / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 2 or not lines[0].isdigit():
        return None
    lines += [""] * (8 - len(lines))
    return Postmaster(pid=int(lines[0]), folder=lines[1], sockets=lines[4], status=lines[7].strip() or "starting")


def end_orphan(database: Path, deadline: float) -> None:
    """Leave no server behind that nobody owns. Call only as owner of the folder's lock.

    deadline: `time.monotonic()`. Raises SetupError if it has not gone by then.
    """
    running = read_postmaster(database)
    if running is None:
        return
    if not running.alive:
        if _exists(running.pid):
            # Postgres takes any process with that number for a live server: another program after a reboot, or its own
            # zombie in a container whose first process reaps none. (Children of the dead one it finds by shared memory.)
            (database / "postmaster.pid").unlink(missing_ok=True)
            for sockets in {database, Path(running.sockets or database)}:  # differ in a moved folder, or a long path
                (sockets / f"{SOCKET}.lock").unlink(missing_ok=True)
        return
    log.warning("embedded_postgres_orphan", pid=running.pid, why="the process that started it is gone; it is stopped")
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGINT)
    while running.alive:
        if time.monotonic() > deadline:
            raise SetupError(
                f"A Postgres that an earlier Offhook left (process {running.pid}) does not stop. End it, then start again."
            )
        time.sleep(POLL_SECONDS)


def end_left_over(folder: Path, deadline: float) -> list[int]:
    """End every server of a data folder that nobody owns: the app that held its lock is dead. Returns whom it ended.

    deadline: `time.monotonic()`. Raises SetupError if one has not gone by then.
    """
    ended = []
    for database in sorted(folder.glob("pg[0-9]*/PG_VERSION")):
        running = read_postmaster(database.parent)
        if running is None or not running.alive:
            continue
        with Path(f"{database.parent}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner lives
            end_orphan(database.parent, deadline)
            ended.append(running.pid)
    return ended


def complaints(output: Path) -> list[str]:
    """The last two complaints in a log of initdb or the server (the later is often only a summary), else its last line."""
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
    found = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error:|could not|invalid|No space", line)]
    return found[-2:] or lines[-1:] or ["it said nothing"]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
