"""A business over HTTP whose messages are never lost: those that its backend does not take are kept in our own tables."""

from datetime import date, datetime

import structlog

from app.errors import BackendDown
from app.mode import Booking, Store

log = structlog.get_logger()


class KeptMessages:
    """A `Store` (app/mode.py): the backend's, but for messages while it is down. `own`: the built-in tables."""

    def __init__(self, backend: Store, own: Store) -> None:
        self._backend = backend
        self._own = own

    async def free_slots(self, day: date) -> list[datetime]:
        """The backend's."""
        return await self._backend.free_slots(day)

    async def book(self, *, name: str, start: datetime, reason: str, phone: str, key: str) -> Booking:
        """The backend's."""
        return await self._backend.book(name=name, start=start, reason=reason, phone=phone, key=key)

    async def cancel(self, *, name: str, start: datetime, key: str) -> Booking:
        """The backend's."""
        return await self._backend.cancel(name=name, start=start, key=key)

    async def add_message(self, *, name: str, text: str, phone: str, key: str) -> str:
        """The backend's; ours if that is down. One that it took without saying so is then there twice, which does no harm."""
        try:
            return await self._backend.add_message(name=name, text=text, phone=phone, key=key)
        except BackendDown:
            reference = await self._own.add_message(name=name, text=text, phone=phone, key=key)
            log.warning("business.message_kept", reference=reference, table="messages")
            return reference

    async def names_under(self, phone: str) -> list[str]:
        """The backend's."""
        return await self._backend.names_under(phone)
