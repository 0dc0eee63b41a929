"""The bench's surroundings in one run: folders, cores, a load, Postgres, TLS; everything that was started ends here."""

import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from app.adapters.data_folder import data_folder
from app.adapters.embedded_pg import EmbeddedPostgres
from app.adapters.pg_postmaster import read_postmaster
from app.errors import SetupError
from bench.building import build
from bench.children import Child
from bench.load import Load
from bench.machine import ROOT, Cores, choose_cores, pin, stand_back
from bench.usage import Usage, tree, usage

PYTHON = (sys.executable, "-P", "-m")


class Site:
    """Where one bench takes place. Use by `site()`."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, cores: Cores) -> None:
        self.folder = folder
        self.cores = cores
        self.skipped: dict[str, str] = {}
        """What cannot be built or installed here, by name, with its reason."""
        self.helpers: list[Child] = []
        """What works for the load on its core, besides it."""
        self._stack = stack
        self._load: Load | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._database_url = ""
        self.load_kind = ""

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: dict[str, str] | None = None,
        cores: frozenset[int] = frozenset(),
        stack: contextlib.ExitStack | None = None,
        how: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """A program of ours; ended with `stack`, or with the bench. how: the signal that it ends by."""
        log = self.folder / f"{name}.log"
        child = Child(
            name,
            command,
            log=log,
            environment=(os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})),
            cores=cores,
        )
        (stack or self._stack).callback(child.end, how)
        return child

    def load(self, command: Sequence[str] = ()) -> Load:
        """The load; started at first use. command: another that speaks its language, for tests."""
        if self._load is None:
            chosen = list(command) or self._native_load() or [*PYTHON, "bench.python_load"]
            self.load_kind = "given" if command else "native" if "bench.python_load" not in chosen else "Python"
            self._load = Load(self.start("load", [*chosen, "--model-port", "0"], cores=self.cores.load))
        return self._load

    def _native_load(self) -> list[str]:
        try:
            return [str(build("load"))]
        except SetupError as wrong:
            self.skipped["native load"] = f"{wrong}; a plain Python load takes its place, for fewer calls"
            return []

    @property
    def model_url(self) -> str:
        """Where subjects find the model."""
        return f"ws://127.0.0.1:{self.load().model_port}/v1/realtime"

    def database_url(self) -> str:
        """An empty Postgres on the load's core, which the bench itself is pinned to; started at first use. Raises SetupError."""
        if self._postgres is None:
            self._postgres = EmbeddedPostgres(data_folder(self.folder / "pg"))
            self._stack.callback(self._postgres.stop)
            self._database_url = self._postgres.start()
            for pid in self._postgres_tree():
                stand_back(pid)
        return self._database_url

    def postgres_usage(self) -> Usage:
        """What Postgres has used; nothing where none was needed."""
        found = self._postgres_tree()
        return usage(found[0]) if found else Usage(0, 0, 0, 0, 0)

    def _postgres_tree(self) -> list[int]:
        for database in (self.folder / "pg").glob("pg[0-9]*/"):
            if running := read_postmaster(database):
                return tree(running.pid)
        return []

    def helpers_usage(self) -> Usage:
        """What helps the load has used."""
        used = [child.usage() for child in self.helpers]
        return Usage(sum(one.cpu_s for one in used), sum(one.rss_kb for one in used), 0, 0, len(used))


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Surroundings that are gone afterwards, also on Ctrl-C, SIGTERM and failures."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(_interrupted_by_sigterm())
        stack.enter_context(_many_files())
        stack.enter_context(_kept_cores())
        folder = Path(tempfile.mkdtemp(prefix="offhook-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cores = choose_cores()
        pin(cores.load)
        yield Site(folder, stack, cores)


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM as Ctrl-C: what was started is ended on the way out."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _many_files() -> Iterator[None]:
    """A call takes two sockets at either side; the usual 1,024 descriptors end at 250 calls."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def _kept_cores() -> Iterator[None]:
    """The bench pins itself; whoever called it gets its cores back."""
    before = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
    try:
        yield
    finally:
        pin(before)
