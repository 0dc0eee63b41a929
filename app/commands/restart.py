"""`./offhook restart`: has the server drain and start anew in its own place; never a second listener.

The server starts itself: once it has drained and closed everything it becomes the new one, by `exec`. So it keeps its process
number, its terminal or log, its environment and its options, and whoever supervises it (a shell, systemd, a container) sees no end.
"""

import contextlib
import os
import signal
import sys
import time

from app import registry
from app import settings as all_settings
from app.adapters import processes
from app.commands.running import alone, look, on_port
from app.commands.serving import START_SECONDS, Asked, detach
from app.commands.stop import LOOK_SECONDS, clear, deadline_of, what_it_takes
from app.errors import SetupError
from app.settings import Settings


def restart(*, timeout: float | None, now: bool, yes: bool) -> int:
    """Have the server drain and start anew in its own place; start one detached if none runs. Raises SetupError."""
    settings = all_settings.load()
    registry.find(settings)  # a server that could not start again is not stopped
    with alone(settings.data, "restart"):
        found = look(settings.data)
        match found.state:
            case "starting":
                raise SetupError(f"the server is just starting (process {found.pid}); nothing was done")
            case "draining":
                raise SetupError(
                    f"the server (process {found.pid}) is draining already, {found.calls} left. "
                    "`./offhook stop` waits for its end, then start it with `./offhook serve`"
                )
            case "silent":
                raise SetupError(f"the server (process {found.pid}) does not answer; {what_it_takes(found)}")
            case "none":
                if code := clear(settings, timeout, now=now, yes=yes):
                    return code
                _refuse_taken_port(settings)
                running = detach(Asked(), settings)
                print(f"none ran; started one detached (process {running.pid}), it answers on {running.url}")
                return 0
        assert found.running is not None
        before = found.running
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGUSR2)
        print(f"process {found.pid} drains, and then starts again in its own place", file=sys.stderr)
        deadline = deadline_of(found, timeout, settings) + (0.0 if timeout is not None else START_SECONDS)
        told = hurried = False
        while time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            if not processes.same(before.pid, before.started):
                raise SetupError(
                    "the server ended and did not start again: somebody asked for its end meanwhile, or it could not; "
                    "what it says stands where it ran"
                )
            found = look(settings.data)
            if now and found.state == "draining" and not hurried:
                os.kill(before.pid, signal.SIGUSR2)  # SIGINT would be the end of it
                hurried = True
            if found.state == "draining" and not told:
                print(f"draining, {found.calls} left", file=sys.stderr)
                told = True
            if found.state == "running" and found.running is not None and found.running.began != before.began:
                print(f"restarted (process {found.pid}), it answers on {found.running.url}")
                return 0
        print(f"offhook restart: not done yet; {what_it_takes(found)}", file=sys.stderr)
        return 1


def _refuse_taken_port(settings: Settings) -> None:
    """Raises SetupError if somebody else has the port."""
    for stranger in on_port(settings.port, settings.data):
        raise SetupError(
            f"expected port {settings.port} to be free, but {stranger.words} listens there. "
            "End it where it runs, or take another port with PORT; it was not touched"
        )
