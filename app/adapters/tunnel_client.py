"""A tunnel client of somebody else's as a child of ours: it lends this machine a public https URL for one run.

What the clients print is known from their own issue trackers: cloudflared's frame around the URL of a quick tunnel
(cloudflare/cloudflared #456 and #946), ngrok's JSON log with "started tunnel" (its options `log` and `log_format`).
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.adapters import processes
from app.adapters.data_folder import data_folder, write_private
from app.adapters.pg_account import die_with
from app.errors import SetupError

URL_SECONDS = 30.0
END_SECONDS = 5.0
LOOK_SECONDS = 0.05
FRAMED = re.compile(r"\|\s+(https://[a-z0-9-]+\.trycloudflare\.com)\s+\|")


class Client(msgspec.Struct, frozen=True):
    """A client that runs, as the data folder has it for whoever comes after a crash."""

    name: str
    pid: int
    started: str
    url: str


class Kind(NamedTuple):
    """One kind of client. `url_in`: the public URL in a line of what it prints; empty: none."""

    words: Callable[[str], list[str]]
    url_in: Callable[[str], str]
    get: str


def _framed(line: str) -> str:
    found = FRAMED.search(line)
    return found[1] if found else ""


def _logged(line: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        return ""
    url = row.get("url") if isinstance(row, dict) and row.get("msg") == "started tunnel" else ""
    return url if isinstance(url, str) and url.startswith("https://") else ""


KINDS = {
    "cloudflared": Kind(
        lambda origin: ["tunnel", "--no-autoupdate", "--url", origin],
        _framed,
        "brew install cloudflared, or a package from github.com/cloudflare/cloudflared/releases; it needs no account",
    ),
    "ngrok": Kind(
        lambda origin: ["http", origin, "--log=stdout", "--log-format=json"],
        _logged,
        "brew install ngrok, or ngrok.com/download; it needs a free account: ngrok config add-authtoken TOKEN",
    ),
}
"""By the name of the program, in the order in which they are taken."""


class TunnelClient:
    """One that this process started."""

    def __init__(self, name: str, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.name, self.url, self.process = name, url, process

    @property
    def code(self) -> int | None:
        """What it ended with; None as long as it runs."""
        return self.process.poll()


def choose(name: str) -> tuple[str, str]:
    """Name and path of a client that is installed. name: `auto`, or one of KINDS. Raises SetupError: how to get one."""
    names = list(KINDS) if name == "auto" else [name]
    for one in names:
        if path := shutil.which(one):
            return one, path
    ways = "; ".join(f"{one}: {KINDS[one].get}" for one in names)
    raise SetupError(f"expected {' or '.join(names)} on PATH, found {'none' if len(names) > 1 else 'it not'}. {ways}")


@contextlib.contextmanager
def open_client(name: str, origin: str, folder: Path) -> Iterator[TunnelClient]:
    """A client that leads to `origin`, as http://127.0.0.1:8000; it ends when this is left, and when we die (Linux).

    To be entered on the main thread. Raises SetupError: not installed, no URL in time; with what it said.
    """
    name, path = choose(name)
    end_left(folder)
    log, parent = data_folder(folder) / "tunnel.log", os.getpid()
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - found on PATH by a name of ours
            [path, *KINDS[name].words(origin)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C does not reach it: calls that end go on through it
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - it takes no lock: system calls only
        )
    try:
        client = TunnelClient(name, _url(name, process, log), process)
        note = Client(name, process.pid, processes.began(process.pid), client.url)
        write_private(client_file(folder), msgspec.json.encode(note).decode())
        yield client
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        client_file(folder).unlink(missing_ok=True)


def _url(name: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait for the line with the URL. Raises SetupError."""
    deadline = time.monotonic() + URL_SECONDS
    while True:
        ended = process.poll() is not None
        lines = log.read_text(errors="replace").splitlines()
        for line in lines:
            if url := KINDS[name].url_in(line):
                return url
        if ended or time.monotonic() > deadline:
            what = f"ended with {process.returncode}" if ended else f"gave none within {URL_SECONDS:.0f} s"
            said = " / ".join(line.strip() for line in lines[-3:]) or "nothing"
            raise SetupError(f"expected a public URL from {name}, but it {what}. It said: {said}. All of it: {log}")
        time.sleep(LOOK_SECONDS)


def client_file(folder: Path) -> Path:
    """Where `Client` is, as JSON."""
    return folder / "tunnel.json"


def read_client(folder: Path) -> Client | None:
    """The client that runs for this data folder; None: there is none."""
    try:
        client = msgspec.json.decode(client_file(folder).read_bytes(), type=Client)
    except (OSError, msgspec.MsgspecError):
        return None
    return client if processes.same(client.pid, client.started) else None


def end_left(folder: Path) -> Client | None:
    """End a client that a dead server left; which it was. Nothing else is touched: its start and its program are looked at."""
    client = read_client(folder)
    found = processes.look(client.pid) if client is not None else None
    if client is None or found is None or not any(client.name in word for word in found.words[:2]):
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(client.pid, signal.SIGTERM)
    client_file(folder).unlink(missing_ok=True)
    return client
