"""What runs here: the server of this data folder, as its notes there and its own door tell."""

import contextlib
import fcntl
import os
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from app.adapters import processes
from app.adapters.data_folder import Running, data_folder, read_running, read_starting
from app.adapters.own_word import PATH, HowItStands
from app.errors import SetupError
from app.settings import ROOT

ANSWER_SECONDS = 2.0
State = Literal["none", "starting", "running", "draining", "silent"]


class Found(NamedTuple):
    """`running` from when it answers, `stands` if it did just now. silent: it lives, and did not answer in time."""

    state: State
    pid: int = 0
    running: Running | None = None
    stands: HowItStands | None = None

    @property
    def calls(self) -> str:
        """How many calls there are, in words."""
        count = self.stands.live if self.stands is not None else 0
        return f"{count} call{'' if count == 1 else 's'}"


def look(folder: Path) -> Found:
    """What runs with a data folder."""
    running = read_running(folder)
    if running is None:
        starting = read_starting(folder)
        return Found("starting", starting.pid) if starting is not None else Found("none")
    stands = ask(running)
    if stands is None and not processes.same(running.pid, running.started):
        return Found("none")  # it ended just now
    state: State = "silent" if stands is None else "draining" if stands.draining else "running"
    return Found(state, running.pid, running, stands)


def ask(running: Running) -> HowItStands | None:
    """What a server says of itself, asked directly whatever proxy the environment names; None if it says nothing."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(running.url + PATH, headers={"Authorization": f"Bearer {running.key}"})  # noqa: S310
    try:
        with direct.open(asked, timeout=ANSWER_SECONDS) as answer:
            return msgspec.json.decode(answer.read(), type=HowItStands)
    except (OSError, HTTPException, ValueError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def alone(folder: Path, command: str) -> Iterator[None]:
    """One `stop` or `restart` at a time. Raises SetupError, naming the process that has its turn."""
    path = data_folder(folder) / "control.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 100, 0).decode(errors="replace").strip() or "another one"
            raise SetupError(
                f"expected to be the only one that stops or restarts this server, but {holder} is at it. "
                "Wait for it, or end it with Ctrl-C where it runs; nothing was done."
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"`./offhook {command}` (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(fd)


class Stranger(NamedTuple):
    """Who listens on a port. orphan: a server of this checkout and data folder whose parent died, and that left no note."""

    process: processes.Process | None
    orphan: bool

    @property
    def words(self) -> str:
        """Who it is, for people."""
        if self.process is None:
            return "a process of another account"
        return f"process {self.process.pid} ({self.process.command})"


PARENTS = ("systemd", "init", "launchd", "tini", "dumb-init", "docker-init")
"""Who takes over the children of the dead, besides process 1."""


def on_port(port: int, folder: Path) -> list[Stranger]:
    """Everybody who listens on a port of this machine, but for the server that `folder` has a note of."""
    noted = read_running(folder)
    found = [processes.look(pid) for pid in processes.listeners(port)]
    strangers = [one for one in found if one is not None and (noted is None or one.pid != noted.pid)]
    return [Stranger(one, _ours(one, folder) and _forsaken(one)) for one in strangers]


def _ours(process: processes.Process, folder: Path) -> bool:
    """Whether it is `serve` of this checkout, with this data folder, of this account. What cannot be read is not ours."""
    words, environment = process.words, process.environment
    if process.uid != os.getuid() or process.pid == os.getpid() or environment is None:
        return False
    serves = any(words[n : n + 3] == ["-m", "app.cli", "serve"] for n in range(len(words)))
    here = Path(environment.get("PYTHONPATH", "")).absolute() == ROOT
    data = (ROOT / environment.get("OFFHOOK_DATA", "")).absolute() if environment.get("OFFHOOK_DATA") else None
    return serves and here and (data or ROOT / ".offhook") == folder


def _forsaken(process: processes.Process) -> bool:
    parent = processes.look(process.parent)
    return process.parent <= 1 or parent is None or Path(parent.words[0] if parent.words else "").name in PARENTS


def lasting(seconds: float) -> str:
    """A time in words: `2 h 5 min`."""
    if seconds < 60:
        return f"{max(0, seconds):.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def uptime(running: Running) -> float:
    """Seconds since it began to answer."""
    return max(0.0, time.time() - running.began)
