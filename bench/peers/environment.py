"""Environments of the peers: each a venv of its own, made on demand from its hashed lock; and what their figures mean.

A folder holds, for each name, the venv (`pipecat/`), what the installer said (`pipecat.log`) and a lock (`pipecat.lock`)
that lets two benches wait for each other.
"""

import fcntl
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from app.errors import SetupError

Which = Literal["web", "pipecat", "agents", "plots", "servers", "docs"]
Install = Callable[[Path, Path, Path], None]
"""Of a venv's python, a lock and a log to write: installs, or raises SetupError."""

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600.0
ASK_SECONDS = 30.0

ENVIRONMENTS: dict[str, Which] = {"sample": "web", "pipecat": "pipecat", "agents": "agents"}
"""What each peer runs in."""

SCRIPTS: dict[str, str] = {"sample": "sample.py", "pipecat": "pipecat_bot.py", "agents": "agents_bot.py"}
"""Each peer's script, beside this file."""

NOTES: dict[str, str] = {
    "sample": (
        "A twin, in our own words, of the common phone sample. It forwards each delta whole and at once, and greets as soon as "
        "the model's session is open, which it dials after it accepted the carrier's stream. Unlike the sample it prints "
        "nothing, and it leaves the model when the caller leaves."
    ),
    "pipecat": (
        "Decodes and resamples both ways (8 kHz mu-law <-> 24 kHz PCM, all that its realtime service speaks), so it is measured "
        "by tone bursts. Going up, its resampler hands out blocks of some 140 ms, so a burst waits 0 to 140 ms, and the model "
        "hears the caller's last word as late: a delay of its own, no error of the probe. Down it sends 40 ms of sound every "
        "20 ms: by design the end of a delta leaves late, up to half its length; compare the first audio of a reply, not the "
        "frames. No marks. Its metrics, debug log and local voice detection are off."
    ),
    "agents": (
        "As its Twilio example does, gathers 50 ms before it sends: by design a frame going up waits up to 40 ms until three go "
        "in one message, so it also writes a third of the messages that others write. A delta of 50 ms or more goes down at once. "
        "It opens the model's session before it accepts the carrier's stream. A mark per audio event. Tracing and prints are off."
    ),
}
"""Where a peer's figure means something else than ours; the bench prints it beside the figures."""


def made(folder: Path, which: Which) -> Path | None:
    """The python of an environment that is there and up to date; None if `ensure` would have to make it."""
    venv = folder.resolve() / which
    stamp, python = venv / ".stamp", venv / "bin" / "python"
    current = python.exists() and stamp.is_file() and stamp.read_text() == _digest(_lock(which), venv)
    return python if current else None


def ensure(folder: Path, which: Which, *, install: Install | None = None) -> Path:
    """The python of an environment that has what its lock says; made anew if the lock, the Python or the folder changed.

    folder: where all environments are kept. install: another installer than uv or pip.
    Raises SetupError with the reason if it cannot be made: no network, no space, no wheel for this machine.
    """
    lock = _lock(which)
    venv = folder.resolve() / which
    python, log = venv / "bin" / "python", folder.resolve() / f"{which}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{which}.lock").open("w") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)
            if made(folder, which):
                return python
            shutil.rmtree(venv, ignore_errors=True)
            log.write_text("")
            _run([sys.executable, "-m", "venv", "--without-pip", str(venv)], log)
            (install or _install)(python, lock, log)
            (venv / ".stamp").write_text(_digest(lock, venv))
    except OSError as wrong:
        raise SetupError(f"expected a folder to write in, got {folder}: {wrong.strerror}; choose another") from wrong
    return python


def versions(python: Path) -> dict[str, str]:
    """All that is installed beside a python, by lower-case name, and "python" itself. Raises SetupError."""
    ask = (
        "import importlib.metadata as m, json, platform; "
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()} | {'python': platform.python_version()}))"
    )
    try:
        # -I: neither PYTHONPATH nor the folder we stand in may add packages that are not the environment's.
        said = subprocess.run(  # noqa: S603
            [str(python), "-I", "-c", ask], capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as wrong:
        raise SetupError(f"expected {python} to list its packages, but: {wrong}") from wrong
    found: dict[str, str] = json.loads(said)
    return dict(sorted(found.items()))


def _lock(which: Which) -> Path:
    lock = ROOT / (f"requirements-bench-{which}.lock" if which != "docs" else "requirements-docs.lock")
    if not lock.is_file():
        raise SetupError(f"{lock.name} is missing; get it back with: git checkout -- {lock.name}")
    return lock


def _digest(lock: Path, venv: Path) -> str:
    """What an environment depends on; its folder too, since a venv that was moved does not run."""
    facts = [lock.read_bytes(), sys.version.encode(), str(venv).encode()]
    return hashlib.sha256(b"\0".join(facts)).hexdigest()


def _install(python: Path, lock: Path, log: Path) -> None:
    """By uv, else by pip: wheels only, by hash, and no package that the lock does not name."""
    commands = _installers(python)
    if not commands:
        raise SetupError(
            f"{lock.name} cannot be installed: there is neither uv nor pip; apt install python3-pip, or uv"
        )
    rules = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)]
    refused: SetupError | None = None
    for command in commands:
        try:
            return _run([*command, *rules], log)
        except SetupError as wrong:
            refused = wrong
    raise SetupError(f"{lock.name} could not be installed: {refused}. Check the network; the log: {log}") from refused


def _installers(python: Path) -> list[list[str]]:
    """uv first, on PATH or where ./offhook keeps it; then this Python's pip, which installs into another as well."""
    places = (shutil.which("uv"), str(Path(sys.prefix) / ".uv/bin/uv"))
    found = [
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        for uv in places
        if uv and Path(uv).exists()
    ][:1]
    if importlib.util.find_spec("pip"):
        quietly = ["--quiet", "--no-input", "--disable-pip-version-check"]
        found.append([sys.executable, "-m", "pip", "--python", str(python), "install", *quietly])
    return found


def _run(command: Sequence[str], log: Path) -> None:
    """Run one step of the making. Raises SetupError with the line of its output that says most."""
    try:
        done = subprocess.run(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as wrong:
        raise SetupError(f"{Path(command[0]).name} was not done after {INSTALL_SECONDS:g} s") from wrong
    with log.open("a") as file:
        file.write(f"$ {' '.join(command)}\n{done.stdout}\n")
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()] or ["it said nothing"]
        telling = [line for line in lines if re.search(r"error|caus", line, re.IGNORECASE)] or lines
        raise SetupError(telling[-1][:300])
