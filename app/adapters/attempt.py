"""One attempt at a session with the model: what is asked for, what is presumed of the server, and how it ends."""

import asyncio

from app.adapters.opening import Opening
from app.errors import PeerError
from app.rules.engines import DialectName, Engine
from app.wire.dialects import SessionPlan
from app.wire.negotiation import Negotiation


class Attempt:
    """One attempt at a session, from its link to `session.updated`."""

    def __init__(
        self,
        plan: SessionPlan,
        opening: Opening,
        forced: DialectName | None,
        *,
        engine: Engine | None = None,
        careful: bool = False,
    ) -> None:
        """engine: what it is dialled as, and may fall back to. careful: presume nothing of the server, as if it was not known."""
        self.plan = plan
        self.opening = opening
        self.careful = careful
        self.engine = engine
        self.negotiation = Negotiation(plan, forced, engine=engine)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.spare = False
        """On a link that had waited for us: it may be dead without our knowing."""
        self.hasty = False
        """The opening goes out with the configuration, before the server has taken it."""
        self.opened = False
        self._presumed = False
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def presumes(self) -> bool:
        """Whether its failure may be of our own making, and is worth another dial."""
        return self.spare or self._presumed

    def presume(self, dialect: DialectName, *, hasty: bool) -> None:
        """The server is known: nothing is detected, and its first word need not be waited for."""
        self.negotiation = Negotiation(self.plan, dialect, engine=self.engine, presumed=True)
        self.hasty = hasty
        self._presumed = True

    def told(self) -> None:
        """The server said something: it is there."""
        if not self._news.done():
            self._news.set_result(None)

    async def agreed(self, quiet_seconds: float) -> None:
        """Until the session is configured. Raises what the attempt failed with; TimeoutError after so long without a word."""
        while not self.ready.done():
            done, _ = await asyncio.wait(
                [self.ready, self._news], timeout=quiet_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise TimeoutError
            if self._news.done():
                self._news = asyncio.get_running_loop().create_future()
        self.ready.result()

    def failed(self, wrong: PeerError) -> None:
        """The attempt is over; the first reason counts."""
        if not self.ready.done():
            self.ready.set_exception(wrong)
            self.ready.exception()  # whoever waits gets it; if nobody does, it is no news
