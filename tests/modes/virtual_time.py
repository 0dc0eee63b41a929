"""VirtualTime: an event loop whose clock jumps to the next thing that is due, so that nothing in a test ever waits."""

import asyncio
import selectors
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Where a loop would wait for its next timer, the time passes at once."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("expected something to be due, found nothing left to happen: the test waits for ever")
        self.skipped += max(0.0, timeout)
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    """Starts at 100 s. A fault in a callback or a task comes out of `run` of the moment in which it happened."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)
        self.faults: list[str] = []
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return 100.0 + self.jump.skipped

    def run(self, seconds: float) -> None:
        """Let so much time pass; with 0, everything that is ready happens."""
        self.run_until_complete(asyncio.sleep(max(seconds, 1e-9)))
        assert not self.faults, "\n".join(self.faults)

    def end(self) -> None:
        """Cancel what still runs, and close."""
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.wait(left))
        self.close()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")
