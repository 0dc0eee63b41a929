"""What `app.chaos.server` starts: `./offhook serve`, with the matrix's business, and a wall clock that jumps at a signal.

SIGUSR1 puts the process's wall clock an hour on, the next one two hours back, and so on; time that only ever grows
(`time.monotonic`, the loop's) stays as it is, as when somebody sets a machine's clock. It is done by replacing the two places
where our code reads that clock, so it needs no rights and no library.
"""

import ctypes
import datetime
import gc
import os
import signal
import sys
import time
from pathlib import Path

HOUR = 3600.0
JUMPS = (HOUR, -2 * HOUR)


def main() -> int:
    """Serve until a signal."""
    jump_at_signal()
    from app.chaos.server import BUSINESS
    from app.commands.serve import serve
    from app.errors import SetupError

    try:
        return serve(root=Path(os.environ[BUSINESS]))
    except SetupError as wrong:
        sys.stderr.write(f"offhook serve: {wrong}\n")
        return 1


def jump_at_signal() -> None:
    """From now on the clock can be made to jump."""
    shift, jumps = 0.0, 0
    seconds, now = time.time, datetime.datetime.now

    def jump(*_: object) -> None:
        nonlocal shift, jumps
        shift += JUMPS[jumps % len(JUMPS)]
        jumps += 1

    def moved_now(tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return now(tz) + datetime.timedelta(seconds=shift)

    signal.signal(signal.SIGUSR1, jump)
    time.time = lambda: seconds() + shift
    _replace(datetime.datetime, "now", staticmethod(moved_now))


def _replace(kind: type, name: str, value: object) -> None:
    """Put another attribute into a type that is written in C, which Python itself refuses to do."""
    (attributes,) = gc.get_referents(kind.__dict__)
    attributes[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


if __name__ == "__main__":
    sys.exit(main())
