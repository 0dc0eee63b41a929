"""`/calls/<CallSid>`: one call, all of it: six lanes, what was said, tools, latency, cost, and what the wires carried.

A recording hangs under the lanes on the same axis (recording.py): lanes.js tells every change of what is shown by the event
`lanes:view` (its detail has from_ms and to_ms), and takes `lanes:show` with the same detail.
"""

from datetime import timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.adapters.ledger_queries import Ledger
from app.adapters.store import Call, CallStore
from app.core.recorded import Recording
from app.core.rows import Capture, Consent, Milestone, Outcome, Span, ToolCall, TransferAttempt, Turn
from app.core.rows import Response as ModelResponse
from app.core.standing import MissedCall, Voicemail
from app.errors import SetupError
from app.sim.retell import Told, retell
from app.web.console.lanes import LANES, Picture, picture, seconds_of
from app.web.console.pages import Console, Form

RAW_AT_ONCE = 100
MOST_RAW = 1_000_000
MOST_BARS = 900
"""Bars that a page shows at most: it stays under 250 kB. The files have all."""
WORDS_SHOWN = 400


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """All that is on record of one call."""

    call: Call
    turns: list[Turn]
    tools: list[ToolCall]
    spans: list[Span]
    responses: list[ModelResponse]
    milestones: list[Milestone]
    transfers: list[TransferAttempt]
    captures: list[Capture]
    consents: list[Consent]
    recordings: list[Recording]
    missed: MissedCall | None
    voicemails: list[Voicemail]
    outcome: Outcome | None


class CallPage:
    """One call's page, its file, its raw events and its script."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.store = CallStore(console.engine)
        self.ledger = Ledger(console.engine)

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        get = self.console.get
        return [
            get("/calls/{sid}", self.show),
            get("/calls/{sid}/export.json", self.json),
            get("/calls/{sid}/events", self.events),
            get("/calls/{sid}/rehearsal.toml", self.rehearsal),
            self.console.post("/calls/{sid}/rehearsal", self.retold),
        ]

    async def read(self, sid: str) -> Books | None:
        """What the books have of a call; None if they do not know it."""
        store = self.store
        call = await store.call(sid) if sid.isprintable() and len(sid) <= 64 else None
        if call is None:
            return None
        return Books(
            call=call,
            turns=await store.turns(sid),
            tools=await store.tool_calls(sid),
            spans=await store.spans(sid),
            responses=await store.responses(sid),
            milestones=await store.milestones(sid),
            transfers=await store.transfers(sid),
            captures=await store.captures(sid),
            consents=await store.consents(sid),
            recordings=await store.recordings(sid),
            missed=await store.missed(sid),
            voicemails=await store.voicemails(sid),
            outcome=await store.outcome(sid),
        )

    async def show(self, request: Request) -> Response:
        """The page."""
        books = await self.read(request.path_params["sid"])
        if books is None:
            return self._unknown(request)
        return self.console.page(request, "call.html", **self.view(books))

    def view(self, books: Books) -> dict[str, Any]:
        """The template's values."""
        kept = [row for row in books.recordings if row.deleted_at is None]
        days = timedelta(days=self.console.settings.recording.days)
        prices = self.console.settings.prices
        drawn = picture(books.turns, books.tools, books.spans, books.responses, books.milestones, prices)
        priced = sum(share.usd for share in drawn.shares)
        return {
            "books": books,
            "call": books.call,
            "picture": drawn,
            "lanes": [
                (name, title, about, drawn.lane(name)[: MOST_BARS // len(LANES)]) for name, title, about in LANES
            ],
            "left_out": sum(max(0, len(drawn.lane(name)) - MOST_BARS // len(LANES)) for name, _, _ in LANES),
            "seconds": seconds_of(books.call),
            "outcome": None if books.outcome is None else _pretty(books.outcome.fields),
            "words_shown": WORDS_SHOWN,
            "priced_usd": priced,
            "heard_usd": max(0.0, (books.call.cost_usd or 0.0) - priced) if drawn.shares else 0.0,
            "waits": _waits(drawn),
            "kept": kept,
            "kept_until": min((row.created_at for row in kept), default=books.call.started_at) + days,
        }

    async def json(self, request: Request) -> Response:
        """Everything but the raw events, for a program."""
        books = await self.read(request.path_params["sid"])
        if books is None:
            return self._unknown(request)
        name = f'attachment; filename="call-{_file_name(books.call.call_sid)}.json"'
        return Response(
            msgspec.json.format(msgspec.json.encode(books), indent=1),
            media_type="application/json",
            headers={"Content-Disposition": name},
        )

    async def events(self, request: Request) -> Response:
        """A piece of what the wires carried, as a fragment of the page."""
        text = request.query_params.get("skip", "0")
        skip = min(MOST_RAW, int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else 0
        sid = request.path_params["sid"]
        found = await self.ledger.raw_events(sid, skip=skip, limit=RAW_AT_ONCE + 1) if sid.isprintable() else []
        events = [(event, _pretty(event.event)) for event in found[:RAW_AT_ONCE]]
        more = skip + RAW_AT_ONCE if len(found) > RAW_AT_ONCE else 0
        return self.console.page(request, "call_events.html", sid=sid, events=events, skip=skip, more=more)

    async def rehearsal(self, request: Request) -> Response:
        """The call as a script, to be saved."""
        books = await self.read(request.path_params["sid"])
        if books is None:
            return self._unknown(request)
        told = self._tell(books)
        if isinstance(told, str):
            return self.console.trouble(request, 409, "This call cannot be retold", told)
        name = f'attachment; filename="call-{_file_name(books.call.call_sid)}.toml"'
        return Response(told.toml, media_type="application/toml; charset=utf-8", headers={"Content-Disposition": name})

    async def retold(self, request: Request, form: Form) -> Response:
        """Show the script before it is saved, and which lines are not told in their own words."""
        books = await self.read(request.path_params["sid"])
        if books is None:
            return self._unknown(request)
        told = self._tell(books)
        if isinstance(told, str):
            return self.console.trouble(request, 409, "This call cannot be retold", told)
        return self.console.page(request, "call_rehearsal.html", call=books.call, told=told)

    def _tell(self, books: Books) -> Told | str:
        """The script, or why there is none."""
        if books.call.ended_at is None:
            return "It still goes on. Come back once it is over."
        if any(tool.start_ms is None for tool in books.tools):
            return "Its tools have no place in time: it is from before that was kept."
        try:
            return retell(
                books.call,
                self.console.settings.office.now(books.call.started_at).date(),
                turns=books.turns,
                tools=books.tools,
                spans=books.spans,
                transfers=books.transfers,
                outcome=books.outcome,
            )
        except SetupError as wrong:
            return f"What was said in it makes no script: {wrong}"

    def _unknown(self, request: Request) -> Response:
        return self.console.missing(request, "The books know no such call. Calls are kept under their CallSid.")


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


def _file_name(sid: str) -> str:
    """Of a CallSid, what may be in a header."""
    return "".join(sign for sign in sid if sign.isascii() and sign.isalnum())


def _waits(drawn: Picture) -> int:
    """The longest wait, which the bars of the latency table are drawn against."""
    return max([1, *(latency.total_ms for latency in drawn.latencies)])
