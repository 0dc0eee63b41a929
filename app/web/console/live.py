"""`/`: every call in progress, told by server-sent events, and what an operator can do to one."""

import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from app.calls.interventions import Interventions, NotDone
from app.web.console.feed import EventStream, Feed, Watcher, live_rows
from app.web.console.pages import Console, Form
from app.web.console.session import Session


class LivePage:
    """The page that is open all day."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.feed = Feed(console.board)
        self.hand = Interventions(console.board)

    def routes(self) -> list[BaseRoute]:
        """The page, its feed, its two actions."""
        return [
            self.console.get("/", self.show),
            self.console.get("/live/events", self.events),
            self.console.post("/live/{sid}/hang-up", self.hang_up),
            self.console.post("/live/{sid}/put-through", self.put_through),
        ]

    async def show(self, request: Request) -> Response:
        """The calls as they are now. A newcomer without keys is shown the phone first."""
        newcomer = self.console.stand_in and self.console.cookie not in request.cookies
        if newcomer and "/phone" in self.console.paths and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/phone", 303)
        console = self.console
        return console.page(
            request,
            "live.html",
            rows=list(live_rows(console.board).values()),
            now=time.time(),
            desks=self.hand.desks(),
            modes=sorted(console.registry.modes),
            calls_page="/calls" in console.paths,
            phone_page="/phone" in console.paths,
        )

    async def events(self, request: Request) -> Response:
        """The feed. 503 with a time to wait when too many watch."""
        if request.method == "HEAD":  # a page asks whether its login still holds
            return Response(status_code=204)
        if self.feed.full:
            return PlainTextResponse("too many pages are open on this server\n", 503, headers={"Retry-After": "10"})
        session: Session = request.state.session
        sessions = await self.console.sessions()
        at_home = not session.operator  # by header, or from this machine: nothing that could run out
        return EventStream(self.feed, Watcher(lambda: at_home or sessions.holds(session)))

    async def hang_up(self, request: Request, form: Form) -> Response:
        """End a call."""
        try:
            await self.hand.hang_up(request.path_params["sid"])
        except NotDone as why:
            return self._not_done(request, str(why))
        return self._done(request)

    async def put_through(self, request: Request, form: Form) -> Response:
        """Have the caller put through to the form's desk."""
        try:
            await self.hand.put_through(request.path_params["sid"], form.get("desk", ""))
        except NotDone as why:
            return self._not_done(request, str(why))
        return self._done(request)

    def _done(self, request: Request) -> Response:
        """To the page again; the page's own script asks for no page."""
        return RedirectResponse("/", 303) if _wants_page(request) else Response(status_code=204)

    def _not_done(self, request: Request, why: str) -> Response:
        """409: the call is as it was."""
        if _wants_page(request):
            return self.console.trouble(request, 409, "That was not done", why)
        return PlainTextResponse(why, 409)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
