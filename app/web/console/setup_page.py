"""`/setup`: what `./offhook doctor` says of this very server. Made when somebody asks for it; rows are shown as they come."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from app.adapters.data_folder import Running
from app.adapters.endpoint import tls
from app.doctor.rows import Row
from app.settings import environment
from app.web.console.pages import Console, Form

log = structlog.get_logger()


class Line(NamedTuple):
    """A check by its name, and its row once it is there."""

    name: str
    row: Row | None


class Examined:
    """One examination, going on or over."""

    def __init__(self, *, calls: bool) -> None:
        self.calls = calls
        self.ended_at: datetime | None = None
        self.names: list[str] = []
        self.rows: dict[int, Row] = {}
        self.broken = False

    @property
    def lines(self) -> list[Line]:
        """All checks in order."""
        return [Line(name, self.rows.get(place)) for place, name in enumerate(self.names)]

    def count(self, level: str) -> int:
        """How many rows are of a level."""
        return sum(row.level == level for row in self.rows.values())


class SetupPage:
    """One examination at a time; the last one stays to be seen."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last: Examined | None = None
        self.task: asyncio.Task[None] | None = None
        self.running: Callable[[], Running] = self._running

    def routes(self) -> list[BaseRoute]:
        """The page, its rows, its action."""
        return [
            self.console.get("/setup", self.show),
            self.console.get("/setup/rows", self.rows),
            self.console.post("/setup", self.examine),
        ]

    async def show(self, request: Request) -> Response:
        """The last examination, or that there was none."""
        return self.console.page(request, "setup.html", last=self.last)

    async def rows(self, request: Request) -> Response:
        """The part of the page that changes, which asks for itself again while something is going on."""
        return self.console.page(request, "setup_rows.html", last=self.last)

    async def examine(self, request: Request, form: Form) -> Response:
        """Begin, unless one is going on. A call is made only if the form says so: a real model takes cents for it."""
        if self.last is None or self.last.ended_at is not None:
            self.last = Examined(calls=form.get("call") == "on")
            self.task = asyncio.create_task(self._examine(self.last), name="setup page")
        return RedirectResponse("/setup", 303)

    async def _examine(self, examined: Examined) -> None:
        console = self.console
        try:
            await asyncio.to_thread(_load)
            from app.doctor.examination import checks
            from app.doctor.examination import examine as all_of
            from app.doctor.patient import Patient

            patient = Patient(
                console.settings,
                console.registry,
                running=self.running(),
                tokens=console.guard.tokens,
                calls=examined.calls,
                environ=environment(),
            )
            try:
                made = checks(patient, console.registry)
                examined.names = [check.name for check in made]
                await all_of(patient, made, examined.rows.__setitem__)
            finally:
                await patient.close()
        except Exception:
            log.exception("a fault of ours on the setup page")
            examined.broken = True
        finally:
            examined.ended_at = datetime.now(UTC)

    def _running(self) -> Running:
        """This process, as it tells other commands."""
        settings = self.console.settings
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
        url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
        database = str(self.console.engine.url.render_as_string(hide_password=False))
        return Running(os.getpid(), url, settings.public_url, database, self.console.stand_in)


def _load() -> None:
    """What is needed only here: an HTTP client and the carrier stand-in. Not at the start, and not on the loop of calls."""
    import app.doctor.examination  # noqa: F401

    tls()  # to make it reads every authority of the system
