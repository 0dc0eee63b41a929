"""A small office and settings that need no environment, for tests of single parts."""

from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

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
