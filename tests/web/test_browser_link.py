"""A browser's end of a softphone call: slow, gone, or there."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.websockets import WebSocket

from app.web.console import browser_link
from app.web.console.browser_link import MOST_FRAMES, MOST_NEWS, BrowserLink

TINY = 0.01


class Browser:
    """The server's side of a WebSocket whose peer reads only when it is told to."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.got: list[dict[str, Any]] = []
        self.breaks = False
        self._sent = asyncio.Event()
        self.socket = WebSocket({"type": "websocket", "headers": [], "path": "/"}, self._receive, self._send)

    async def opened(self) -> BrowserLink:
        await self.socket.accept()
        self.got.clear()
        return BrowserLink(self.socket)

    async def _receive(self) -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        if message["type"] != "websocket.accept":
            await self.reads.wait()
            if self.breaks:
                raise OSError("gone")
        self.got.append(message)
        self._sent.set()

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not check():
                self._sent.clear()
                await self._sent.wait()

    def frames(self) -> list[bytes]:
        return [message["bytes"] for message in self.got if message.get("bytes")]

    def news(self) -> list[dict[str, Any]]:
        return [json.loads(message["text"]) for message in self.got if message.get("text")]


def frame(n: int) -> bytes:
    return n.to_bytes(2, "big") * 80


async def test_everything_is_sent_in_order_and_the_close_comes_last() -> None:
    browser = Browser()
    link = await browser.opened()
    writer = asyncio.create_task(link.write())
    link.tell("call", status="ringing")
    link.tell("says", who="carrier", text='<b>"Hi"</b>')
    await asyncio.sleep(0)
    link.audio(frame(1))
    await asyncio.sleep(0)
    await link.finish(writer, 1000, "the call is over")
    assert browser.news() == [
        {"kind": "call", "status": "ringing"},
        {"kind": "says", "who": "carrier", "text": '<b>"Hi"</b>'},
    ]
    assert browser.frames() == [frame(1)]
    assert browser.got[-1] == {"type": "websocket.close", "code": 1000, "reason": "the call is over"}


async def test_a_slow_browser_loses_the_oldest_audio_and_no_news() -> None:
    browser = Browser()
    browser.reads.clear()
    link = await browser.opened()
    writer = asyncio.create_task(link.write())
    link.tell("stream", live=True)
    await asyncio.sleep(0)
    for n in range(MOST_FRAMES + 10):
        link.audio(frame(n))
        link.tell("key", digit=str(n))
    assert link.dropped == 10
    browser.reads.set()
    await browser.until(lambda: len(browser.frames()) == MOST_FRAMES)
    await link.finish(writer, 1000, "")
    assert browser.frames() == [frame(n) for n in range(10, MOST_FRAMES + 10)]
    assert [told.get("digit") for told in browser.news()] == [None, *(str(n) for n in range(MOST_FRAMES + 10))]
    assert not link.gave_up.is_set()


async def test_a_browser_that_never_reads_is_given_up_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_link, "CLOSE_SECONDS", TINY)
    browser = Browser()
    browser.reads.clear()
    link = await browser.opened()
    writer = asyncio.create_task(link.write())
    for n in range(MOST_NEWS + 2):
        link.tell("key", digit=str(n))
    assert link.gave_up.is_set()
    await link.finish(writer, 1008, "reads too slowly")
    assert writer.done()


async def test_a_browser_that_is_gone_ends_the_writing_quietly() -> None:
    browser = Browser()
    browser.breaks = True
    link = await browser.opened()
    writer = asyncio.create_task(link.write())
    link.tell("call", status="ringing")
    await writer
    await link.finish(writer, 1000, "")
    assert browser.got == []
