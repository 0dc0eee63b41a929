"""The page of checks: nothing until somebody asks, rows as they come, and nothing inline or secret in them."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from app.adapters.data_folder import Running
from app.doctor import clock, machine, rehearsed
from app.doctor.rows import fine
from app.web.console.setup_page import SetupPage
from tests.web.console_stage import Stage, csrf

INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+\s*=|<script(?![^>]*\ssrc=)|javascript:|data:", re.IGNORECASE)
DEAD = "postgresql://ann:pa55word!@127.0.0.1:1/books"


class SetupStage(Stage):
    """With the page, on a server that does not answer."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(stand_in=True, public_url="http://127.0.0.1:1", **settings)
        self.setup = SetupPage(self.console)
        self.setup.running = lambda: Running(1, self.url, self.url, DEAD, "")
        self.app.router.routes[:0] = self.setup.routes()

    async def done(self) -> None:
        assert self.setup.task is not None
        await self.setup.task


async def press(it: Stage, browser: httpx.AsyncClient, **fields: str) -> httpx.Response:
    page = await browser.get("/setup")
    return await browser.post("/setup", data={"csrf": csrf(page), **fields})


async def test_nothing_is_checked_until_somebody_asks_and_then_every_check_has_its_row() -> None:
    it = SetupStage()
    async with it.browser() as browser:
        empty = await browser.get("/setup")
        assert it.setup.task is None
        assert (await press(it, browser)).headers["location"] == "/setup"
        await it.done()
        page = await browser.get("/setup")
    assert "Nothing was checked yet" in empty.text
    for name in ("python", "database", "public_url", "number", "session_receptionist", "call"):
        assert f"<strong>{name}</strong>" in page.text
    assert "Checked at" in page.text
    assert "hx-trigger" not in page.text, "what is over is not asked for again"
    assert "docs/setup.md#database" in page.text
    assert "pa55word!" not in page.text
    assert not INLINE.search(page.text)
    assert 'href="/setup" aria-current="page"' in re.sub(r"\s+", " ", page.text)


async def test_rows_are_shown_as_they_come_and_a_second_press_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    it, gate, reached, made = SetupStage(), asyncio.Event(), asyncio.Event(), []

    def quick(**options: Any) -> Any:
        made.append(1)
        return fine("a quick one")

    async def slow(patient: Any) -> Any:
        reached.set()  # those before it have begun, and the first of them needs no time
        await gate.wait()
        return fine("a slow one")

    monkeypatch.setattr(machine, "python", quick)
    monkeypatch.setattr(clock, "clock", slow)
    async with it.browser() as browser:
        await press(it, browser)
        async with asyncio.timeout(20):
            await reached.wait()
        rows = (await browser.get("/setup/rows")).text
        await press(it, browser)
        gate.set()
        await it.done()
        over = (await browser.get("/setup/rows")).text
    assert "a quick one" in rows
    assert 'hx-get="/setup/rows"' in rows
    assert "checking" in rows
    assert "<html" not in rows
    assert "a slow one" in over
    assert made == [1]


async def test_a_call_is_made_only_if_the_form_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    it, asked = SetupStage(), []

    async def call(patient: Any) -> Any:
        asked.append(patient.calls)
        return fine("called")

    monkeypatch.setattr(rehearsed, "call", call)
    async with it.browser() as browser:
        await press(it, browser)
        await it.done()
        await press(it, browser, call="on")
        await it.done()
    assert asked == [False, True]


async def test_strangers_are_led_to_the_login_and_a_foreign_form_begins_nothing() -> None:
    it = SetupStage()
    async with it.browser(**{"X-Forwarded-For": "203.0.113.7"}) as stranger:
        for path in ("/setup", "/setup/rows"):
            assert (await stranger.get(path)).headers["location"].startswith("/login")
        assert (await stranger.post("/setup", data={"csrf": "no"})).status_code in (303, 403)
    async with it.browser() as browser:
        assert (await browser.post("/setup", data={"csrf": "no"})).status_code == 403
    assert it.setup.task is None


async def test_a_fault_of_ours_ends_the_checks_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    it = SetupStage()

    def broken() -> Running:
        raise RuntimeError("a fault of ours")

    it.setup.running = broken
    async with it.browser() as browser:
        await press(it, browser)
        await it.done()
        page = await browser.get("/setup")
    assert "broke off by a fault of ours" in page.text
