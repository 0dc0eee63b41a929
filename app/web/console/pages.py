"""The console's frame: what every page and every action of the operator's goes through, in this order.

    who      a session out of the cookie, a fresh one else; in are those who logged in, and who sits at this machine (guard.py)
    whence   a POST or a socket of another site's page is refused: by its Origin, and by the token that its form has not
    what     the endpoint; Refused is its own answer, a fault of ours is a page that says so
    how      the headers of `HEADERS` on whatever was answered

Whoever adds pages makes them by `get` and `post` of the one `Console`, and lists their routes in doors.py.
"""

import base64
import math
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import jinja2
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app.calls.switchboard import Switchboard
from app.registry import Registry
from app.settings import Settings
from app.web.console import words
from app.web.console.auth import Password, Throttle, address_of
from app.web.console.files import Files
from app.web.console.session import SESSION_SECONDS, Session, Sessions
from app.web.guard import Guard, Refused

log = structlog.get_logger()

TEMPLATES = Path(__file__).parent.parent / "templates"
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}
"""On every answer of the console, unless the endpoint set one itself."""

PASSWORD_CHARACTERS = 1000

NAV = (
    ("/phone", "Phone"),
    ("/", "Live"),
    ("/calls", "Calls"),
    ("/stats", "Numbers"),
    ("/modes", "Modes"),
    ("/setup", "Setup"),
)
"""The pages in the head, in order; only those whose route there is."""

Form = Mapping[str, str]
Get = Callable[[Request], Awaitable[Response]]
Post = Callable[[Request, Form], Awaitable[Response]]


class Console:
    """Everything that pages share."""

    def __init__(
        self,
        *,
        settings: Settings,
        board: Switchboard,
        registry: Registry,
        engine: AsyncEngine,
        guard: Guard,
        stand_in: str,
    ) -> None:
        """stand_in: URL of the built-in model stand-in; empty if a real model answers."""
        self.settings = settings
        self.board = board
        self.registry = registry
        self.engine = engine
        self.guard = guard
        self.stand_in = stand_in
        self.password = Password(guard.operator_password, settings.public_url)
        self.throttle = Throttle()
        self.files = Files()
        self.clock = words.Clock(lambda: self.settings.office.zone)
        self.secure = settings.public_url.startswith("https:")
        self.cookie = "__Host-offhook" if self.secure else f"offhook-{settings.port}"
        """A cookie is of a host, whatever the port: servers beside each other on one machine must not share it."""
        self.paths: set[str] = set()
        """Of all routes that were made here."""
        self._sessions: Sessions | None = None
        self._templates = self._environment()

    async def sessions(self) -> Sessions:
        """The sessions; their key is made with the first."""
        if self._sessions is None:
            self._sessions = Sessions(await self.password.key())
        return self._sessions

    # --- routes -----------------------------------------------------------------------------------------------------

    def get(self, path: str, endpoint: Get, *, open_to_all: bool = False) -> Route:
        """A page. It may ask `request.state.session` who looks; strangers are led to the login unless it is open to all."""

        async def answer(request: Request) -> Response:
            return await self._answer(request, lambda: endpoint(request), open_to_all=open_to_all)

        self.paths.add(path)
        return Route(path, answer, methods=["GET"])

    def post(self, path: str, endpoint: Post, *, open_to_all: bool = False) -> Route:
        """An action, with the form's fields; its form must come from a page of ours."""

        async def answer(request: Request) -> Response:
            async def act() -> Response:
                return await endpoint(request, await self._form(request))

            return await self._answer(request, act, open_to_all=open_to_all)

        return Route(path, answer, methods=["POST"])

    async def _answer(
        self, request: Request, work: Callable[[], Awaitable[Response]], *, open_to_all: bool
    ) -> Response:
        try:
            request.state.session = await self.visitor(request)
            if not open_to_all:
                await self.operator(request)
            response = await work()
        except Refused as refusal:
            response = refusal.response
        except Exception:  # the operator sees that it is our fault, and where to look
            log.exception("a fault of ours on a page", path=request.url.path)
            what = "This page has a fault of ours. The server's log tells where; calls are not touched by it."
            response = self.trouble(request, 500, "Something went wrong", what)
        await self._keep(request, response)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _keep(self, request: Request, response: Response) -> None:
        """Send the cookie of a session that is new, or whose life is renewed."""
        session: Session | None = getattr(request.state, "session", None)
        if session is None or "set-cookie" in response.headers or not self.same_origin(request):
            return  # what another site's form asks for comes without our cookie: a new one would log the operator out
        sessions = await self.sessions()
        if request.cookies.get(self.cookie, "") == sessions.cookie(session):
            renewed = sessions.renewed(session)
            if renewed is None:
                return
            session = renewed
        self.set_cookie(response, sessions.cookie(session))

    def set_cookie(self, response: Response, value: str) -> None:
        """The session's cookie: not for scripts, not for other sites' forms, and only over TLS where the public URL has it."""
        response.set_cookie(
            self.cookie, value, max_age=SESSION_SECONDS, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    # --- who, and whence --------------------------------------------------------------------------------------------

    async def visitor(self, connection: HTTPConnection) -> Session:
        """Whose request this is: the session of its cookie, or a fresh one of nobody."""
        sessions = await self.sessions()
        return sessions.read(connection.cookies.get(self.cookie, "")) or sessions.begin()

    def inside(self, connection: HTTPConnection, session: Session) -> bool:
        """Whether the console is open to this session: logged in, or at this machine where the public URL is this machine."""
        return session.operator or self.guard.at_home(connection)

    async def operator(self, request: Request) -> Session:
        """Let the operator in. Raises Refused: a browser is led to the login and back, a program gets 401."""
        session: Session = request.state.session
        if self.inside(request, session) or await self._by_header(request):
            return session
        back = _target(request) if request.method == "GET" else words.page_of(request.headers.get("referer", ""))
        login = f"/login?next={quote(back, safe='/')}" if back != "/" else "/login"
        if request.headers.get("hx-request"):
            back = words.page_of(request.headers.get("hx-current-url", ""))
            away = {"HX-Redirect": f"/login?next={quote(back, safe='/')}"}
            raise Refused(PlainTextResponse("the login has expired\n", 401, headers=away))
        if "text/html" in request.headers.get("accept", ""):
            raise Refused(RedirectResponse(login, 303))
        raise Refused(PlainTextResponse("log in as operator\n", 401))

    async def _by_header(self, request: Request) -> bool:
        """Whether a program reads with the password in its request (HTTP Basic, any user name). It cannot act so."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic" or request.method != "GET":
            return False
        try:
            given = base64.b64decode(rest, validate=True).partition(b":")[2].decode()
        except ValueError:
            return False
        wait, right = await self.checked(request, given)
        if wait:
            raise Refused(PlainTextResponse("too many wrong passwords\n", 429, headers={"Retry-After": str(wait)}))
        return right

    async def checked(self, request: Request, given: str) -> tuple[int, bool]:
        """Seconds to wait before a password may be tried again (0: it was), and whether it is the operator's."""
        address = address_of(request)
        wait = math.ceil(self.throttle.take(address))
        if wait:
            log.warning("logins are throttled", seconds=wait)
            return wait, False
        right = len(given) <= PASSWORD_CHARACTERS and await self.password.right(given)
        if right:
            self.throttle.give_back(address)
        else:
            log.warning("wrong operator password", path=request.url.path)
        return 0, right

    async def operator_socket(self, connection: HTTPConnection) -> bool:
        """Whether a WebSocket may be accepted: the operator's, opened by a page of ours (an Origin is required)."""
        if not self.same_origin(connection) or not connection.headers.get("origin"):
            return False
        return self.inside(connection, await self.visitor(connection))

    def same_origin(self, connection: HTTPConnection) -> bool:
        """Whether the page that asks is ours, as far as the browser says. Tools that send no Origin are not browsers."""
        if connection.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = connection.headers.get("origin")
        if origin is None or origin == self.settings.public_url:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc == connection.headers.get("host", "")

    async def _form(self, request: Request) -> Form:
        """A form's fields, the last of each name. Raises Refused unless it is of this session's own page."""
        if not self.same_origin(request):
            raise Refused(self._foreign(request))
        body = (await self.guard.body(request)).decode("utf-8", "replace")
        try:
            form = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=200))
        except ValueError:
            raise Refused(PlainTextResponse("expected at most 200 form fields\n", 413)) from None
        given = request.headers.get("x-csrf-token") or form.pop("csrf", "")
        if not (await self.sessions()).fits(request.state.session, given):
            raise Refused(self._foreign(request))
        return form

    def _foreign(self, request: Request) -> Response:
        what = (
            "Nothing was done: the form did not come from a page of this console, or is older than its login. "
            "Go back, reload the page, and try again."
        )
        return self.trouble(request, 403, "That form is not valid any more", what)

    # --- pages ------------------------------------------------------------------------------------------------------

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Render `templates/console/<template>`. Beside its values it has the frame's: see `_frame`."""
        html = self._templates.get_template(f"console/{template}").render({**self._frame(request), **values})
        return HTMLResponse(html, status)

    def trouble(self, request: Request, status: int, title: str, what: str) -> Response:
        """A page that says what is wrong, and what to do."""
        return self.page(request, "trouble.html", status, title=title, what=what)

    def missing(self, request: Request, what: str = "There is no such page.") -> Response:
        """404, for an endpoint whose address names nothing."""
        return self.trouble(request, 404, "Not found", what)

    async def nowhere(self, request: Request, status: int) -> Response:
        """The answer to an address that no route has: a page for people, a line for programs."""
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("Not Found\n" if status == 404 else "Method Not Allowed\n", status)

        async def say() -> Response:
            return (
                self.missing(request) if status == 404 else self.trouble(request, status, "Not so", "Not by this way.")
            )

        return await self._answer(request, say, open_to_all=True)

    def _frame(self, request: Request) -> dict[str, Any]:
        session: Session | None = getattr(request.state, "session", None)
        inside = session is not None and self.inside(request, session)
        path = request.url.path
        nav = [(to, name) for to, name in NAV if to in self.paths] if inside else []
        here = max((to for to, _ in nav if path == to or path.startswith(to.rstrip("/") + "/")), key=len, default="")
        return {
            "nav": nav,
            "here": here if here != "/" or path == "/" else "",
            "inside": inside,
            "logged_in": session is not None and session.operator,
            "csrf": self._sessions.token(session) if self._sessions is not None and session is not None else "",
            "office": self.settings.office,
            "stand_in": self.stand_in,
            "live": self.board.live,
            "settings": self.settings,
        }

    def _environment(self) -> jinja2.Environment:
        loader = jinja2.FileSystemLoader(TEMPLATES)
        made = jinja2.Environment(
            loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        made.globals["static"] = self.files.stamped
        made.filters.update(
            masked=words.masked,
            usd=words.usd,
            ms=words.ms,
            lasting=words.lasting,
            moment=self.clock.moment,
            day=self.clock.day,
            clock=self.clock.clock,
        )
        return made


def _target(request: Request) -> str:
    """The path and query of a page, to come back to."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return words.way_back((raw.split(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1"))
