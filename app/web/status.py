"""What the platform asks (alive, ready, figures), and the page that says what runs until there is a console."""

from pathlib import Path

import jinja2
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app.settings import Settings
from app.switchboard import Switchboard
from app.web.guard import Guard, Refused

TEMPLATES = Path(__file__).parent / "templates"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Status:
    """The doors of the platform and of the curious operator."""

    def __init__(self, settings: Settings, board: Switchboard, guard: Guard, stand_in: str) -> None:
        self.settings = settings
        self.board = board
        self.guard = guard
        self.stand_in = stand_in
        loader = jinja2.FileSystemLoader(TEMPLATES)
        self.page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
            "status.html"
        )

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
            Route("/", self.overview),
        ]

    async def alive(self, request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Whether new calls are welcome; calls in progress are served either way."""
        if self.board.draining:
            return PlainTextResponse("draining: no new calls\n", 503)
        return PlainTextResponse("ready\n")

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        try:
            self.guard.scraper(request)
        except Refused as refusal:
            return refusal.response
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def overview(self, request: Request) -> Response:
        """What runs here."""
        try:
            self.guard.operator(request)
        except Refused as refusal:
            return refusal.response
        html = self.page.render(
            settings=self.settings, stand_in=self.stand_in, modes=sorted(self.board.modes), live=self.board.live
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})
