"""A listener that remembers, and sessions with the model stand-in, for the tests of links to the model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from app.adapters.endpoint import Endpoint, Known
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.adapters.spare import Spares, SpareTimes
from app.mode import ServerVad
from app.sim.model import ModelServer
from app.wire.dialects import SessionPlan
from tests.calls.conversations import TALK

MODEL = "gpt-realtime-1.5"
PATIENCE = 10.0
PLAN = SessionPlan(
    instructions="You answer the phone.", tools=[], voice="marin", turn_detection=ServerVad(), transcription_model=""
)
GREETS = Opening(text="Greet the caller.")
NEVER = 3600.0


class Ear:
    """A `ModelListener`: all that came, in order, and how it ended."""

    def __init__(self) -> None:
        self.ready: list[bool] = []
        self.events: list[dict[str, Any]] = []
        self.lost = ""
        self._news = asyncio.Event()

    def model_ready(self, *, opening: bool) -> None:
        self.ready.append(opening)
        self._news.set()

    def from_model(self, text: bytes) -> None:
        self.events.append(msgspec.json.decode(text))
        self._news.set()

    def model_lost(self, why: str) -> None:
        self.lost = why
        self._news.set()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not check():
                self._news.clear()
                await self._news.wait()

    async def hears(self, kind: str) -> dict[str, Any]:
        """The first event of a type."""
        await self.until(lambda: kind in self.types or bool(self.lost))
        assert not self.lost, self.lost
        return next(event for event in self.events if event["type"] == kind)


@asynccontextmanager
async def model_server(**options: Any) -> AsyncIterator[tuple[ModelServer, Endpoint]]:
    """A stand-in that greets, and where it is."""
    server = ModelServer(scripts=[TALK], first_audio_ms=0, pace=0, **options)
    url = await server.start()
    try:
        yield server, Endpoint(url=url)
    finally:
        await server.close()


@asynccontextmanager
async def stocked(
    server: ModelServer,
    endpoint: Endpoint,
    most: int = 1,
    *,
    known: Known | None = None,
    room: int = 100,
    **times: float,
) -> AsyncIterator[Spares]:
    """Spare links to a stand-in, all of them there."""
    spares = Spares(most, lambda: room, known or Known(), SpareTimes(**{"renew": NEVER, **times}), chance=lambda: 0.0)
    spares.keep(endpoint, [MODEL])
    try:
        if most and room:
            await until(lambda: spares.ready() == 1)
        yield spares
    finally:
        spares.close()
        await until(lambda: not server.live)


def session(endpoint: Endpoint, known: Known | None = None, **options: Any) -> ModelSession:
    """A session that has not begun."""
    plan, opening = options.pop("plan", PLAN), options.pop("opening", GREETS)
    return ModelSession(endpoint, options.pop("model", MODEL), plan, opening, known=known, **options)


async def talked(it: ModelSession) -> Ear:
    """Attach to a session, and hear its greeting to the end."""
    ear = Ear()
    it.attach(ear)
    await ear.hears("response.done")
    return ear


async def until(check: Callable[[], bool]) -> None:
    """Wait until the other end of a socket has come so far; it is on this loop, but sets no event of ours."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
