"""Calls as files: CSV for a spreadsheet, JSON for a program. Written row by row, so that a million of them take no memory."""

import csv
import io
from collections.abc import AsyncIterator

import msgspec

from app.adapters.store import Call

COLUMNS = Call.__struct_fields__
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula."""


def cell(value: object) -> str:
    """A value as a cell that no spreadsheet calculates: text that looks like a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    return "'" + value if value.lstrip(" \u00a0").startswith(FORMULA) or value.startswith(FORMULA) else value


async def as_csv(calls: AsyncIterator[Call]) -> AsyncIterator[str]:
    """A head and a line for each call, as RFC 4180 has it; moments are UTC."""
    yield _line(COLUMNS)
    async for call in calls:
        yield _line([cell(getattr(call, name)) for name in COLUMNS])


async def as_json(calls: AsyncIterator[Call]) -> AsyncIterator[str]:
    """One array with an object for each call, a line each."""
    yield "["
    between = "\n"
    async for call in calls:
        yield between + msgspec.json.encode(call).decode()
        between = ",\n"
    yield "\n]\n"


def _line(cells: object) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)  # type: ignore[arg-type]  # any iterable
    return out.getvalue()
