"""A whole call from the phone's page by microphone: heard, interrupted, booked, hung up by keyboard; then the call's own page."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from app.adapters.data_folder import Running
from app.adapters.database import make_engine
from app.adapters.store import Call, CallStore
from app.settings import load
from app.sim.voices import SILENT_FRAME, say
from tests.browser.stage import BROWSER, PATIENCE_MS, launch, record, violations, watched

pytestmark = BROWSER

CALLER = "+14155550177"
"""In no rehearsal: what this caller says is listened to."""
FRAMES_A_SECOND = 50


def _open_day() -> str:
    """The name of a day from the day after tomorrow on, on which appointments are given."""
    here = datetime.now(load({}).office.zone)
    days = (here + timedelta(days=ahead) for ahead in range(2, 9))
    return next(f"{day:%A}" for day in days if day.weekday() < 5)


SAID = (
    # seconds of quiet before it, words
    (3.5, "I have a toothache. Do you have anything on {day}?"),
    (7.5, "Yes please."),
    (4.0, "It is Baker. B, A, K, E, R."),
    (6.0, "Yes, that is right."),
)
"""The first line cuts into the greeting; each other one waits until the answer to the one before is over."""
AGAIN = {
    "What day would suit you?": 0,
    "Shall I book that for you?": 1,
    "May I have your last name?": 2,
    "Is that right?": 3,
}
"""By what the agent asked last: the line that answers it."""


def _microphone() -> bytes:
    quiet = [SILENT_FRAME * round(seconds * FRAMES_A_SECOND) for seconds, _ in SAID]
    lines = [say(words.format(day=_open_day()), "anna") for _, words in SAID]
    return b"".join(part for pair in zip(quiet, lines, strict=True) for part in pair) + SILENT_FRAME * FRAMES_A_SECOND


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """Somebody with a microphone, who says what SAID has."""
    recording = tmp_path / "microphone.wav"
    record(recording, await asyncio.to_thread(_microphone))
    async with async_playwright() as playwright:
        browser = await launch(playwright, recording)
        yield await browser.new_context()
        await browser.close()


@pytest.fixture
async def books(running: Running) -> AsyncIterator[CallStore]:
    engine = make_engine(running.database_url)
    yield CallStore(engine)
    await engine.dispose()


async def _tab_to(page: Page, selector: str, most: int = 40) -> None:
    """Go there by the Tab key alone."""
    for _ in range(most):
        if await page.evaluate("(to) => document.activeElement?.matches(to) ?? false", selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by {most} Tabs")


async def _dial(page: Page, mode: str) -> None:
    """Call from the phone's page without a pointing device."""
    await _tab_to(page, "[name=mode]")
    await page.keyboard.type(mode)
    await _tab_to(page, "[name=caller]")
    await page.keyboard.press("Control+a")
    await page.keyboard.type(CALLER)
    await _tab_to(page, "#clean")
    await page.keyboard.press("Space")  # speech out of a file is no echo, and no noise
    await expect(page.locator("#clean")).not_to_be_checked()
    await _tab_to(page, "#dial")
    await page.keyboard.press("Enter")
    await expect(page.locator("#hang-up")).to_be_focused(timeout=PATIENCE_MS)


async def test_a_caller_books_by_microphone_and_hangs_up_and_the_calls_page_agrees_with_the_books(
    caller: BrowserContext, running: Running, books: CallStore
) -> None:
    async with watched(caller) as it:
        page = it.page
        await page.goto(f"{running.url}/phone")
        await _dial(page, "receptionist")
        talk = page.locator("#talk")
        await page.wait_for_function("() => window.loudest() > 0.01", timeout=PATIENCE_MS)  # the greeting is heard
        await expect(talk).to_contain_text("greets after", timeout=PATIENCE_MS)
        await expect(talk.locator(".unheard").first).to_be_visible(timeout=PATIENCE_MS)  # ... and was interrupted
        await expect(talk.locator(".who-caller").first).to_be_visible(timeout=PATIENCE_MS)
        await _book(page)
        await expect(talk).to_contain_text("book_appointment", timeout=PATIENCE_MS)
        assert float(await page.locator("#phone").get_attribute("data-loudest") or 0) > 0.05
        await page.locator("body").focus()
        await _tab_to(page, "#hang-up")
        await page.keyboard.press("Enter")
        await expect(page.locator("#phone")).to_have_attribute("data-ended", "caller", timeout=PATIENCE_MS)
        link = page.get_by_role("link", name="See this call on its time axis")
        sid = ((await link.get_attribute("href")) or "").removeprefix("/calls/")
        call = await _settled(books, sid)
        await link.click()
        await _agrees(page, books, call)


async def _book(page: Page) -> None:
    """Wait until the microphone's lines have led to an appointment.

    On a busy machine a browser loses pieces of what its microphone hears. A line that was not understood for that is said again,
    once the recording is over, as the page's recorded callers say theirs.
    """
    talk = page.locator("#talk")
    booked, last = talk.get_by_text("You are booked for"), talk.locator("li", has=page.locator(".who-agent")).last
    for tries in range(8):
        try:
            await expect(booked).to_be_visible(timeout=8_000 if tries else PATIENCE_MS + 8_000)
            return
        except AssertionError:
            asked = await last.inner_text()
            line = next(SAID[n][1] for question, n in AGAIN.items() if question in asked).format(day=_open_day())
            button = page.locator(".sayings[open] [data-say]").first
            await button.evaluate(
                "(it, line) => { it.dataset.say = line; it.dataset.voice = 'anna'; it.click(); }", line
            )
    await expect(booked).to_be_visible()


async def _settled(books: CallStore, sid: str) -> Call:
    """The call, once its end is in the books; another process writes them, and tells nobody."""
    async with asyncio.timeout(15):
        while (call := await books.call(sid)) is None or call.ended_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return call


async def _agrees(page: Page, books: CallStore, call: Call) -> None:
    """The page of the call has what the books have, on six lanes."""
    lanes = page.locator("#lanes .lane-plot")
    await expect(lanes).to_have_count(6)
    drawn: Any = await lanes.evaluate_all(
        """(lanes) => Object.fromEntries(lanes.map((lane) => [lane.classList[1].replace("lane-", ""),
             [...lane.querySelectorAll(".bar")].map((bar) => [Number(bar.dataset.from), Number(bar.dataset.to)])]))"""
    )
    assert set(drawn) == {"generated", "sent", "heard", "said", "tools", "carrier"}
    assert all(drawn.values()), {lane: len(bars) for lane, bars in drawn.items()}
    sid = call.call_sid
    turns, tools, spans = await books.turns(sid), await books.tool_calls(sid), await books.spans(sid)
    responses = await books.responses(sid)

    def places(rows: Any) -> list[list[int]]:
        return sorted([row.start_ms, row.end_ms] for row in rows)

    assert sorted(drawn["generated"]) == places(responses)
    assert sorted(drawn["sent"]) == places(span for span in spans if span.kind in ("sent", "clip"))
    heard = [turn for turn in turns if turn.who == "agent" and turn.end_ms > turn.start_ms]
    assert sorted(drawn["heard"]) == places(heard)
    assert sorted(drawn["said"]) == places(span for span in spans if span.kind == "spoken")
    assert [bar[0] for bar in drawn["tools"]] == [tool.start_ms for tool in tools]
    assert [bar[1] - bar[0] for bar in drawn["tools"]] == [tool.ms for tool in tools]
    assert [tool.name for tool in tools][-1] == "book_appointment"
    assert heard[0].heard_text != heard[0].generated_text, "the greeting was interrupted"

    body = await page.locator("main").inner_text()
    facts = await page.locator("dl.facts").first.inner_text()
    assert f"{call.greeting_ms} ms" in facts
    assert str(call.cuts) in facts
    assert CALLER in facts
    assert all(turn.heard_text in body for turn in turns)
    total = page.locator('section[aria-labelledby="cost-title"] tbody tr').filter(
        has_text=f"{len(responses)} responses"
    )
    figures = re.findall(r"\$([0-9.]+)", await total.inner_text())
    assert float(figures[0]) == pytest.approx(sum(row.cost_usd for row in responses), abs=0.006)
    outcome = await books.outcome(sid)
    assert outcome is not None
    assert outcome.valid
    assert outcome.fields["result"] == "booked"
    assert await violations(page) == []
    # Zoom and go along by keys: what is chosen is said below the lanes.
    await page.locator('.lane-heard .bar[tabindex="0"], .lane-plot .bar[tabindex="0"]').first.focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("+")
    chosen = page.locator(".bar.chosen")
    label = await chosen.get_attribute("aria-label") or ""
    await expect(page.locator("#lanes-said")).to_contain_text(label.split(":")[1].strip())
