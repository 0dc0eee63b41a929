"""Builds the native programs on demand with the system's compiler, into a cache folder that is keyed by their sources."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from app.errors import SetupError

NATIVE = Path(__file__).parent / "native"
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O2", "-DNDEBUG", "-pthread")
BUILD_SECONDS = 300.0
KEPT = 4
"""Builds that stay in the cache: a branch or two to go back to."""


def cache_folder() -> Path:
    """Where builds and environments of the bench stay: XDG_CACHE_HOME, else ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "offhook" / "bench"


def compiler() -> str:
    """The system's C++ compiler: CXX, else what is on PATH. Raises SetupError."""
    wanted = os.environ.get("CXX", "")
    for name in (wanted,) if wanted else COMPILERS:
        if found := shutil.which(name):
            return found
    if wanted:
        raise SetupError(f"expected a compiler in CXX, got {wanted!r}, which is not on PATH")
    raise SetupError("there is no C++ compiler (apt install g++, or xcode-select --install on macOS)")


def build(name: str, *, cache: Path | None = None, sources: Path = NATIVE) -> Path:
    """The program `name` from `name.cpp` and what the folder has beside it; built once per source, compiler and flags.

    Raises SetupError: no sources, no compiler, or it says no.
    """
    main = sources / f"{name}.cpp"
    if not main.exists():
        raise SetupError(f"its source {main.name} is not there")
    cxx = compiler()
    folder = (cache or cache_folder()) / f"native-{_digest(sources, cxx)}"
    program = folder / name
    if program.exists():
        os.utime(folder)
        return program
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:  # whole or not at all: two may build at once
        fresh = Path(scratch) / name
        command = [cxx, *FLAGS, str(main), "-o", str(fresh)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as wrong:
            raise SetupError(f"{cxx} could not build {main.name}: {wrong}") from wrong
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            raise SetupError(f"{cxx} could not build {main.name}: {first}")
        fresh.replace(program)
    _forget_old(folder)
    return program


def _digest(sources: Path, cxx: str) -> str:
    digest = hashlib.sha256("\0".join((cxx, *FLAGS)).encode())
    for path in sorted([*sources.glob("*.cpp"), *sources.glob("*.h"), *sources.glob("*.hpp")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _forget_old(fresh: Path) -> None:
    builds = sorted(fresh.parent.glob("native-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in builds[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
