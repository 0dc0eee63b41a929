"""This machine: Python, the lock, the data folder."""

import hashlib
import importlib.metadata
import os
import re
import shutil
import stat
import sys
from pathlib import Path

from app.doctor.rows import Finding, fault, fine, skipped, warning

OLDEST, NEWEST = (3, 11), (3, 14)
"""The Pythons that the locks have wheels for."""
LITTLE_MB, TOO_LITTLE_MB = 1024, 256
"""Below the first the disk fills soon: calls' rows wait on it while Postgres is away. Below the second nothing is recorded."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def python(
    version: tuple[int, int] = sys.version_info[:2], prefix: str = sys.prefix, root: Path | None = None
) -> Finding:
    """The interpreter: new enough, and the checkout's own."""
    own = root is not None and Path(prefix).resolve() == (root / ".venv").resolve()
    found = f"Python {version[0]}.{version[1]} of {'.venv' if own else prefix}"
    if version < OLDEST:
        return fault(
            f"{found}; expected 3.11 or newer", "install a newer Python, delete .venv, and run ./offhook again"
        )
    if root is not None and not own:
        return warning(f"{found}, which is not the checkout's own", "start it as ./offhook, which uses .venv")
    if version > NEWEST:
        return warning(f"{found}, newer than what is tried", "if anything is odd: Python 3.14")
    return fine(found)


def lock(root: Path) -> Finding:
    """What is installed, against requirements.lock; and the stamp that ./offhook leaves."""
    path = root / "requirements.lock"
    try:
        text = path.read_bytes()
    except OSError as wrong:
        return fault(f"{path.name} cannot be read: {wrong.strerror}", "git checkout -- requirements.lock")
    other = _otherwise_installed(text.decode())
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return fault(
            f"installed otherwise than locked: {'; '.join(other[:3])}{more}", "delete .venv, and run ./offhook again"
        )
    try:
        had, home = (root / ".venv/.stamp").read_text().splitlines()[:2]
    except (OSError, ValueError):
        return fine("every package is as requirements.lock has it (no stamp of ./offhook: installed by other means)")
    if home != str(root):
        return warning(f".venv was set up in {home}", "run ./offhook again: it sets itself up anew")
    if _SHA256.fullmatch(had) and had != hashlib.sha256(text).hexdigest():
        return warning(
            "requirements.lock has changed since .venv was set up", "run ./offhook again: it sets itself up anew"
        )
    return fine("every package is as requirements.lock has it")


def _otherwise_installed(lock: str) -> list[str]:
    """What of the lock is there in a version that is not in it. What is not there at all is for other platforms.

    A package may be locked in several versions, each for some Pythons.
    """
    wanted: dict[str, list[str]] = {}
    for name, version in _PIN.findall(lock):
        wanted.setdefault(name, []).append(version)
    found = []
    for name, versions in wanted.items():
        try:
            has = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if has not in versions:
            found.append(f"{name} {has} instead of {' or '.join(versions)}")
    return found


def data_in(folder: Path) -> Finding:
    """The data folder: there, ours alone, writable, with room."""
    if not folder.exists():
        above = next(parent for parent in folder.parents if parent.exists())
        if not os.access(above, os.W_OK):
            return fault(
                f"{folder} is not there, and {above} cannot be written to", "set OFFHOOK_DATA to a folder of yours"
            )
        return skipped(f"{folder} is not there yet; the server makes it when it first starts")
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
        free_mb = shutil.disk_usage(folder).free >> 20
    except OSError as wrong:
        return fault(f"{folder} cannot be looked at: {wrong.strerror}", "set OFFHOOK_DATA to a folder of yours")
    if not folder.is_dir() or not mode & stat.S_IWUSR or not os.access(folder, os.W_OK | os.X_OK):
        return fault(
            f"{folder} cannot be written to (mode {mode:04o})",
            f"chown it to yourself and chmod 0700 {folder}, or set OFFHOOK_DATA",
        )
    if mode & 0o077:
        return warning(f"{folder} is open to others (mode {mode:04o}), and holds secrets", f"chmod 0700 {folder}")
    room = f"{folder}, mode {mode:04o}, {free_mb:,} MB free"
    if free_mb < TOO_LITTLE_MB:
        return fault(f"{room}: rows of calls may find no room, and no call is recorded", "make room on that disk")
    if free_mb < LITTLE_MB:
        return warning(room, "make room on that disk: below 256 MB no call is recorded")
    return fine(room)
