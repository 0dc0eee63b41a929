"""The server that a command talks to: the running one of a data folder, or one of its own on a free port."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from http.client import HTTPException
from pathlib import Path

from app.adapters.data_folder import Running, read_running
from app.errors import SetupError
from app.settings import ROOT

START_SECONDS = 30.0


def find_running(data: Path) -> Running | None:
    """What a live server of this data folder left there; None if there is none."""
    running = read_running(data)
    return running if running is not None and answers(running.url) else None


def answers(url: str) -> bool:
    """Whether a server of ours is there; asked directly, whatever proxy the environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url + "/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException, ValueError):
        return False


@contextlib.asynccontextmanager
async def started_server(
    *, quiet: bool = False, folder: Path | None = None, **environment: str
) -> AsyncIterator[tuple[Running, Path]]:
    """A server of our own on a free port, with a data folder of its own; both are gone afterwards. folder: one that stays."""
    data = folder or Path(tempfile.mkdtemp(prefix="offhook-call-"))
    log_path = data / "serve.log"
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OFFHOOK_DATA": str(data),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "PUBLIC_URL": "",
        "DATABASE_URL": "",
        **environment,
    }
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  our own interpreter and module
            [sys.executable, "-m", "app.cli", "serve"],
            env=variables,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while (running := await asyncio.to_thread(find_running, data)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-5:])
                raise SetupError(f"expected a server to call, but it did not start:\n{tail}")
            await asyncio.sleep(0.05)
        if not quiet:
            print(f"started a server for this on {running.url}", file=sys.stderr)
        yield running, data
    finally:
        process.send_signal(signal.SIGINT)  # at once: SIGTERM would wait for calls
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if folder is None:
            shutil.rmtree(data, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
