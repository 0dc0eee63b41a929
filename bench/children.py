"""Programs that the bench starts: each in a group of its own, on its core, with a log, and ended whatever happens."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from app.adapters.pg_account import die_with
from app.errors import SetupError
from bench.usage import Usage, usage

END_SECONDS = 10.0


class Child:
    """One program and all that it starts. Its stdout is read as lines of JSON; its stderr goes to a log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cores: frozenset[int] = frozenset(),
        cwd: Path | None = None,
    ) -> None:
        """cores: empty for those of the bench itself. Raises SetupError if there is no such program."""
        self.name = name
        self.log = log
        parent = os.getpid()

        def prepare() -> None:  # between fork and exec: system calls only
            if cores:
                os.sched_setaffinity(0, cores)
            die_with(parent)

        with log.open("ab") as output:
            try:
                self.process = subprocess.Popen(  # noqa: S603 - programs of ours
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                    preexec_fn=prepare,  # noqa: PLW1509
                )
            except OSError as wrong:
                raise SetupError(f"expected to start {name} by {command[0]}, but: {wrong.strerror}") from wrong
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe(self.process.stdout), selectors.EVENT_READ)

    def tell(self, line: str) -> None:
        """Write one line to it. Raises SetupError if it is gone."""
        try:
            pipe = self._pipe(self.process.stdin)
            pipe.write(line.encode() + b"\n")
            pipe.flush()
        except OSError as wrong:
            raise SetupError(self.gone(f"expected {self.name} to take {line.split()[0]!r}")) from wrong

    def event(self, seconds: float) -> dict[str, object] | None:
        """The next line that it prints, as JSON; None if none comes in time. Raises SetupError if it is gone or says no JSON."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                return None
            data = os.read(self._pipe(self.process.stdout).fileno(), 1 << 16)
            if not data:
                raise SetupError(self.gone(f"expected {self.name} to go on"))
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.MsgspecError, UnicodeError) as wrong:
            raise SetupError(f"expected a line of JSON from {self.name}, got {line[:200]!r}") from wrong

    def wait_for(self, event: str, seconds: float) -> dict[str, object]:
        """The line of one event. Raises SetupError if it does not come."""
        deadline = time.monotonic() + seconds
        while (said := self.event(max(0.0, deadline - time.monotonic()))) is not None:
            if said.get("event") == event:
                return said
        raise SetupError(self.gone(f"expected {self.name} to say {event!r} within {seconds:g} s"))

    def usage(self) -> Usage:
        """What it and its descendants used so far."""
        return usage(self.process.pid)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def gone(self, expected: str) -> str:
        """A message: what was expected, what became of it, its last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)  # a pipe closes a moment before its process is gone
        code = self.process.poll()
        how = "it runs on" if code is None else f"it ended with {code}"
        words = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{expected}, but {how}; its last words: {' | '.join(words[-3:]) or 'none'}"

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and everything of its group; returns when it is gone. Fine if it is gone already."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # by force, below
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._selector.close()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    self._pipe(pipe).close()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe
