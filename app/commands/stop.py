"""`./offhook stop`: has the server drain, waits for its end, and clears away what a dead one left."""

import contextlib
import os
import signal
import sys
import time

from app import settings as all_settings
from app.adapters import processes
from app.adapters.pg_postmaster import end_left_over
from app.commands.running import Found, alone, look, on_port
from app.commands.tunnel import clear_tunnel
from app.errors import SetupError
from app.settings import Settings

LOOK_SECONDS = 0.2
MARGIN_SECONDS = 30.0
"""What ending takes besides the drain: callers are led on, rows are written, the database stops."""
ORPHAN_SECONDS = 20.0


def stop(*, timeout: float | None, now: bool, yes: bool) -> int:
    """Stop the server, and clear away what a dead one left. 1 if it has not ended in time. Raises SetupError.

    timeout: seconds; None: as long as a drain may take. now: callers are led to a person at once.
    """
    settings = all_settings.load()
    if now:  # may come while another stop waits
        return _end(settings, timeout, now=True) or clear(settings, timeout, now=True, yes=yes)
    with alone(settings.data, "stop"):
        return _end(settings, timeout, now=False) or clear(settings, timeout, now=False, yes=yes)


def _end(settings: Settings, timeout: float | None, *, now: bool) -> int:
    """Have the server end, and wait for it."""
    found = look(settings.data)
    if found.state == "none":
        print("no server runs here")
        return 0
    moment = processes.began(found.pid)
    restarts = found.stands is not None and found.stands.again
    with contextlib.suppress(ProcessLookupError):  # it ended just now
        if now:
            os.kill(found.pid, signal.SIGINT)
        elif found.state != "draining" or restarts:  # a second SIGTERM would not let calls end
            os.kill(found.pid, signal.SIGTERM)
    deadline, said, first = deadline_of(found, timeout, settings), "", found.pid
    while processes.same(first, moment):
        if found.stands is not None and found.stands.draining and found.calls != said:
            said = found.calls
            print(f"draining, {said} left", file=sys.stderr)
        if time.monotonic() > deadline:
            print(
                f"offhook stop: process {first} has not ended yet; {what_it_takes(look(settings.data))}",
                file=sys.stderr,
            )
            return 1
        time.sleep(LOOK_SECONDS)
        if processes.same(first, moment):
            found = look(settings.data)
    print(f"stopped (process {first})")
    return 0


def deadline_of(found: Found, timeout: float | None, settings: Settings) -> float:
    """Until when to wait, by `time.monotonic()`: so many seconds, or as long as a drain may take. settings: if it does not say."""
    drain = found.stands.drain_seconds if found.stands is not None else settings.drain_seconds
    return time.monotonic() + (timeout if timeout is not None else drain + MARGIN_SECONDS)


def what_it_takes(found: Found) -> str:
    """What it would take to end a server that has not, as a sentence."""
    if found.stands is not None and found.stands.live:
        return (
            f"{found.calls} left, which it lets go on for {found.stands.drain_seconds:.0f} s in all. "
            "`./offhook stop` waits on; `./offhook stop --now` leads the callers to a person and ends it"
        )
    if found.state == "none":
        return "it has just ended"
    return (
        f"`./offhook stop --now` asks it once more. If that does not help: kill -9 {found.pid}, "
        "and the carrier asks another server, or the number's fallback URL, what to do with its callers"
    )


def clear(settings: Settings, timeout: float | None, *, now: bool, yes: bool) -> int:
    """What a server that died left: one of ours on the port, a database that nobody owns, a tunnel, a number that is lent.

    timeout, now: as `stop` has them, for one of ours that still answers. Raises SetupError.
    """
    seconds = timeout if timeout is not None else settings.drain_seconds + MARGIN_SECONDS
    for stranger in on_port(settings.port, settings.data):
        if stranger.orphan and stranger.process is not None:
            _end_orphan(stranger.process, seconds, now=now)
    for pid in end_left_over(settings.data, time.monotonic() + ORPHAN_SECONDS):
        print(f"ended a database that a dead server left (process {pid})")
    return clear_tunnel(settings, yes=yes)


def _end_orphan(process: processes.Process, seconds: float, *, now: bool) -> None:
    """End a server of this folder that nobody minds any more; it drains as any other. Raises SetupError."""
    print(f"ending a server of this folder that lost its note (process {process.pid})", file=sys.stderr)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGINT if now else signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while processes.same(process.pid, process.began):
        if time.monotonic() > deadline:
            raise SetupError(
                f"process {process.pid} has not ended yet ({process.command}). `./offhook stop --now` leads its callers to a "
                f"person and ends it; if that does not help: kill -9 {process.pid}"
            )
        time.sleep(LOOK_SECONDS)
    print(f"ended it (process {process.pid})")
