"""Postgres for a machine that has none: a child of ours in the foreground, reached by a Unix socket only.

Files in the data folder (18 is the major version of the programs, which a database folder is tied to):

    pg18/           the database; its postmaster.pid says where the socket is and whether it accepts connections
    pg18.lock       held for as long as the app lives that started the server: whoever gets it is the owner, whoever
                    does not joins. The kernel lets go of it at any kind of death, so it can never be stale
    pg18.log        what initdb and the server said; pg18.log.old from the start before
    pg18.socket     names the socket's folder where the path of pg18/ is too long for a socket

On Linux the server is told to stop when the thread that started it dies. Elsewhere it outlives a killed app; the next
start gets the lock, sees that nobody owns the server, stops it and starts its own.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import structlog

from app.adapters.pg_account import Account, choose_account
from app.adapters.pg_binaries import find_binaries, major_version
from app.adapters.pg_postmaster import POLL_SECONDS, PORT, SOCKET, complaints, end_orphan, read_postmaster
from app.errors import HouseError, SetupError

log = structlog.get_logger()

START_SECONDS = 60.0  # recovery after a crash included
STOP_SECONDS = 20.0
SOCKET_PATH_BYTES = 103  # macOS has 104 with the closing zero, Linux 108
# Postgres splits its list of socket folders at commas, SQLAlchemy its list of hosts at commas and colons.
PLAIN_PATH = re.compile(r"[\w./~+@ -]+")

FLAGS = {"listen_addresses": "", "unix_socket_permissions": "0700", "timezone": "UTC", "log_timezone": "UTC"}
FAST_FLAGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Said when the server before was killed and its last child has not noticed yet.
STILL_DYING = "pre-existing shared memory block"
RELAUNCH_SECONDS = 0.1


class EmbeddedPostgres:
    """One database server in a data folder. Use from the main thread; `stop` ends it only if this object started it."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """folder: OFFHOOK_DATA, made 0700 if missing. durable=False: for tests; a power cut may lose everything."""
        self.folder = folder.expanduser().resolve()
        self.durable = durable
        self.owner = False
        self._lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None
        self._short_sockets: tuple[Path, Path] | None = None  # the folder made for it, and the note that names it

    def start(self, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Start the server, or join the one that another process runs in this folder; blocks until it answers.

        meanwhile: called while a server that was launched is booting; for work that would have to be done next anyway.
        Returns its address, `postgresql+asyncpg://postgres@/postgres?host=/folder&port=5432`. Cold 0.5 s, warm 0.1 s.
        Raises SetupError: no Postgres on this machine, folder not ours, disk full, server refuses to start.
        """
        if threading.current_thread() is not threading.main_thread():
            # Linux sends the death signal when the *thread* that forked ends: a worker thread would stop the database.
            raise HouseError("EmbeddedPostgres.start() was called from a worker thread; call it from the main thread.")
        binaries = find_binaries()
        self._make_folder()
        database = self.folder / f"pg{major_version(binaries)}"
        deadline = time.monotonic() + START_SECONDS

        while not self._take_lock(Path(f"{database}.lock")):
            if (running := read_postmaster(database)) and running.answers:
                return _url(running.sockets)
            if time.monotonic() > deadline:
                raise SetupError(
                    f"Another process owns the database in {database}, but it did not answer for {START_SECONDS:.0f} s. "
                    f"Look at {database}.log; stop that process (a running ./offhook) and start again."
                )
            time.sleep(POLL_SECONDS)

        if self._server and self._server.poll() is None:
            return _url(str(self._sockets))
        try:
            return self._own(binaries, database, deadline, meanwhile)
        except BaseException:
            self.stop()
            raise

    def revive(self) -> bool:
        """Start a server of ours again that died; whether it had. Call from the main thread; takes 0.1 s if it had.

        Raises SetupError.
        """
        if not self.owner or self._server is None or self._server.poll() is None:
            return False
        log.error("embedded_postgres_died", code=self._server.returncode, remedy="started again")
        self.start()
        return True

    def stop(self) -> None:
        """Stop the server if this object started it: open connections are cut, everything committed is on disk."""
        if self._server:
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, by force
                self._server.send_signal(how)
                try:
                    self._server.wait(STOP_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    log.warning("embedded_postgres_slow_to_stop", pid=self._server.pid, signal=how.name)
            self._server = None
        if self._short_sockets:
            folder, note = self._short_sockets
            shutil.rmtree(folder, ignore_errors=True)
            note.unlink(missing_ok=True)
            self._short_sockets = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.owner = False

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"The data folder {self.folder} cannot be made: {error.strerror}. "
                "Set OFFHOOK_DATA to a folder that you may write to."
            ) from error
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise SetupError(
                f"The data folder {self.folder} belongs to uid {self.folder.stat().st_uid} and uid {os.geteuid()} may not "
                "write there (was Offhook started as root before?). Give it back with chown -R, or set OFFHOOK_DATA."
            )

    def _take_lock(self, path: Path) -> bool:
        if self._lock is not None:
            return True
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be opened: {error.strerror}. Check its owner, and whether the disk is full."
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._lock = fd
        return True

    def _own(self, binaries: Path, database: Path, deadline: float, meanwhile: Callable[[], object]) -> str:
        account = choose_account(binaries, self.folder, database)
        if self._server:
            self._server.wait()  # a dead child that nobody waited for still counts as alive in Postgres' own check
            self._server = None
        end_orphan(database, deadline)
        output = Path(f"{database}.log")
        if output.exists():
            output.replace(f"{output}.old")
        if not database.exists():
            self._initdb(binaries, database, account)
        account.own(database)
        self._sockets = self._socket_folder(database, account)
        self._launch(binaries, database, account)
        meanwhile()
        while not self._ready(database):
            said = complaints(output)
            code = self._server.returncode if self._server else None
            late = time.monotonic() > deadline
            if code is not None and not late and STILL_DYING in said[-1]:
                time.sleep(RELAUNCH_SECONDS)
                self._launch(binaries, database, account)
            elif code is not None or late:
                how = f"did not get ready within {START_SECONDS:.0f} s" if code is None else f"ended with {code}"
                raise SetupError(
                    f"The embedded Postgres in {database} {how}: {'; '.join(said)}. The whole story is in {output}. "
                    "Check the free space and memory, or set DATABASE_URL to a server of your own."
                )
            time.sleep(POLL_SECONDS)
        self.owner = True
        return _url(str(self._sockets))

    def _initdb(self, binaries: Path, database: Path, account: Account) -> None:
        """Make the database under another name first, so that an interrupted one is never taken for whole."""
        for other in self.folder.glob("pg[0-9]*/PG_VERSION"):
            remedy = "move its rows with that version's pg_dump, or set PG_BIN to its programs"
            log.warning("embedded_postgres_other_version", found=str(other.parent), using=str(database), remedy=remedy)
        fresh = Path(f"{database}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        account.own(fresh)
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", "postgres", "-E", "UTF8", "--no-locale"]
        # Trust, as the socket is in a folder that only its owner may enter.
        command += ["--auth-local=trust", "--auth-host=reject"]
        if not self.durable:
            command.append("--no-sync")
        process = self._child(command, database, account)
        if process.wait() != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            output = Path(f"{database}.log")
            raise SetupError(
                f"The embedded database could not be made in {database} (initdb ended with {process.returncode}): "
                f"{'; '.join(complaints(output))}. The whole story is in {output}. Check the free space and who owns {self.folder}."
            )
        fresh.rename(database)

    def _launch(self, binaries: Path, database: Path, account: Account) -> None:
        command = [str(binaries / "postgres"), "-D", str(database), "-k", str(self._sockets), "-p", str(PORT)]
        for name, value in (FLAGS if self.durable else FLAGS | FAST_FLAGS).items():
            command += ["-c", f"{name}={value}"]
        self._server = self._child(command, database, account)

    def _child(self, command: list[str], database: Path, account: Account) -> subprocess.Popen[bytes]:
        """A child that dies with us (Linux) and that Ctrl-C does not reach: the app still has rows to write."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with Path(f"{database}.log").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - the programs that find_binaries chose
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment | {"LC_ALL": "C"},  # macOS: Postgres refuses to start where no locale is set
                start_new_session=True,
                preexec_fn=account.in_child(),  # noqa: PLW1509 - it takes no lock: system calls only
            )

    def _ready(self, database: Path) -> bool:
        assert self._server
        running = read_postmaster(database)
        alive = self._server.poll() is None
        return alive and running is not None and running.pid == self._server.pid and running.status == "ready"

    def _socket_folder(self, database: Path, account: Account) -> Path:
        """The database folder itself, else a private folder with a short name, used again after a crash."""
        if _fits(database):
            return database
        note = Path(f"{database}.socket")
        if note.exists() and _private(left := Path(note.read_text()), account):
            self._short_sockets = (left, note)
            return left
        for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it 0700
            short = Path(tempfile.mkdtemp(prefix="offhook-", dir=parent))
            if _fits(short):
                account.own(short)
                note.write_text(str(short))
                self._short_sockets = (short, note)
                return short
            short.rmdir()
        raise SetupError(
            f"The path {database} is too long for a socket (over {SOCKET_PATH_BYTES - len(SOCKET) - 1} bytes), and so is "
            "the temporary folder's. Set OFFHOOK_DATA or TMPDIR to a shorter one."
        )


async def create_database(url: str, name: str, template: str | None = None) -> str:
    """Make a database on the server of `url` (a postgresql+asyncpg address); returns the new one's address.

    template: a database to copy, which nobody may be connected to meanwhile; 26 ms for an empty schema.
    """
    from sqlalchemy import make_url  # a server that starts has better to do than to load this now
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    statement = f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else "")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _url(sockets: str) -> str:
    # The port is named, or a PGPORT in somebody's environment would change the socket's name.
    return f"postgresql+asyncpg://postgres@/postgres?host={quote(sockets)}&port={PORT}"


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET)) <= SOCKET_PATH_BYTES and PLAIN_PATH.fullmatch(str(folder)) is not None


def _private(folder: Path, account: Account) -> bool:
    """Whether a folder under a temporary one is still ours alone: anybody could have put another in its place."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    found = folder.stat()
    return found.st_uid == account.uid and found.st_mode & 0o077 == 0
