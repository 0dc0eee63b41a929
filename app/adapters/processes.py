"""What the system tells of processes: when one began, how it was started and by whom, and who listens on a port.

Linux tells all of it in /proc; elsewhere `ps` and `lsof` are asked, and nobody's environment can be read.
"""

import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
MOST_CHARACTERS = 120
LISTENING = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


class Process(NamedTuple):
    """One that lives. `environment` is None where it cannot be read."""

    pid: int
    parent: int
    uid: int
    began: str
    words: list[str]
    environment: dict[str, str] | None

    @property
    def command(self) -> str:
        """How it was started, as far as no secret can stand in it: up to the first long option, assignment or URL."""
        plain = itertools.takewhile(
            lambda word: not (word.startswith("--") or "=" in word or "://" in word), self.words
        )
        return " ".join(plain)[:MOST_CHARACTERS] or "its command is not known"


def began(pid: int) -> str:
    """When a process began, in the system's words; empty: there is none, or it is dead and nobody has asked how it ended."""
    found = _stat(pid) if _has_proc() else _ps(pid, "stat=,lstart=")
    if found is None:
        return ""
    if isinstance(found, str):
        state, _, moment = found.partition(" ")
        return "" if state.startswith("Z") else moment.strip()
    # With more threads than one, its first may be gone, and another still hold port and files.
    dead = found[0] in "ZX" and int(found[17]) <= 1
    return "" if dead else f"{_boot()}-{found[19]}"


def same(pid: int, moment: str) -> bool:
    """Whether a process lives that has this number and began at this moment: numbers are used again."""
    return moment != "" and began(pid) == moment


def look(pid: int) -> Process | None:
    """A process; None if there is none any more."""
    moment = began(pid)
    if not moment:
        return None
    if not _has_proc():
        told = _ps(pid, "ppid=,uid=,command=")
        if told is None:
            return None
        first, second, *rest = told.split()
        return Process(pid, int(first), int(second), moment, rest, None)
    try:
        stat = _stat(pid)
        words = _texts(PROC / str(pid) / "cmdline")
        uid = (PROC / str(pid)).stat().st_uid
    except OSError:
        return None
    environment: dict[str, str] | None = None
    with contextlib.suppress(OSError):
        environment = dict(word.partition("=")[::2] for word in _texts(PROC / str(pid) / "environ"))
    return Process(pid, int(stat[1]) if stat else 0, uid, moment, words, environment)


def listeners(port: int) -> list[int]:
    """Who listens on a TCP port of this machine, by their numbers; those of other accounts are not told to all."""
    if not _has_proc():
        told = _asked(["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"])
        return sorted({int(word) for word in told.split() if word.isdigit()})
    wanted = {f"socket:[{inode}]" for inode in _listening(port)}
    found = []
    for folder in PROC.glob("[0-9]*/fd") if wanted else ():
        with contextlib.suppress(OSError):
            if any(_link(entry) in wanted for entry in folder.iterdir()):
                found.append(int(folder.parent.name))
    return sorted(found)


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port. Source: proc_net_tcp in the kernel's documentation."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def _has_proc() -> bool:
    return (PROC / "self" / "stat").exists()


def _stat(pid: int) -> list[str] | None:
    """From the third field on: state, parent, ...; the 20th is its threads, the 22nd when it began, in ticks. Source: proc(5)."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _boot() -> str:
    """Which start of the machine this is."""
    try:
        return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text()[:8]
    except OSError:
        return "boot"


def _texts(path: Path) -> list[str]:
    return [part.decode(errors="replace") for part in path.read_bytes().split(b"\0") if part]


def _ps(pid: int, fields: str) -> str | None:
    wanted = [word for field in fields.split(",") for word in ("-o", field)]
    return _asked(["ps", "-ww", "-p", str(pid), *wanted]).strip() or None


def _asked(command: list[str]) -> str:
    """What a program of the system's says; nothing where there is no such program."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    except OSError:
        return ""
