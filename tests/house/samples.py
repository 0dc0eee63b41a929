"""A small office and settings that need no environment, for tests of single parts."""

from contextlib import AbstractAsyncContextManager
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import ToolError
from app.rules.office import Desk, Hours, Office
from app.settings import Settings

OFFICE = Office(
    name="Lakeside Dental",
    zone=ZoneInfo("America/Chicago"),
    hours={"monday": Hours(time(8), time(17))},
    slot_minutes=30,
    desks={
        "billing": Desk(name="billing", about="invoices", number="+14155550171"),
        "reception": Desk(name="reception", about="anything else", number="+14155550170"),
        "nobody": Desk(name="nobody", about="a desk without a number", number=""),
    },
)


def make_settings(**changes: Any) -> Settings:
    """Settings as `load` would make them, with these fields changed."""
    return Settings(**{"office": OFFICE, **changes})


def no_session() -> AbstractAsyncContextManager[AsyncSession]:
    """`CallContext.session` where there is no database."""
    raise ToolError("The database cannot be used at the moment. Say so, and offer to take a message or a person.")
