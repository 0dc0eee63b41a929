"""The own door: what `./offhook status` and `stop` ask of the server that runs.

Its proof is a key that is made anew at each start and written, for the owner alone, into the data folder.
"""

import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app.adapters.own_word import PATH, HowItStands
from app.calls.switchboard import Switchboard
from app.mode import Mode
from app.settings import Settings


class OwnDoor:
    """One path, for one reader."""

    def __init__(
        self, settings: Settings, board: Switchboard, modes: Mapping[str, Mode], waiting: Callable[[], int]
    ) -> None:
        """modes: those of new calls, as they change. waiting: how many rows are."""
        self.settings, self.board, self.modes, self.waiting = settings, board, modes, waiting
        self.key = secrets.token_hex(16)
        self.again: Callable[[], bool] = lambda: False
        """Whether it drains in order to start anew; the house's own end knows."""

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [Route(PATH, self.status)]

    async def status(self, request: Request) -> Response:
        """How the server stands, as JSON."""
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self.key}".encode()):
            return PlainTextResponse("expected the key of the data folder's serve.json\n", 403)
        return Response(msgspec.json.encode(self.stands()), media_type="application/json")

    def stands(self) -> HowItStands:
        """How the server stands."""
        settings = self.settings
        return HowItStands(
            live=self.board.live,
            max_calls=settings.max_calls,
            draining=self.board.draining,
            drain_seconds=settings.drain_seconds,
            again=self.again(),
            waiting=self.waiting(),
            database=_host(settings.database_url) if settings.database_url else "embedded",
            model="the built-in stand-in"
            if settings.stand_in
            else f"{settings.realtime_model} at {_host(settings.realtime_url)}",
            modes={name: mode.edition.stamp for name, mode in sorted(self.modes.items())},
        )


def _host(url: str) -> str:
    """Whom a URL reaches, without user, password or query."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or "a local socket"
