"""The machine: what it is, and which core the load gets and which the relay."""

import contextlib
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MINE = ("websockets", "uvloop", "hypercorn", "starlette", "msgspec", "asyncpg")
"""Packages of the product's that decide about its speed."""


class Cores(NamedTuple):
    """Who runs where; empty: wherever the system likes."""

    load: frozenset[int]
    relay: frozenset[int]
    said: str


def choose_cores() -> Cores:
    """One core for the load (and the database, and the bench), another for the relay alone, where there are two."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores(
            frozenset(), frozenset(), "nothing is pinned: this system has no call for it, so figures are noisier"
        )
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) == 1:
        return Cores(
            frozenset(),
            frozenset(),
            f"load and relay share the only core, {mine[0]}: CPU figures hold, latency and the ladder are the pair's",
        )
    load, relay = mine[0], mine[-1]
    said = f"load and model on core {load}, Postgres there behind them, the relay alone on core {relay}"
    return Cores(frozenset({load}), frozenset({relay}), said)


def pin(cores: frozenset[int]) -> None:
    """Keep this process, and all that it starts from now on, on these cores."""
    if cores:
        os.sched_setaffinity(0, cores)


def stand_back(pid: int) -> None:
    """Have a process, and all that it starts from now on, run only while its core has nothing else to do (Linux).

    Postgres writes in bursts of milliseconds; on the load's core they would make frames late that the relay is not to blame for.
    """
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):  # it ended, or a container forbids it: then figures are noisier
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def describe() -> dict[str, str]:
    """What somebody needs to judge a figure: processor, cores, memory, system, Python and the versions of ours."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load average": " ".join(f"{figure:.2f}" for figure in os.getloadavg()),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Offhook": _commit(),
    }
    for name in MINE:
        facts[name] = installed(name)
    return facts


def installed(package: str) -> str:
    """The version of a package in this environment."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return found[1]
    return _said(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.processor() or "unknown"


def _memory() -> str:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    return "unknown"


def _commit() -> str:
    """The commit that was measured, and whether files differ from it."""
    commit = _said(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"])
    changed = _said(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit or 'no commit'}{' with changes' if changed else ''}"


def _said(command: list[str]) -> str:
    """What a small program prints; empty if there is none of that name or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def command_line() -> str:
    """How this run was asked for, to be typed again."""
    return " ".join(["./offhook", *sys.argv[1:]])
