"""`/phone`: a telephone in the browser, by which one hears what callers hear.

The page asks for a ticket (a POST like any other: the operator's, from a page of ours), and opens the socket with it. Behind the
socket the carrier stand-in calls this very server by its signed doors, so that the call is one like any other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from functools import lru_cache

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from app.calls.switchboard import Switchboard
from app.errors import SetupError
from app.rules.office import E164
from app.sim.script import load, shipped
from app.sim.script_words import render
from app.sim.softphone_server import Server
from app.web.console.pages import Console, Form
from app.web.console.phone_tickets import TICKET_SECONDS, Tickets, Wish

log = structlog.get_logger()

MOST_PHONES = 4
"""Softphone calls at once: each is carried by the loop that carries the callers."""
CALLER = "+14155550142"
DIALLED = "+14155550199"
"""Numbers that belong to nobody, as all of 555-01xx: the caller's, and the one dialled where offhook.toml names none."""

FIRST_CALLER = "booking"
"""Whose sentences a newcomer sees open, above the others'."""

Run = Callable[[WebSocket, Wish, Server, date, Switchboard], Awaitable[None]]


class RecordedCaller(msgspec.Struct, frozen=True):
    """A caller of a rehearsal, to play line by line or to let talk by themselves. lines: words, or keys."""

    name: str
    title: str
    mode: str
    number: str
    voice: str
    lines: list[str]
    keys: list[str]


class PhonePage:
    """The page, its tickets and its socket."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.tickets = Tickets()
        self.phones = 0
        """Calls that are carried now."""

    def routes(self) -> list[BaseRoute]:
        """All three."""
        return [
            self.console.get("/phone", self.show),
            self.console.post("/phone/ticket", self.ticket),
            WebSocketRoute("/phone/ws/{ticket}", self.call),
        ]

    async def show(self, request: Request) -> Response:
        """The telephone."""
        settings = self.console.settings
        return self.console.page(
            request,
            "phone.html",
            modes=sorted(self.console.registry.modes),
            default_mode=settings.default_mode,
            numbers=self._numbers(),
            caller=CALLER,
            callers=await asyncio.to_thread(recorded_callers, self._today()),
            model=settings.realtime_model,
            has_calls="/calls" in self.console.paths,
        )

    async def ticket(self, request: Request, form: Form) -> Response:
        """A ticket for one call: {"ticket": ...}. 400: what cannot be called; 429: too many calls from here."""
        if self.phones >= MOST_PHONES:
            return _refusal(f"expected at most {MOST_PHONES} calls from this page at once; hang up one of them", 429)
        wish = Wish(
            caller=form.get("caller", "").strip() or CALLER,
            dialled=form.get("dialled", "").strip() or next(iter(self._numbers())),
            mode=form.get("mode", ""),
            script=form.get("script", ""),
        )
        modes = self.console.registry.modes
        for what, number in (("number to call from", wish.caller), ("number to call", wish.dialled)):
            if not E164.fullmatch(number):
                return _refusal(f"expected a {what} as +14155550100, got {number[:40]!r}")
        if wish.mode and wish.mode not in modes:
            return _refusal(f"expected a mode, one of {', '.join(sorted(modes))}, got {wish.mode[:40]!r}")
        if wish.script and wish.script not in shipped():
            return _refusal(f"expected a recorded caller, one of {', '.join(shipped())}, got {wish.script[:40]!r}")
        return JSONResponse({"ticket": self.tickets.make(wish), "seconds": TICKET_SECONDS})

    async def call(self, socket: WebSocket) -> None:
        """The socket: 403 before accept for a stranger, a page that is not ours, or a wrong, used or late ticket."""
        if not await self.console.operator_socket(socket):
            await socket.send_denial_response(PlainTextResponse("expected a page of this console's operator\n", 403))
            return
        wish = self.tickets.spend(socket.path_params["ticket"])
        if wish is None:
            await socket.send_denial_response(PlainTextResponse("this ticket is wrong, used or late\n", 403))
            return
        if self.phones >= MOST_PHONES:
            await socket.send_denial_response(PlainTextResponse("too many calls from here\n", 429))
            return
        self.phones += 1
        try:
            await socket.accept()
            run = await asyncio.to_thread(_late)
            await run(socket, wish, self._server(socket), self._today(), self.console.board)
        finally:
            self.phones -= 1

    def _numbers(self) -> dict[str, str]:
        """The modes of the numbers that offhook.toml names; a fictional one where there are none."""
        settings = self.console.settings
        ours = [settings.twilio_phone_number] if settings.twilio_phone_number else []
        numbers = {number: settings.numbers.get(number, settings.default_mode) for number in [*settings.numbers, *ours]}
        return numbers or {DIALLED: settings.default_mode}

    def _server(self, socket: WebSocket) -> Server:
        """This very server: at the address where the browser's socket arrived."""
        settings = self.console.settings
        host, port = socket.scope.get("server") or (settings.host, settings.port)
        return Server(
            url=f"http://{f'[{host}]' if ':' in host else host}:{port or settings.port}",
            public_url=settings.public_url,
            auth_token=self.console.guard.tokens[0],
            account_sid=settings.twilio_account_sid,
            phone_number=settings.twilio_phone_number,
            desks={desk.number: desk.name for desk in settings.office.desks.values()},
        )

    def _today(self) -> date:
        return self.console.settings.office.now(datetime.now(UTC)).date()


def _late() -> Run:
    """What carries a call; loaded with the first one."""
    from app.web.console.phone_call import run

    return run


@lru_cache(maxsize=1)
def recorded_callers(today: date) -> list[RecordedCaller]:
    """The callers of the shipped rehearsals. Their lines are filled in for a day; those that need a tool's answer are left out."""
    found = []
    for name, path in sorted(shipped().items(), key=lambda one: one[0] != FIRST_CALLER):
        script = load(path)
        variables = script.variables(today)
        lines, keys = [], []
        for turn in script.turn:
            if turn.keys:
                keys.append(turn.keys)
            try:
                line = render(turn.caller, variables) if turn.caller else ""
            except SetupError:
                continue
            if line:
                lines.append(line)
        caller = script.caller
        found.append(RecordedCaller(name, script.title, script.mode, caller.number, caller.voice, lines, keys))
    return found


def _refusal(why: str, status: int = 400) -> Response:
    return JSONResponse({"error": why}, status)
