"""What the platform asks: alive, ready for new calls, figures."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app.calls.switchboard import Switchboard
from app.web.guard import Guard, Refused


class Status:
    """The doors of the platform."""

    def __init__(self, board: Switchboard, guard: Guard) -> None:
        self.board = board
        self.guard = guard

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
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
