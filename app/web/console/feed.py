"""The live feed: what every call in progress looks like now, and the stream of server-sent events that tells of changes.

One look at the calls serves all who watch, twice a second, and only while somebody does. A watcher is told what has changed since
it was told last, so a slow one gets fewer, never older news; one that does not read for `WRITE_SECONDS` is let go.

    event: calls   {"now": 1795320000.5, "live": 3, "max": 200, "draining": false, "calls": [rows that changed], "over": [SIDs]}
    event: beat    {}                     nothing changed for a while: the line is alive
    event: end     {}                     this login is over; ask for the page again
"""

import asyncio
import time
from collections.abc import Callable

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.calls.live_call import LiveCall
from app.calls.switchboard import Switchboard
from app.core.phases import Phase
from app.web.console import words

LOOK_SECONDS = 0.5
BEAT_SECONDS = 10.0
WRITE_SECONDS = 20.0
WATCHERS = 50
ROWS = 200
"""Calls that are shown; the longest ones. A page has to stay small."""
WORDS_CHARACTERS = 160
BEAT = "event: beat\ndata: {}\n\n"
END = "event: end\ndata: {}\n\n"


class LiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call in progress, as the page shows it. `since`: Unix seconds with a fraction, when it came here."""

    sid: str
    mode: str
    caller: str
    """Masked."""
    dialled: str
    since: float
    state: str
    who: str
    """Who speaks just now: caller, agent, or nobody (empty)."""
    said_by: str
    said: str
    """The last words, of `said_by`; the end of them."""
    cost: str
    streaming: bool


class Change(msgspec.Struct, frozen=True):
    """What a watcher is told. `now`: Unix seconds, so that a browser with a wrong clock counts right."""

    now: float
    live: int
    max: int
    draining: bool
    calls: list[LiveRow]
    over: list[str]


def live_rows(board: Switchboard) -> dict[str, LiveRow]:
    """The calls in progress by SID, those that came first first."""
    now = time.monotonic()
    offset = time.time() - now
    rows: dict[str, LiveRow] = {}
    for sid, call in board.calls.items():
        if not call.finished and len(rows) < ROWS:
            rows[sid] = live_row(call, now, offset)
    return rows


def live_row(call: LiveCall, now: float, offset: float) -> LiveRow:
    """One call as it is. offset: of Unix time over the monotonic clock."""
    last = next((turn for turn in reversed(call.record.spoken) if turn.text), None)
    return LiveRow(
        sid=call.info.call_sid,
        mode=call.mode.name,
        caller=words.masked(call.info.caller),
        dialled=call.info.dialled,
        since=round(call.came_at + offset, 1),
        state=_state(call),
        who=_speaks(call, now),
        said_by=last.who if last is not None else "",
        said=_end_of(last.text) if last is not None else "",
        cost=words.usd(round(call.record.cost_usd, 4)),
        streaming=call.streaming,
    )


def _state(call: LiveCall) -> str:
    """What the call does, in a few words."""
    attempt = call.transfers.current
    if call.relay is None:
        if attempt is not None:
            return f"with {attempt.desk}" if attempt.result == "accepted" else f"rings at {attempt.desk}"
        if call.by_keys:
            return "in the keypad menu"
        return "between streams" if call.streams else "ringing"
    match call.relay.machine.phase:
        case Phase.TALKING:
            return "talking"
        case Phase.LEAVING:
            return f"going to {call.next.desk}" if call.next.step == "dial" else "saying goodbye"
    return "answering"


def _speaks(call: LiveCall, now: float) -> str:
    if call.relay is None:
        return ""
    machine = call.relay.machine
    if machine.sequencer.caller_speaking:
        return "caller"
    return "agent" if machine.playback.playing(now) else ""


def _end_of(text: str) -> str:
    """The last words that fit, whole ones."""
    if len(text) <= WORDS_CHARACTERS:
        return text
    return "… " + text[-WORDS_CHARACTERS:].partition(" ")[2]


class Watcher:
    """One browser's line. `holds`: whether its login still does."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self.holds = holds
        self.news = asyncio.Event()
        self.left = False
        self.told: dict[str, LiveRow] = {}
        self.stood: tuple[int, int, bool] | None = None


class Feed:
    """Looks at the calls while somebody watches."""

    def __init__(self, board: Switchboard) -> None:
        self.board = board
        self.rows: dict[str, LiveRow] = {}
        self.watchers: set[Watcher] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self.watchers) >= WATCHERS

    @property
    def ending(self) -> bool:
        """Whether this process stops, and nothing is left to be told: lines end by themselves before they are cut."""
        return self.board.closing or (self.board.draining and self.board.live == 0)

    def enter(self, watcher: Watcher) -> None:
        """Begin to watch."""
        self.watchers.add(watcher)
        self.rows = live_rows(self.board)
        watcher.news.set()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="live feed")

    def leave(self, watcher: Watcher) -> None:
        """Watch no more. The last one ends the looking."""
        self.watchers.discard(watcher)
        if not self.watchers and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.rows = live_rows(self.board)
            for watcher in self.watchers:
                if self.ending or self._differs(watcher):
                    watcher.news.set()

    def _differs(self, watcher: Watcher) -> bool:
        return watcher.told != self.rows or watcher.stood != self._stands()

    def _stands(self) -> tuple[int, int, bool]:
        return self.board.live, self.board.max_calls, self.board.draining

    async def next(self, watcher: Watcher) -> str:
        """The next event for a watcher, as text of the stream; empty: its line is over."""
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                await watcher.news.wait()
        except TimeoutError:
            return BEAT if watcher.holds() else END
        watcher.news.clear()
        if watcher.left or self.ending:
            return ""
        if not watcher.holds():
            return END
        return self._change(watcher)

    def _change(self, watcher: Watcher) -> str:
        rows, told = self.rows, watcher.told
        live, most, draining = watcher.stood = self._stands()
        changed = [row for sid, row in rows.items() if told.get(sid) != row]
        over = [sid for sid in told if sid not in rows]
        watcher.told = rows
        data = msgspec.json.encode(Change(round(time.time(), 1), live, most, draining, changed, over)).decode()
        return f"event: calls\ndata: {data}\n\n"


class EventStream(Response):
    """The answer that goes on. It ends with the browser's line, with the login, or with a reader that does not read."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, watcher: Watcher) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.feed, self.watcher = feed, watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until it is over."""
        feed, watcher = self.feed, self.watcher
        feed.enter(watcher)
        gone = asyncio.create_task(_until_gone(receive, watcher), name="live watcher")
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while event := await feed.next(watcher):
                async with asyncio.timeout(WRITE_SECONDS):
                    await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
                if event is END:
                    break
            if not watcher.left:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            return
        finally:
            gone.cancel()
            feed.leave(watcher)


async def _until_gone(receive: Receive, watcher: Watcher) -> None:
    """Wait for the browser to close its line."""
    while (await receive())["type"] != "http.disconnect":
        continue
    watcher.left = True
    watcher.news.set()
