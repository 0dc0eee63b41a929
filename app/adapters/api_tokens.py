"""API tokens: who may have calls placed. Only a hash is kept: a token is shown once, when it is made.

A token is `offhook_ID_SECRET`. The secret has 256 random bits, so that a plain SHA-256 of it is as good as a slow hash.
"""

import hashlib
import re
import secrets
from datetime import datetime

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.outbound_tables import api_tokens

TOKEN = re.compile(r"offhook_([0-9a-f]{12})_([0-9a-zA-Z_-]{43})")
NOBODY = hashlib.sha256(b"").hexdigest()


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept; its secret is not."""

    id: str
    name: str
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class ApiTokens:
    """The tokens of one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def make(self, name: str) -> str:
        """A new token: the only time that it is seen."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        async with self._engine.begin() as connection:
            await connection.execute(insert(api_tokens).values(id=token_id, name=name, hash=_hash(secret)))
        return f"offhook_{token_id}_{secret}"

    async def owner(self, token: str) -> ApiToken | None:
        """Whose token this is; None if it is nobody's, or was revoked: which of both, the time that it takes does not tell."""
        parts = TOKEN.fullmatch(token)
        token_id, secret = parts.groups() if parts else ("", "")
        async with self._engine.begin() as connection:
            row = (await connection.execute(select(api_tokens).where(api_tokens.c.id == token_id))).one_or_none()
            good = secrets.compare_digest(_hash(secret), row.hash if row else NOBODY)
            if row is None or not good or row.revoked_at is not None:
                return None
            await connection.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(used_at=func.now()))
        return msgspec.convert(row, ApiToken, from_attributes=True)

    async def all(self) -> list[ApiToken]:
        """Every token, oldest first, those that were revoked too."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(api_tokens).order_by(api_tokens.c.created_at))).all()
        return [msgspec.convert(row, ApiToken, from_attributes=True) for row in rows]

    async def revoke(self, token_id: str) -> bool:
        """Let a token be good for nothing from now on; whether there was one that was."""
        good = (api_tokens.c.id == token_id) & api_tokens.c.revoked_at.is_(None)
        async with self._engine.begin() as connection:
            return bool(
                (await connection.execute(update(api_tokens).where(good).values(revoked_at=func.now()))).rowcount
            )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
