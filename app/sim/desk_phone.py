"""The telephone at a desk, as the softphone's page shows it: it rings until somebody picks up, and they hang up when they like.

Joined with the caller they hear them, 20 ms at a time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from itertools import count

from app.sim.people import Pickup

FRAME_SECONDS = 0.02
DESK_KEYS = frozenset("0123456789*#")


class DeskPhone:
    """The `People` of one softphone. `tell` is told each state: `rings`, `whisper`, `talks`; of the end, the call's log tells."""

    def __init__(self, desks: Mapping[str, str], tell: Callable[..., None], carry: Callable[[], None]) -> None:
        """desks: names by number. carry: brings the next 20 ms of the caller to the desk's ear; only while they are joined."""
        self.desks = desks
        self.tell = tell
        self.carry = carry
        self.reacted = False
        self._picked: asyncio.Future[Pickup] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._press: Callable[[str], None] | None = None
        self._put_down: Callable[[], None] | None = None

    # --- People: what the carrier asks ------------------------------------------------------------------------------

    async def picks_up(self, number: str, seconds: float) -> Pickup:
        """Ring on the page until somebody decides, or nobody does."""
        self.reacted = False
        self._picked = asyncio.get_running_loop().create_future()
        self.tell("desk", state="rings", number=number, desk=self.desks.get(number, ""), seconds=seconds)
        try:
            async with asyncio.timeout(seconds):
                return await self._picked
        except TimeoutError:
            return "no-answer"
        finally:
            self._picked = None

    def listens(self, press: Callable[[str], None], hang_up: Callable[[], None]) -> None:
        """The whisper begins."""
        self._press, self._put_down = press, hang_up
        self.tell("desk", state="whisper")

    async def talks(self) -> None:
        """Joined with the caller until they hang up."""
        self._press = self._put_down = None
        self._gone = asyncio.get_running_loop().create_future()
        self.tell("desk", state="talks")
        hears = asyncio.create_task(self._hears(), name="desk hears the caller")
        try:
            await self._gone
        finally:
            hears.cancel()
            self._gone = None

    async def _hears(self) -> None:
        """By an absolute clock: a late frame is made up for."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for tick in count(1):
            self.carry()
            await asyncio.sleep(max(0.0, began + tick * FRAME_SECONDS - loop.time()))

    # --- what somebody at the page does -----------------------------------------------------------------------------

    def pick_up(self, how: Pickup) -> bool:
        """Take the call, or be busy, or let it ring out; False if nothing rings."""
        if self._picked is None or self._picked.done():
            return False
        self._picked.set_result(how)
        return True

    def press(self, key: str) -> bool:
        """Press a key in the whisper; False if there is none."""
        if self._press is None or key not in DESK_KEYS:
            return False
        self.reacted = True
        self._press(key)
        return True

    def hang_up(self) -> bool:
        """Put the phone down, in the whisper or in the talk; False if it lies there already."""
        if self._gone is not None:
            with contextlib.suppress(asyncio.InvalidStateError):
                self._gone.set_result(None)
            return True
        if self._put_down is None:
            return False
        self.reacted = True
        put_down, self._put_down, self._press = self._put_down, None, None
        put_down()
        return True

    def over(self) -> None:
        """The call to the desk is over, whoever ended it."""
        self._press = self._put_down = None
