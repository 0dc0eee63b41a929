"""What a day's calls have cost, by caller, by dialled number and in all, and whether a new call may cost more.

Sums are kept in memory, so that a webhook never waits for the books: what the books know of the day (read at the start, and
again each minute, which is how other processes' calls and earlier lives of this one count), and on top of it the calls that are
in progress here. A call that is over is taken over by the books once they have its row. A day is one of the business's zone, and
a call belongs to the day on which it began.

    cap             over it                                            setting
    caller_day      the caller's calls of this day                     MAX_CALLER_DAY_COST_USD
    number_day      calls to the dialled number                        MAX_NUMBER_DAY_COST_USD
    day             all calls                                          MAX_DAY_COST_USD
    caller_calls    more calls of a caller within an hour              MAX_CALLER_HOUR_CALLS (new calls only)
    lag             the loop runs late                                 MAX_LOOP_LAG_MS (new calls only)

New calls over a cap go to the keypad menu or a person; those in progress are wound down where it is about money. Callers who
withhold their number are one caller.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Literal, Protocol

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.adapters.spent import Spent, spent_since
from app.calls.lag import LoopLag
from app.core.record import CallRecord
from app.core.rows import CallInfo
from app.rules.office import Office
from app.rules.prices import Prices
from app.settings import Settings

log = structlog.get_logger()

Cap = Literal["caller_day", "number_day", "day", "caller_calls", "lag"]
LOOK_SECONDS = 2.0
"""So often calls in progress are looked at."""
BOOKS_SECONDS = 60.0
"""... and the books are read."""
HOUR = timedelta(hours=1)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars of a day, and calls of an hour; 0: no such cap."""

    caller_day: float = 0.0
    number_day: float = 0.0
    day: float = 0.0
    caller_calls: int = 0

    @property
    def money(self) -> bool:
        """Whether any sum has to be known."""
        return bool(self.caller_day or self.number_day or self.day)


class Paid(Protocol):
    """A call as far as it costs: `LiveCall`."""

    info: CallInfo
    record: CallRecord
    finished: bool


Books = Callable[[datetime, Sequence[str]], Awaitable[list[Spent]]]
"""Sums of all calls that began since a moment (aware), but for those of certain SIDs. May raise what a database raises."""


class _Own:
    """A call of this process, and what of its cost is in the books' sums already."""

    __slots__ = ("before", "call", "day", "record")

    def __init__(self, call: Paid, day: date) -> None:
        self.call, self.day = call, day
        self.record, self.before = call.record, call.record.cost_usd

    @property
    def usd(self) -> float:
        if self.call.record is not self.record:  # what another process knew of it has come: that is in the books
            self.record, self.before = self.call.record, self.call.record.cost_usd
        return max(0.0, self.record.cost_usd - self.before)

    def counts_whole(self) -> None:
        """The books' sums leave it out: all that it has cost counts here."""
        self.record, self.before = self.call.record, 0.0


class Spending:
    """The sums of one process, and its answer to a new call."""

    def __init__(
        self,
        limits: Limits,
        office: Office,
        lag: LoopLag,
        books: Books,
        *,
        settled: Callable[[], Awaitable[bool]],
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """settled: waits until every row that was put until now is in the books; False: they do not take them."""
        self.limits = limits
        self.office = office
        self.lag = lag
        self._books = books
        self._settled = settled
        self._utc = utc
        self._day = self._today()
        self._callers: dict[str, float] = {}
        self._numbers: dict[str, float] = {}
        self._all = 0.0
        self._own: dict[str, _Own] = {}
        self._came: dict[str, deque[datetime]] = defaultdict(deque)

    @classmethod
    def of(
        cls, settings: Settings, engine: AsyncEngine, lag: LoopLag, *, settled: Callable[[], Awaitable[bool]]
    ) -> "Spending":
        """By the settings' caps, with the books of a database."""
        limits = Limits(
            caller_day=settings.max_caller_day_cost_usd,
            number_day=settings.max_number_day_cost_usd,
            day=settings.max_day_cost_usd,
            caller_calls=settings.max_caller_hour_calls,
        )
        return cls(limits, settings.office, lag, partial(spent_since, engine), settled=settled)

    # --- calls ------------------------------------------------------------------------------------------------------

    def refuses(self, info: CallInfo) -> Cap | None:
        """The cap that a new call is over; None: it is welcome. Counts it, and says so, when it is not."""
        cap = self._cap_of_new(info)
        if cap is not None:
            metrics.capped_total.labels(cap, "new").inc()
            log.warning("a new call is over a cap: no model answers it", call_sid=info.call_sid, cap=cap)
        return cap

    def _cap_of_new(self, info: CallInfo) -> Cap | None:
        if self.lag.overloaded:
            return "lag"
        if self.limits.caller_calls:
            came = self._came[info.caller]
            self._forget_old(came)
            if len(came) >= self.limits.caller_calls:
                return "caller_calls"
            came.append(self._utc())
        return self.over(info)

    def begins(self, call: Paid) -> None:
        """A call of this process, from its beginning or from where it is taken up."""
        if self.limits.money:
            self._own[call.info.call_sid] = _Own(call, self._today())

    def over(self, info: CallInfo) -> Cap | None:
        """The cap on money that a caller, a number or the day is over."""
        limits = self.limits
        if not limits.money:
            return None
        self._turn_of_day()
        own = [one for one in self._own.values() if one.day == self._day]
        if limits.caller_day:
            mine = sum(one.usd for one in own if one.call.info.caller == info.caller)
            if self._callers.get(info.caller, 0.0) + mine >= limits.caller_day:
                return "caller_day"
        if limits.number_day:
            here = sum(one.usd for one in own if one.call.info.dialled == info.dialled)
            if self._numbers.get(info.dialled, 0.0) + here >= limits.number_day:
                return "number_day"
        if limits.day and self._all + sum(one.usd for one in own) >= limits.day:
            return "day"
        return None

    # --- in the background ------------------------------------------------------------------------------------------

    async def run(self, live: Callable[[], Iterable[Paid]], wind_down: Callable[[Paid, Cap], None]) -> None:
        """Look after calls in progress, and read the books, until cancelled. wind_down may be told of a call again and again."""
        loop = asyncio.get_running_loop()
        await self.read_books()
        read = loop.time()
        while self.limits.money or self.limits.caller_calls:
            await asyncio.sleep(LOOK_SECONDS)
            for call in list(live()):
                if (cap := self.over(call.info)) is not None:
                    wind_down(call, cap)
            if loop.time() - read >= BOOKS_SECONDS:
                read = loop.time()
                await self.read_books()

    async def read_books(self) -> None:
        """Take the sums of the day from the books. If they do not answer, or lag behind, the old ones hold."""
        for caller, came in list(self._came.items()):
            self._forget_old(came)
            if not came:
                del self._came[caller]
        if not self.limits.money:
            return
        done = {sid for sid, one in self._own.items() if one.call.finished}
        if not await self._settled():
            return
        self._turn_of_day()
        day = self._day
        still = [sid for sid in self._own if sid not in done]
        began = datetime(day.year, day.month, day.day, tzinfo=self.office.zone)
        try:
            sums = await self._books(began, still)
        except Exception as wrong:  # caps hold by what is known; the books will be there next time
            log.warning("what the day has cost cannot be read", why=f"{type(wrong).__name__}: {wrong}")
            return
        if day != self._today():
            return
        self._clear()
        for row in sums:
            self._callers[row.caller] = self._callers.get(row.caller, 0.0) + row.usd
            self._numbers[row.dialled] = self._numbers.get(row.dialled, 0.0) + row.usd
            self._all += row.usd
        for sid in done:
            self._own.pop(sid, None)
        for sid in still:
            if (one := self._own.get(sid)) is not None and one.day == day:
                one.counts_whole()

    def _turn_of_day(self) -> None:
        """At midnight everybody begins anew; calls from before it are counted no more."""
        if (today := self._today()) != self._day:
            self._day = today
            self._clear()
            self._own = {sid: one for sid, one in self._own.items() if not one.call.finished}

    def _clear(self) -> None:
        self._callers.clear()
        self._numbers.clear()
        self._all = 0.0

    def _forget_old(self, came: "deque[datetime]") -> None:
        ago = self._utc() - HOUR
        while came and came[0] <= ago:
            came.popleft()

    def _today(self) -> date:
        return self.office.now(self._utc()).date()


def warn_of_guesses(prices: Prices, models: Iterable[str]) -> None:
    """Say at start-up which models' calls are counted by a guess."""
    for model in models:
        if not prices.knows(model):
            log.warning(
                "the price of a model is not known: its calls are counted by the dearest",
                model=model,
                remedy="name it in offhook.toml, [prices.models]",
            )
