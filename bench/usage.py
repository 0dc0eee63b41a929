"""What a tree of processes has used so far: CPU time, memory, descriptors. By /proc on Linux, by `ps` elsewhere."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import msgspec

PROC = Path("/proc")
KIB = 1024


class Usage(msgspec.Struct, frozen=True):
    """Sums over a tree. `pss_kb` counts a page that n processes share as 1/n; 0 where the system does not tell, as `files`."""

    cpu_s: float
    rss_kb: float
    pss_kb: float
    files: int
    processes: int


def usage(root: int) -> Usage:
    """Of a process and all that descend from it. One that is gone counts as nothing."""
    if (PROC / "self" / "stat").exists():
        found = [one for pid in tree(root) if (one := _by_proc(pid))]
    else:
        table = _by_ps()
        found = [table[pid][1] for pid in _descend(root, _parents(table)) if pid in table]
    return Usage(
        sum(one.cpu_s for one in found),
        sum(one.rss_kb for one in found),
        sum(one.pss_kb for one in found),
        sum(one.files for one in found),
        len(found),
    )


def tree(root: int) -> list[int]:
    """The root and its descendants."""
    return _descend(root, _parents_by_proc() if (PROC / "self" / "stat").exists() else _parents(_by_ps()))


def _descend(root: int, parents: dict[int, int]) -> list[int]:
    """parents: process -> its parent."""
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _parents(table: dict[int, tuple[int, Usage]]) -> dict[int, int]:
    return {pid: parent for pid, (parent, _) in table.items()}


def _parents_by_proc() -> dict[int, int]:
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything, so fields count from the last one. Source: proc(5).
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return parents


def _by_proc(pid: int) -> Usage | None:
    here = PROC / str(pid)
    try:
        fields = (here / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])  # utime, stime: fields 14 and 15 of proc(5)
        rss = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / KIB
        cpu_s = max(
            _run_time(here), ticks / os.sysconf("SC_CLK_TCK")
        )  # the second keeps what threads took that are gone
        return Usage(cpu_s, rss, _pss(here), _files(here), 1)
    except OSError:
        return None


def _run_time(here: Path) -> float:
    """Seconds by the scheduler's own count, in nanoseconds where `stat` counts hundredths; 0 if the kernel keeps none."""
    nanoseconds = 0
    for task in (here / "task").iterdir():
        with contextlib.suppress(OSError):
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def _pss(here: Path) -> float:
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", (here / "smaps_rollup").read_text(), re.MULTILINE)
        return float(found[1]) if found else 0.0
    return 0.0


def _files(here: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(1 for _ in (here / "fd").iterdir())
    return 0


def _by_ps() -> dict[int, tuple[int, Usage]]:
    """Process -> its parent and what it used."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,rss=,time="],  # noqa: S607 - part of every Unix
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {pid: (parent, one) for pid, parent, one in map(_ps_line, listed.splitlines())}


def _ps_line(line: str) -> tuple[int, int, Usage]:
    """One line of `ps`: pid, parent, memory in kB, CPU time as [[days-]hours:]minutes:seconds[.hundredths]."""
    pid, parent, rss, clock = line.split()
    days, _, rest = clock.rpartition("-")
    seconds = float(days or 0) * 86400
    for power, part in enumerate(reversed(rest.split(":"))):
        seconds += float(part) * 60**power
    return int(pid), int(parent), Usage(seconds, float(rss), 0.0, 0, 1)
