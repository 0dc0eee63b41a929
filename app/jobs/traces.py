"""One trace a call, where somebody wants them: rows are watched on their way to the books, and told as spans when a call is over.

Nothing is measured for it, and nothing waits for it: a row costs a look at its type, and one of a call a place in a list. A call
that another process goes on with is told in two parts of one trace, the root by the process that ends it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.journal import Journal
from app.adapters.journal_disk import JournalDisk
from app.adapters.warm import Warm
from app.calls.roster import Roster
from app.core.rows import CallStarted, Row
from app.core.trace_tree import TRACED, CallNotes, Node
from app.mode import Mode
from app.mode_sheet import every_tool
from app.settings import Settings

log = structlog.get_logger()

LINGER_SECONDS = 1.0
"""The request that ends a call is answered after its last row."""
CALLS = 20_000
"""So many calls are remembered; past it the oldest is told as it stands."""
LONGEST = timedelta(hours=25)


class Teller(Protocol):
    """Who takes the spans: `app.adapters.otlp.Collector`."""

    def tell(self, call_sid: str, tree: Callable[[], Sequence[Node]]) -> None:
        """The spans of one call, made when there is time."""
        ...

    async def close(self, seconds: float = ...) -> None:
        """Bring what waits, within this."""
        ...


class Traces:
    """What is known of the calls of this process. `follow` sees each row once it was put."""

    def __init__(
        self,
        teller: Teller,
        tools: Callable[[str], Set[str]],
        *,
        now: Callable[[], float] = time.time,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """tools: the names of a mode's. now: unix seconds."""
        self.teller = teller
        self.tools = tools
        self.now = now
        self.linger = linger
        self.calls: OrderedDict[str, CallNotes] = OrderedDict()
        self._modes: dict[str, str] = {}

    def follow(self, row: Row) -> None:
        """One row of the books."""
        if type(row) not in TRACED:
            return
        notes = self.calls.get(row.call_sid)
        if notes is None:
            if type(row) is not CallStarted:  # of a call that was told already
                return
            notes = self.calls[row.call_sid] = CallNotes(row.call_sid)
            self._modes[row.call_sid] = row.mode
            self._tell_of_the_lost(row.started_at)
        was_over = notes.over
        notes.add(row)
        if notes.over and not was_over:
            asyncio.get_running_loop().call_later(self.linger, self._tell, row.call_sid)

    def _tell_of_the_lost(self, now: datetime) -> None:
        """Calls whose end is told elsewhere, or nowhere: no call lasts longer than a day."""
        while (oldest := next(iter(self.calls.values()))).began_before(now - LONGEST) or len(self.calls) > CALLS:
            self._tell(oldest.call_sid)

    def answered(self, call_sid: str, door: str, seconds: float) -> None:
        """A request of the carrier's was answered just now."""
        if (notes := self.calls.get(call_sid)) is not None:
            notes.answered(door, seconds, self.now())

    def prepared(self, call_sid: str, how: str, server: str, state: str, seconds: float) -> None:
        """A session that was begun for a call is ready, or lost."""
        if (notes := self.calls.get(call_sid)) is not None:
            notes.prepared(how, server, state, seconds, self.now())

    def _tell(self, call_sid: str) -> None:
        notes, mode = self.calls.pop(call_sid, None), self._modes.pop(call_sid, "")
        if notes is not None:
            tools, now = self.tools(mode), self.now()
            self.teller.tell(call_sid, lambda: notes.tree(tools, now))

    async def close(self) -> None:
        """Tell what is known of the calls that are left, and wait a moment for the collector."""
        for call_sid in list(self.calls):
            self._tell(call_sid)
        await self.teller.close()

    def watch(self, board: Roster, warm: Warm) -> None:
        """Be told of what no row has."""
        board.answered, warm.told = self.answered, self.prepared


class TracedJournal(Journal):
    """A journal whose rows are watched."""

    def __init__(self, engine: AsyncEngine, disk: JournalDisk | None, traces: Traces) -> None:
        super().__init__(engine, disk)
        self._traces = traces

    def put(self, row: Row) -> None:
        """Take a row, as any journal does."""
        super().put(row)
        try:
            self._traces.follow(row)
        except Exception:  # the row is kept; a trace is nobody's call
            log.exception("a fault of ours took a call's trace", call_sid=row.call_sid)


def traces_of(settings: Settings, modes: Callable[[], Mapping[str, Mode]], version: str) -> Traces | None:
    """None where no collector is set: then nothing of OpenTelemetry is even loaded. modes: those that there are at that moment."""
    if not settings.otlp_endpoint:
        return None
    from app.adapters.otlp import Collector

    collector = Collector(
        settings.otlp_endpoint,
        headers=settings.otlp_headers,
        service=settings.service_name,
        version=version,
        instance=settings.fly_machine,
    )
    return Traces(collector, lambda name: tool_names(modes().get(name)))


def tool_names(mode: Mode | None) -> Set[str]:
    """All tools of a mode, those of its flow included."""
    return frozenset() if mode is None else every_tool(mode).keys()
