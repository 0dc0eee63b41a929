"""A server of ours as a process that can be frozen, killed and filled up: `serve` with a business and a clock of its own."""

import asyncio
import contextlib
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from app.adapters.data_folder import Running
from app.adapters.pg_account import die_with
from app.commands.own_server import find_running
from app.errors import SetupError
from app.settings import ROOT

START_SECONDS = 45.0
END_SECONDS = 15.0
METRICS_TOKEN = "chaos"  # noqa: S105  of a server that lives for a minute, on loopback
BUSINESS = "OFFHOOK_CHAOS_BUSINESS"
"""The variable that tells app.chaos.served where the business is."""


def quiet_port() -> int:
    """A free port that no client is given by the system in the meantime, as it may be one of those above 32768."""
    while True:
        port = secrets.choice(range(15_000, 32_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """One process. `data` is its folder, which is gone after `close`; `port` stays the same over restarts."""

    def __init__(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="offhook-chaos-"))
        self.port = quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.running: Running | None = None
        self.environment: Mapping[str, str] = {}
        """What it is set by, beside where it is."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> Running:
        """Start it and wait until it answers; after a death, in the same folder and on the same port. Raises SetupError."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
        variables = {
            **plain,
            "PYTHONPATH": str(ROOT),
            "OFFHOOK_DATA": str(self.data),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "METRICS_TOKEN": METRICS_TOKEN,
            **self.environment,
        }
        parent = os.getpid()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  our own interpreter and module
                [sys.executable, "-m", "app.chaos.served"],
                env=variables,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  system calls only
            )
        deadline = time.monotonic() + START_SECONDS
        while (running := await asyncio.to_thread(find_running, self.data)) is None or running.pid != self.pid:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"expected a server to call, but it did not start:\n{self.log()[-2000:]}")
            await asyncio.sleep(0.05)
        self.running = running
        return running

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def full_disk(self, full: bool) -> None:
        """From now on its disk takes no byte more, or takes them again.

        By the limit on the size of files, which every user may set for processes of their own. Raises SetupError where there is
        no such call (macOS).
        """
        if not hasattr(resource, "prlimit"):
            raise SetupError("expected a system that can limit a running process (Linux)")
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))

    async def ended(self) -> None:
        """Wait until the process is gone."""
        assert self._process is not None
        await asyncio.to_thread(self._process.wait, 60)

    def log(self) -> str:
        """What it has logged so far, in all of its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def figures(self) -> dict[str, float]:
        """Its metrics by name and labels."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def close(self) -> None:
        """End it, and take its folder away."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)  # at once: SIGTERM would wait for calls
            try:
                await asyncio.to_thread(process.wait, END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.data, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.data / "serve.log"
