"""How a server was asked to serve, and how it is started so again: detached from its terminal, or in its own place."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from app.adapters.data_folder import Running, data_folder, read_running
from app.errors import SetupError
from app.settings import ROOT, Settings

START_SECONDS = 90.0
"""A first start makes a database; one after a crash recovers it."""
LOOK_SECONDS = 0.1
TAIL_LINES = 15


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `serve`."""

    port: int | None = None
    reload: bool = False
    tunnel: str = ""
    """Name of a tunnel client; `auto`: whichever is installed."""
    yes: bool = False

    def words(self) -> list[str]:
        """The same as a command line has them."""
        words = [] if self.port is None else ["--port", str(self.port)]
        words += ["--reload"] if self.reload else []
        words += ["--tunnel", self.tunnel] if self.tunnel else []
        return words + (["--yes"] if self.yes else [])


def command(asked: Asked) -> list[str]:
    """The program of a server, as `./offhook` starts it."""
    return [sys.executable, "-P", "-m", "app.cli", "serve", *asked.words()]


def start_again(asked: Asked) -> None:
    """Become a new server: the same process, terminal and environment, and the code that is there now. Does not come back."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command(asked), _environment())  # noqa: S606


def log_of(folder: Path) -> Path:
    """What a detached server says."""
    return folder / "serve.log"


def detach(asked: Asked, settings: Settings) -> Running:
    """Start a server that outlives its terminal; waits until it answers. Raises SetupError with what it said instead."""
    path = log_of(data_folder(settings.data))
    if path.exists():
        path.replace(path.with_name("serve.log.old"))
    path.touch(mode=0o600)
    with path.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command(asked),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(),
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        running = read_running(settings.data)
        if running is not None and running.pid == process.pid:
            return running
        time.sleep(LOOK_SECONDS)
    if process.poll() is None:
        raise SetupError(
            f"the server (process {process.pid}) did not answer within {START_SECONDS:.0f} s, and goes on trying. "
            f"What it says: {path}; `./offhook stop` ends it"
        )
    said = path.read_text(errors="replace").strip().splitlines()[-TAIL_LINES:]
    raise SetupError(f"the server ended with {process.returncode} before it answered. It said:\n" + "\n".join(said))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
