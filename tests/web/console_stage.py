"""The console on a stage: its real pages over a board that a test fills, asked by a browser of sorts with cookies."""

from functools import cache
from typing import Any, cast

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from app.calls.live_call import LiveCall
from app.core.record import Spoken
from app.core.rows import CallInfo, Row
from app.mode import Mode
from app.registry import Registry, find
from app.web.console.auth import Password
from app.web.console.live import LivePage
from app.web.console.login import LoginPage
from app.web.console.modes_page import ModesPage
from app.web.console.pages import Console
from app.web.guard import Guard
from tests.house.samples import OFFICE, make_settings

HOME = "http://127.0.0.1:8000"
AWAY = "https://agent.example.com"
PASSWORD = "correct horse: ü"
HTML = {"Accept": "text/html"}
ALWAYS = msgspec.structs.replace(OFFICE, hours={})
"""An office whose desks are never closed, whatever day it is."""


@cache
def _modes() -> dict[str, Mode]:
    return find(make_settings()).modes


class Journal:
    """Rows as they are put."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def put(self, row: Row) -> None:
        self.rows.append(row)


class Carrier:
    """A REST API that takes every call update, or none."""

    def __init__(self) -> None:
        self.takes = True
        self.led: list[tuple[str, str]] = []

    async def redirect(self, call_sid: str, url: str) -> bool:
        self.led.append((call_sid, url))
        return self.takes


class Board:
    """What the console asks of a switchboard."""

    def __init__(self) -> None:
        self.calls: dict[str, LiveCall] = {}
        self.journal: Any = Journal()
        self.max_calls, self.draining, self.closing = 200, False, False
        self.office = ALWAYS
        self.redirector: Carrier | None = None
        self.next_url = AWAY + "/twilio/next"

    @property
    def live(self) -> int:
        return sum(not call.finished for call in self.calls.values())

    def stream_over(self, call: LiveCall, over: object) -> None:
        raise AssertionError("no stream here")

    def keep(self, call: LiveCall) -> None:
        """It is not looked at here."""


class Stage:
    """A console and who looks at it. At home nobody has to log in; away there is the login."""

    def __init__(self, public_url: str = HOME, **settings: Any) -> None:
        made = make_settings(**{"public_url": public_url, "office": ALWAYS, **settings})
        self.board = Board()
        self.registry = Registry(_modes(), made)
        self.console = Console(
            settings=made,
            board=cast("Any", self.board),
            registry=self.registry,
            engine=cast("Any", None),
            guard=Guard(made, ("token",), PASSWORD),
            stand_in="",
        )
        self.console.password = Password(PASSWORD, public_url, kibibytes=64)
        self.live = LivePage(self.console)
        pages = (LoginPage(self.console), self.live, ModesPage(self.console))
        routes = [*(route for page in pages for route in page.routes()), self.console.files.route()]

        async def broken(request: Request) -> Response:
            raise RuntimeError("a fault of ours")

        async def nowhere(request: Request, wrong: Exception) -> Response:
            return await self.console.nowhere(request, 404)

        routes.append(self.console.get("/broken", broken))
        self.app = Starlette(routes=routes, exception_handlers={404: nowhere})
        self.url = public_url

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """Somebody's browser, with cookies of its own."""
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 40_000))
        return httpx.AsyncClient(transport=transport, base_url=self.url, headers={**HTML, **headers})

    async def login(self, browser: httpx.AsyncClient, password: str = PASSWORD, **more: str) -> httpx.Response:
        """Fill in the login form."""
        page = await browser.get("/login")
        fields = {"csrf": csrf(page), "password": password, **more}
        return await browser.post("/login", data=fields)

    def rings(self, caller: str = "+14155550133", said: str = "", who: str = "agent", mode: str = "ivr") -> LiveCall:
        """A call that waits for its stream."""
        sid = f"CA{len(self.board.calls):032x}"
        info = CallInfo(call_sid=sid, account_sid="AC1", caller=caller, dialled="+14155550199")
        call = LiveCall(self.board, info, self.registry.modes[mode])
        if said:
            call.record.spoken.append(Spoken(0, cast("Any", who), "i1", 0, 0, said))
        self.board.calls[sid] = call
        return call


def csrf(page: httpx.Response) -> str:
    """The token of a page's forms."""
    return page.text.partition('<meta name="csrf" content="')[2].partition('"')[0]
