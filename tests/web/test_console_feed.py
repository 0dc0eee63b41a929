"""The live feed: who is told what, how it ends, and that it takes no more than it may."""

import asyncio
import json
from typing import Any, cast

import pytest

from app.calls.live_call import Next
from app.core.record import Spoken
from app.web.console import feed as feeds
from app.web.console.feed import BEAT, END, WATCHERS, EventStream, Feed, Watcher, live_rows
from tests.web.console_stage import Stage

PATIENCE = 10.0


def told(event: str) -> dict[str, Any]:
    """What a `calls` event says."""
    kind, _, data = event.partition("\n")
    assert kind == "event: calls"
    assert event.endswith("\n\n")
    change: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return change


def watching(stage: Stage) -> tuple[Feed, Watcher]:
    feed, watcher = Feed(stage.console.board), Watcher(lambda: True)
    feed.enter(watcher)
    return feed, watcher


async def next_of(feed: Feed, watcher: Watcher) -> str:
    async with asyncio.timeout(PATIENCE):
        return await feed.next(watcher)


async def test_a_watcher_is_told_all_at_first_and_then_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.001)
    stage = Stage()
    one, two = stage.rings(said="Hello."), stage.rings()
    feed, watcher = watching(stage)
    try:
        first = told(await next_of(feed, watcher))
        assert [row["sid"] for row in first["calls"]] == [one.info.call_sid, two.info.call_sid]
        assert (first["live"], first["max"], first["draining"], first["over"]) == (2, 200, False, [])
        two.record.cost_usd = 0.5
        second = told(await next_of(feed, watcher))
        assert [(row["sid"], row["cost"]) for row in second["calls"]] == [(two.info.call_sid, "$0.50")]
        one.finished = True
        third = told(await next_of(feed, watcher))
        assert (third["calls"], third["over"], third["live"]) == ([], [one.info.call_sid], 1)
        stage.board.draining = True
        assert told(await next_of(feed, watcher))["draining"] is True, "what talks still is told of"
        two.finished = True
        assert await next_of(feed, watcher) == "", "then the line ends before the server cuts it"
    finally:
        feed.leave(watcher)


async def test_a_slow_watcher_gets_the_newest_news_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.001)
    stage = Stage()
    call = stage.rings()
    (slow, fast), feed = (Watcher(lambda: True), Watcher(lambda: True)), Feed(stage.console.board)
    for watcher in (slow, fast):
        feed.enter(watcher)
        await next_of(feed, watcher)
    for cost in (1.0, 2.0, 3.0):
        call.record.cost_usd = cost
        await next_of(feed, fast)
    assert [row["cost"] for row in told(await next_of(feed, slow))["calls"]] == ["$3.00"]
    for watcher in (slow, fast):
        feed.leave(watcher)


async def test_nobody_looks_while_nobody_watches() -> None:
    feed, watcher = watching(Stage())
    looking = feed._looking
    assert looking is not None
    feed.leave(watcher)
    await asyncio.gather(looking, return_exceptions=True)
    assert looking.cancelled()
    assert feed._looking is None


async def test_a_quiet_line_beats_and_one_whose_login_is_over_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "BEAT_SECONDS", 0.01)
    stage = Stage()
    feed = Feed(stage.console.board)
    holds = True
    watcher = Watcher(lambda: holds)
    feed.enter(watcher)
    await next_of(feed, watcher)
    assert await next_of(feed, watcher) == BEAT
    holds = False
    assert await next_of(feed, watcher) == END
    watcher.news.set()
    assert await next_of(feed, watcher) == END
    feed.leave(watcher)


async def test_the_line_is_over_when_the_process_stops_or_the_browser_left() -> None:
    stage = Stage()
    feed, watcher = watching(stage)
    stage.board.closing = True
    assert await next_of(feed, watcher) == ""
    feed.leave(watcher)
    stage.board.closing = False
    feed, watcher = watching(stage)
    watcher.left = True
    assert await next_of(feed, watcher) == ""
    feed.leave(watcher)


async def test_too_many_watchers_are_asked_to_come_back() -> None:
    stage = Stage()
    async with stage.browser() as browser:
        feed = stage.live.feed
        feed.watchers.update(Watcher(lambda: True) for _ in range(WATCHERS))
        refused = await browser.get("/live/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        feed.watchers.clear()
        assert (await browser.head("/live/events")).status_code == 204


async def test_a_reader_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "WRITE_SECONDS", 0.01)
    stage = Stage()
    stage.rings()
    feed = Feed(stage.console.board)
    stuck = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await stuck.wait()

    async def receive() -> Any:
        await stuck.wait()

    async with asyncio.timeout(PATIENCE):
        await EventStream(feed, Watcher(lambda: True))(cast("Any", {}), receive, send)
    assert feed.watchers == set()


async def test_a_browser_that_leaves_ends_its_line() -> None:
    stage = Stage()
    feed = Feed(stage.console.board)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async with asyncio.timeout(PATIENCE):
        await EventStream(feed, Watcher(lambda: True))(cast("Any", {}), receive, send)
    assert feed.watchers == set()
    assert sent[0]["status"] == 200


def test_calls_without_a_stream_say_where_they_are() -> None:
    stage = Stage()
    call = stage.rings()

    def state() -> str:
        return live_rows(stage.console.board)[call.info.call_sid].state

    assert state() == "ringing"
    call.streams = 1
    assert state() == "between streams"
    call.by_keys = True
    assert state() == "in the keypad menu"
    attempt = call.transfers.begin("billing", "asked")
    assert state() == "rings at billing"
    attempt.result = "accepted"
    assert state() == "with billing"
    call.next = Next("hang_up")
    call.finished = True
    assert live_rows(stage.console.board) == {}


def test_the_last_words_are_whole_words_of_the_last_turn_that_has_any() -> None:
    stage = Stage()
    call = stage.rings(said="word " * 100, who="caller")
    call.record.spoken.append(Spoken(1, "agent", "i2", 0, 0))
    row = live_rows(stage.console.board)[call.info.call_sid]
    assert row.said_by == "caller"
    assert row.said.startswith("… word ")
    assert len(row.said) <= 165


def test_the_page_shows_so_many_calls_and_the_feed_no_more() -> None:
    stage = Stage()
    for _ in range(feeds.ROWS + 5):
        stage.rings()
    assert len(live_rows(stage.console.board)) == feeds.ROWS
