"""Spare links: a few open sockets to each model, so that a call pays for no name look-up, TCP, TLS or upgrade.

One stock for each endpoint and model. A stock keeps one link while nothing rings, and one more for every ten calls of the last
minute, up to SPARE_LINKS and never more than calls could still come; none is dialled while the house drains. Nothing is
configured on a spare link and nothing is asked for, so an idle one costs no token.

    dialling --first word, or 2 s without one--> ready --taken--> a call's
        | refused, or no answer                    | 25 min old, or closed by the server
        `--> later, twice as late each time        `--> another is dialled; later, if it did not live a minute
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
import structlog

from app import metrics
from app.adapters.endpoint import DIAL_ERRORS, Endpoint, FreshLink, Known, closed_by_server, dial
from app.core import events as ev
from app.errors import ModelRefused, PeerError
from app.log import of_call
from app.wire import realtime
from app.wire.negotiation import refused_for

log = structlog.get_logger()

MINUTE = 60.0
CALLS_A_LINK = 10
"""One more link for so many calls a minute: two of them within one dial (half a second) are rare at that rate."""


class SpareTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long things take, in seconds."""

    renew: float = 1500.0
    """The oldest that a link may become; a session ends after an hour, and a call may take half of it."""
    first_word: float = 2.0
    dial: float = 10.0
    failed: float = 1.0
    """Until the next dial after one that failed; doubled each time."""
    refused: float = 30.0
    """... after one that was refused: a wrong key, too many sessions."""
    longest: float = 900.0
    settled: float = 60.0
    """A link that the server closes before this was hardly better than a refusal."""
    full: float = 5.0
    """Until we look again whether there is room for calls."""


class Spares:
    """The stocks of all models. `room` tells how many more calls could come; 0 while the house drains."""

    def __init__(
        self,
        most: int,
        room: Callable[[], int],
        known: Known,
        times: SpareTimes | None = None,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """most: links for one model, 0 for none at all. chance: from 0 to 1, so that machines do not dial in step."""
        self.most = most
        self.room = room
        self.known = known
        self.times = times or SpareTimes()
        self.chance = chance
        self.closed = False
        self._stocks: dict[tuple[Endpoint, str], _Stock] = {}

    def keep(self, endpoint: Endpoint, models: Iterable[str]) -> None:
        """Have links ready for these models from now on. Needs a running loop."""
        for model in models:
            self._stock(endpoint, model).fill()

    def take(self, endpoint: Endpoint, model: str) -> FreshLink | None:
        """A call needs a link: an open one, the caller's from now on, or None if none is ready. Another is dialled."""
        return self._stock(endpoint, model).take()

    def ready(self) -> int:
        """How many are open now."""
        return sum(len(stock.ready) for stock in self._stocks.values())

    def close(self) -> None:
        """Close all, and dial no more."""
        self.closed = True
        for stock in self._stocks.values():
            stock.close()

    def count(self) -> None:
        """Show how many there are."""
        metrics.spare_links.set(self.ready())

    def _stock(self, endpoint: Endpoint, model: str) -> "_Stock":
        stock = self._stocks.get((endpoint, model))
        if stock is None:
            stock = self._stocks[endpoint, model] = _Stock(self, endpoint, model)
        return stock


class _Stock:
    """The links of one model."""

    def __init__(self, spares: Spares, endpoint: Endpoint, model: str) -> None:
        self.spares = spares
        self.endpoint = endpoint
        self.model = model
        self.ready: dict[FreshLink, asyncio.TimerHandle] = {}
        """Oldest first, each with its end."""
        self._dials: set[asyncio.Task[None]] = set()
        self._calls: deque[float] = deque()
        self._failures = 0
        """In a row; while there are any, one is dialled at a time, and later."""
        self._later: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def take(self) -> FreshLink | None:
        self._calls.append(self._loop.time())
        taken: FreshLink | None = None
        while self.ready and taken is None:
            link = next(iter(self.ready))  # the oldest: the fewest are renewed in vain
            self.ready.pop(link).cancel()
            if link.alive:
                taken = link
                self._failures = 0
            else:
                link.close()
        self.spares.count()
        with of_call(""):  # whoever takes one: the next ones are nobody's yet
            self.fill()
        return taken

    def wanted(self) -> int:
        """How many links are worth having now."""
        now = self._loop.time()
        while self._calls and self._calls[0] < now - MINUTE:
            self._calls.popleft()
        return min(self.spares.most, 1 + len(self._calls) // CALLS_A_LINK)

    def fill(self) -> None:
        """Dial what is missing, unless the last dial failed just now."""
        missing = self.wanted() - len(self.ready) - len(self._dials)
        if self.spares.closed or missing <= 0 or (self._failures and self._later is not None):
            return
        room = self.spares.room() - len(self.ready) - len(self._dials)
        if room <= 0:
            self._fill_later(self.spares.times.full)
            return
        for _ in range(min(missing, room, 1 if self._failures else missing)):
            task = self._loop.create_task(self._dial(), name="spare link")
            self._dials.add(task)

    def close(self) -> None:
        if self._later is not None:
            self._later.cancel()
        for task in self._dials:
            task.cancel()
        for link, timer in self.ready.items():
            timer.cancel()
            link.close()
        self.ready.clear()
        self.spares.count()

    async def _dial(self) -> None:
        """One more link, or a later attempt."""
        times = self.spares.times
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(times.dial):
                fresh = await dial(self.endpoint, self.model, self.spares.known)
                await _first_word(fresh, times.first_word)
        except DIAL_ERRORS as wrong:
            self._dials.discard(task)
            self._failed(wrong)
        except Exception as wrong:
            self._dials.discard(task)
            log.exception("a fault of ours while a spare link was dialled")
            self._failed(wrong)
        else:
            self._dials.discard(task)
            self._add(fresh)

    def _add(self, fresh: FreshLink) -> None:
        """A link is ready: until it is taken it is watched, and renewed before the server's hour is over."""
        if self.spares.closed:
            fresh.close()
            return
        life = self.spares.times.renew * (1 - 0.2 * self.spares.chance())
        self.ready[fresh] = self._loop.call_later(life, self._renew, fresh)
        born = self._loop.time()
        fresh.watch(lambda code, reason: self._lost(fresh, born, code, reason))
        self.spares.count()
        self.fill()

    def _renew(self, fresh: FreshLink) -> None:
        del self.ready[fresh]
        fresh.close()
        self._failures = 0
        self.spares.count()
        self.fill()

    def _lost(self, fresh: FreshLink, born: float, code: int, reason: str) -> None:
        """The server closed a link that nobody had taken."""
        timer = self.ready.pop(fresh, None)
        if timer is None:
            return
        timer.cancel()
        self.spares.count()
        if self._loop.time() - born < self.spares.times.settled:
            self._failed(closed_by_server(code, reason))
        else:
            self._failures = 0
            self.fill()

    def _failed(self, wrong: Exception) -> None:
        """No link: the next attempt is later, and later each time; said once."""
        times = self.spares.times
        if not self._failures:
            log.warning("no spare link to the model; calls dial for themselves", model=self.model, why=str(wrong))
        first = times.refused if isinstance(wrong, ModelRefused) else times.failed
        delay = min(times.longest, first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._fill_later(delay * (1 - 0.5 * self.spares.chance()))

    def _fill_later(self, seconds: float) -> None:
        if self._later is not None:
            self._later.cancel()
        if not self.spares.closed:
            self._later = self._loop.call_later(seconds, self._fill_again)

    def _fill_again(self) -> None:
        self._later = None
        self.fill()


async def _first_word(fresh: FreshLink, seconds: float) -> None:
    """Wait for what the server says by itself; one that waits for us is fine. Raises ModelRefused, LinkClosed."""
    try:
        await asyncio.wait([fresh.news], timeout=seconds)
        fresh.waited = True
        if fresh.end is not None:
            raise closed_by_server(*fresh.end)
        for text in fresh.kept:
            if isinstance(word := _read(text), ev.ModelComplained):
                raise ModelRefused(f"the model's server refused the session ({refused_for(word)})", said=word.message)
    except BaseException:
        fresh.close()
        raise


def _read(text: bytes) -> realtime.Message | None:
    try:
        return realtime.parse(text)
    except PeerError:
        return None
