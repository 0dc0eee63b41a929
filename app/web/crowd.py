"""Connections by the address that they come from: when there are too many, who has most of them makes room.

So one address that holds all it can get drops its own, and a caller's webhook from another still comes through. Behind a proxy
all addresses are one, and what goes is simply the oldest, or the newest.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Who = TypeVar("Who", bound=Hashable)


class Crowd(Generic[Who]):
    """Connections in the order they came."""

    def __init__(self) -> None:
        self._address_of: dict[Who, str] = {}
        self._at: dict[str, dict[Who, None]] = {}

    def __len__(self) -> int:
        return len(self._address_of)

    def __contains__(self, who: object) -> bool:
        return who in self._address_of

    def __iter__(self) -> Iterator[Who]:
        return iter(list(self._address_of))

    def add(self, who: Who, address: str) -> None:
        """One more."""
        self._address_of[who] = address
        self._at.setdefault(address, {})[who] = None

    def discard(self, who: Who) -> None:
        """It is gone, or no matter any more; fine if it was not here."""
        address = self._address_of.pop(who, None)
        if address is None:
            return
        there = self._at[address]
        del there[who]
        if not there:
            del self._at[address]

    def oldest(self) -> Who:
        """The one that came first, of the address that has most."""
        return next(iter(self._crowdiest()))

    def newest(self) -> Who:
        """The one that came last, of the address that has most."""
        return next(reversed(self._crowdiest()))

    def _crowdiest(self) -> dict[Who, None]:
        """Looked for only when there are too many."""
        return max(self._at.values(), key=len)
