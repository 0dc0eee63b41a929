"""Sessions of people in a browser: a signed cookie that says until when, and whether its holder has logged in.

Nothing is kept for a session but that it was ended early: any instance with the same password and public URL reads its cookie.
A form's token is derived from its session, so that a page of somebody else's cannot act in our name (CSRF).
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

import msgspec

SESSION_SECONDS = 12 * 3600
"""After so much time without a request the login has expired."""
ENDED = 10_000
"""How many early ends are remembered; more cannot be told apart from attack, and the oldest are nearly over anyway."""


class Session(msgspec.Struct, frozen=True):
    """One browser. id: random, url-safe. until: Unix seconds. operator: its holder has given the password."""

    id: str
    until: int
    operator: bool


class Sessions:
    """Makes, reads and ends sessions. key: at least 32 secret bytes, the same in every process that shall read the cookies."""

    def __init__(self, key: bytes, *, now: Callable[[], float] = time.time) -> None:
        self._cookies = hashlib.blake2b(b"session", key=key, digest_size=32).digest()
        self._tokens = hashlib.blake2b(b"token", key=key, digest_size=32).digest()
        self._now = now
        self._ended: dict[str, int] = {}

    def begin(self, *, operator: bool = False) -> Session:
        """A fresh session; after a login always, so that nobody else knows its id."""
        return Session(secrets.token_urlsafe(18), int(self._now()) + SESSION_SECONDS, operator)

    def renewed(self, session: Session) -> Session | None:
        """The same session with its whole life before it; None while more than half of it is left."""
        now = int(self._now())
        if session.until - now > SESSION_SECONDS // 2:
            return None
        return Session(session.id, now + SESSION_SECONDS, session.operator)

    def cookie(self, session: Session) -> str:
        """The cookie's value: letters, digits, `-`, `_` and `.`."""
        body = f"{'o' if session.operator else 'v'}.{session.until}.{session.id}"
        return f"{body}.{_mac(self._cookies, body)}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it is not ours, over, or was ended."""
        body, _, mac = cookie.rpartition(".")
        if not body or not hmac.compare_digest(_mac(self._cookies, body).encode(), mac.encode("utf-8", "replace")):
            return None
        kind, until, name = body.split(".", 2)
        session = Session(name, int(until), kind == "o")
        return session if self.holds(session) else None

    def holds(self, session: Session) -> bool:
        """Whether a session is neither over nor ended."""
        return session.until > self._now() and session.id not in self._ended

    def end(self, session: Session) -> None:
        """Its cookie is worth nothing from now on, in this process."""
        now = self._now()
        self._ended = {name: until for name, until in self._ended.items() if until > now}
        while len(self._ended) >= ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[session.id] = int(now) + SESSION_SECONDS

    def token(self, session: Session) -> str:
        """What every form of this session carries."""
        return _mac(self._tokens, session.id)

    def fits(self, session: Session, token: str) -> bool:
        """Whether a form's token is this session's."""
        return hmac.compare_digest(self.token(session).encode(), token.encode("utf-8", "replace"))


def _mac(key: bytes, text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), key=key, digest_size=24).digest()
    return base64.urlsafe_b64encode(digest).decode()
