"""The operator's password: checked by a slow hash in a thread, and guessed at no faster than two throttles allow.

The password is the operator's, known in the clear to this process. What is slow protects it where it could be guessed at: at the
login, and behind the cookies, whose key is made of it. The salt is the installation's public URL, so that the instances of one
installation read each other's cookies without sharing more than their settings.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable

from argon2.low_level import Type, hash_secret_raw
from starlette.requests import HTTPConnection

AT_ONCE = 2
"""Hashes that are computed at the same time: each takes 64 MiB and a core for a twentieth of a second."""
ADDRESS_TRIES, ADDRESS_SECONDS = 5, 60.0
"""Wrong passwords of one address: so many at once, then one more after each of so many seconds."""
ALL_TRIES, ALL_SECONDS = 30, 10.0
"""... and of everybody together, whatever addresses they claim."""
ADDRESSES = 10_000


class Password:
    """The one password. `key` is what cookies are signed with."""

    def __init__(self, password: str, salt: str, *, kibibytes: int = 65_536) -> None:
        """kibibytes: memory that each hash takes; other values make other keys."""
        self._password = password
        self._kibibytes = kibibytes
        self._salt = hashlib.blake2b(salt.encode(), digest_size=16, person=b"offhook login").digest()
        self._key: bytes | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def key(self) -> bytes:
        """32 bytes; made once."""
        if self._key is None:
            self._key = await self._hash(self._password)
        return self._key

    async def right(self, given: str) -> bool:
        """Whether this is the password. Where none is set, nothing is."""
        key = await self.key()
        return bool(self._password) and hmac.compare_digest(await self._hash(given), key)

    async def _hash(self, text: str) -> bytes:
        """Argon2id with its library's own costs. Source: RFC 9106, second recommended option."""
        async with self._turns:
            return await asyncio.to_thread(
                hash_secret_raw, text.encode("utf-8", "replace"), self._salt, 3, self._kibibytes, 4, 32, Type.ID
            )


class Bucket:
    """So many tries at once; one more after each `seconds`."""

    def __init__(self, tries: int, seconds: float, now: float) -> None:
        self.tries, self.seconds = tries, seconds
        self.left, self.at = float(tries), now

    def wait(self, now: float) -> float:
        """Seconds until there is a try; 0 now."""
        self.left = min(self.tries, self.left + (now - self.at) / self.seconds)
        self.at = now
        return 0.0 if self.left >= 1 else (1 - self.left) * self.seconds


class Throttle:
    """Counts wrong passwords, or tokens, by address and in all."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._all = Bucket(ALL_TRIES, ALL_SECONDS, now())
        self._by_address: dict[str, Bucket] = {}

    def wait(self, address: str) -> float:
        """Seconds until an address has a try; 0 now. None is taken."""
        now = self._now()
        own = self._by_address.get(address)
        return max(own.wait(now) if own is not None else 0.0, self._all.wait(now))

    def take(self, address: str) -> float:
        """Take a try before the password is looked at; or the seconds to wait, if none is left."""
        own = self._by_address.pop(address, None) or Bucket(ADDRESS_TRIES, ADDRESS_SECONDS, self._now())
        self._by_address[address] = own  # the one that was tried last is the last to be forgotten
        if len(self._by_address) > ADDRESSES:
            del self._by_address[next(iter(self._by_address))]
        wait = self.wait(address)
        if not wait:
            own.left -= 1
            self._all.left -= 1
        return wait

    def give_back(self, address: str) -> None:
        """It was the right password: no try was spent."""
        self._all.left += 1
        self._by_address.pop(address, None)


def address_of(connection: HTTPConnection) -> str:
    """Who asks, as far as can be told: the peer, and whom the proxy before us names. An IPv6 network counts as one.

    A peer that names itself somebody else only leaves the throttle by address, not the one over all.
    """
    named = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    named = connection.headers.get("fly-client-ip", "") or named
    peer = connection.client.host if connection.client else ""
    return f"{_network(peer)} {_network(named[:64])}"


def _network(address: str) -> str:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else address
