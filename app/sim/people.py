"""People at desks who decide for themselves: whether to pick up, which key to press, when to hang up.

A script says what becomes of each <Dial> before the call begins (`carrier_leg.DialResult`). Where somebody is there in the flesh,
as at the softphone's page, they are asked instead.
"""

from collections.abc import Callable
from typing import Literal, Protocol

Pickup = Literal["answered", "busy", "no-answer"]


class People(Protocol):
    """Who is at the desks of one call, one of them at a time. A wait is cancelled if the caller goes."""

    async def picks_up(self, number: str, seconds: float) -> Pickup:
        """Ring at a number, for so long at most, and say what came of it."""
        ...

    def listens(self, press: Callable[[str], None], hang_up: Callable[[], None]) -> None:
        """Somebody picked up and hears the whisper: how they press keys, and put the phone down."""
        ...

    @property
    def reacted(self) -> bool:
        """Whether they did either since they picked up; a machine never does."""
        ...

    async def talks(self) -> None:
        """They are joined with the caller; returns when they hang up."""
        ...
