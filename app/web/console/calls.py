"""`/calls`: every call on record, found by filters, a page at a time; and the same as a file."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from app.adapters.ledger_queries import Edge, Ledger, Page, Wanted
from app.adapters.tables import SLOW_MS
from app.errors import AskedWrongly
from app.web.console.export import as_csv, as_json
from app.web.console.pages import Console

FIELDS = ("mode", "outcome", "number", "since", "until", "words", "slow", "cut", "failed", "missed")
PAGE = 50
EDGE = re.compile(r"([0-9]{1,17})~(.{1,64})", re.DOTALL)
LONGEST = 300
"""Characters of one filter."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CallsPage:
    """The list. Its filters are its address, so that a page can be kept, sent and gone back to."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.ledger = Ledger(console.engine)

    def routes(self) -> list[BaseRoute]:
        """The page and its two files."""
        get = self.console.get
        return [get("/calls", self.show), get("/calls.csv", self.csv), get("/calls.json", self.json)]

    async def show(self, request: Request) -> Response:
        """One page of calls."""
        given = {name: request.query_params.get(name, "")[:LONGEST].strip() for name in FIELDS}
        page, edge, wrong = None, None, ""
        try:
            wanted = wanted_of(given, self.console.settings.office.zone)
            edge = edge_of(request.query_params)
            page = await self.ledger.page(wanted, edge, PAGE)
        except AskedWrongly as asked:
            wrong = str(asked)
        rows = page.calls if page is not None else []
        outcomes = await self.ledger.known("outcome")
        modes = sorted({*self.console.registry.modes, *await self.ledger.known("mode")})
        return self.console.page(
            request,
            "calls.html",
            status=400 if wrong else 200,
            rows=rows,
            wrong=wrong,
            given=given,
            filtered=any(given.values()),
            modes=modes,
            outcomes=outcomes,
            slow_ms=SLOW_MS,
            query=query_of(given),
            walked_to=None if page is None or page.walked_to is None else page.walked_to.at,
            **links(given, page, edge),
        )

    async def csv(self, request: Request) -> Response:
        """All of them for a spreadsheet."""
        return await self._file(request, "csv")

    async def json(self, request: Request) -> Response:
        """All of them for a program."""
        return await self._file(request, "json")

    async def _file(self, request: Request, kind: str) -> Response:
        """The filtered calls. The first rows are fetched before the answer begins, so that what is wrong can still be said."""
        given = {name: request.query_params.get(name, "")[:LONGEST].strip() for name in FIELDS}
        try:
            wanted = wanted_of(given, self.console.settings.office.zone)
            await self.ledger.page(wanted, None, 1)
        except AskedWrongly as asked:
            return self.console.trouble(request, 400, "This cannot be looked for", str(asked))
        rows = self.ledger.each(wanted)
        text: AsyncIterator[str] = as_csv(rows) if kind == "csv" else as_json(rows)
        media = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
        name = f'attachment; filename="calls.{kind}"'
        return StreamingResponse(text, media_type=media, headers={"Content-Disposition": name})


def wanted_of(given: Mapping[str, str], zone: ZoneInfo) -> Wanted:
    """The filters of a query; days are the operator's, both included. Raises AskedWrongly."""
    since, until = _day(given.get("since", "")), _day(given.get("until", ""))
    if since is not None and until is not None and until < since:
        raise AskedWrongly(f"expected the last day not to be before the first, got {since} to {until}")
    return Wanted(
        mode=given.get("mode", ""),
        outcome=given.get("outcome", ""),
        number=given.get("number", ""),
        since=None if since is None else datetime.combine(since, time.min, zone),
        until=None if until is None else datetime.combine(until + timedelta(days=1), time.min, zone),
        words=given.get("words", ""),
        slow=given.get("slow", "") == "1",
        cut=given.get("cut", "") == "1",
        failed=given.get("failed", "") == "1",
        missed=given.get("missed", "") == "1",
    )


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise AskedWrongly(f"expected a day as 2026-11-21, got {text[:40]!r}") from None
    if not 1970 <= day.year <= 9000:
        raise AskedWrongly(f"expected a day of a year from 1970, got {text[:40]!r}")
    return day


def edge_of(query: Mapping[str, str]) -> Edge | None:
    """The row beside the page: `before` or `after` it. Raises AskedWrongly for an edge that no link of ours has."""
    for name in ("before", "after"):
        if text := query.get(name, ""):
            found = EDGE.fullmatch(text)
            if found is None or "\x00" in text:
                raise AskedWrongly(f"expected `{name}` as one of this page's links has it, got {text[:40]!r}")
            return Edge(EPOCH + timedelta(microseconds=int(found[1])), found[2], newer=name == "after")
    return None


def links(given: Mapping[str, str], page: Page | None, edge: Edge | None) -> dict[str, str]:
    """The queries of the pages on either side; empty where there is none."""
    newer = older = ""
    if page is not None:
        first = Edge(page.calls[0].started_at, page.calls[0].call_sid) if page.calls else edge
        last = Edge(page.calls[-1].started_at, page.calls[-1].call_sid) if page.calls else edge
        if page.walked_to is not None:
            first, last = (page.walked_to, last) if page.walked_to.newer else (first, page.walked_to)
        if page.newer and first is not None:
            newer = query_of(given, after=first)
        if page.older and last is not None:
            older = query_of(given, before=last)
    return {"newer": newer, "older": older}


def query_of(given: Mapping[str, str], **edge: Edge) -> str:
    """A query of the same filters, for a link; with `before` or `after` of a page beside that edge."""
    fields = {name: value for name, value in given.items() if value}
    for name, row in edge.items():
        fields[name] = f"{(row.at - EPOCH) // timedelta(microseconds=1)}~{row.call_sid}"
    return urlencode(fields)
