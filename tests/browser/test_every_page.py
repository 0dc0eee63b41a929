"""Every page in a real browser: WCAG 2 AA in light and dark, 250 kB at most, nothing moves, and all its text is text."""

import json
import re
from typing import Literal

import pytest
from playwright.async_api import BrowserContext, Page, ViewportSize, expect

from app.adapters.data_folder import Running
from tests.browser.hostile import EVIL, QUIET_SID, SID, VOICEMAIL, put
from tests.browser.stage import BROWSER, violations, watched

pytestmark = BROWSER

PAGES = {
    "live": "/",
    "phone": "/phone",
    "calls": "/calls",
    "calls found by words": "/calls?words=nosuchword",
    "calls asked wrongly": "/calls?since=never",
    "a call": f"/calls/{SID}",
    "a call without a word": f"/calls/{QUIET_SID}",
    "its raw events": f"/calls/{SID}/events",
    "figures": "/stats",
    "figures of a day": "/stats?days=1",
    "modes": "/modes",
    "a mode with a flow": "/modes/ivr",
    "a mode": "/modes/receptionist",
    "setup": "/setup",
    "nowhere": "/nosuch",
}
ONCE = {"calls found by words", "calls asked wrongly", "a call without a word", "figures of a day", "a mode"}
"""Looked at in the light only: in other looks they have nothing that the others have not."""
FRAGMENTS = {"its raw events"}
"""Parts of pages: what a page must have, they have not."""
ANSWERED = ("status of 404", "status of 400", "does not conform to the required format")
"""What the console says of the two pages that are asked for wrongly on purpose."""
MOST_BYTES = 250_000
MOST_SHIFT = 0.05


@pytest.fixture(scope="module")
async def filled(running: Running) -> Running:
    """The keyless server, with calls in its books."""
    await put(running)
    return running


@pytest.fixture
async def here(context: BrowserContext, filled: Running) -> BrowserContext:
    """Somebody who has been here before: a newcomer is shown the phone first."""
    await context.request.get(f"{filled.url}/modes")
    return context


LOOKS: dict[str, tuple[Literal["light", "dark"], int, tuple[str, ...]]] = {
    "light": ("light", 1280, ()),
    "dark": ("dark", 1280, ("color-contrast", "link-in-text-block")),
    "narrow": ("light", 375, ("color-contrast", "target-size", "scrollable-region-focusable")),
}
"""Colours, a width, and the rules that may come out otherwise there than in the light; no rule: all of them."""
OPENED = "() => document.querySelectorAll('main details').forEach((it) => { it.open = true; })"
WIDTHS = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.mark.parametrize("part", [0, 1])
async def test_no_page_has_an_accessibility_violation_or_a_fault_or_is_too_large_or_too_wide(
    here: BrowserContext, filled: Running, part: int
) -> None:
    found = {}
    async with watched(here, *ANSWERED) as it:
        for name, path in list(PAGES.items())[part::2]:
            await it.page.emulate_media(color_scheme="light")
            await it.page.set_viewport_size(ViewportSize(width=1280, height=900))
            size = await it.open(filled.url + path)
            if size > MOST_BYTES:
                found[f"{name}, size"] = [f"{size} bytes"]
            if name in FRAGMENTS:
                continue
            await it.page.evaluate(OPENED)
            for look, (colours, width, rules) in LOOKS.items():
                if name in ONCE and rules:
                    continue
                await it.page.emulate_media(color_scheme=colours)
                await it.page.set_viewport_size(ViewportSize(width=width, height=900))
                if wrong := await violations(it.page, *rules):
                    found[f"{name}, {look}"] = wrong
                wide: list[int] = await it.page.evaluate(WIDTHS)
                if wide[0] > wide[1]:
                    found[f"{name}, {look}, width"] = [str(wide)]
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_the_login_has_no_violation(
    context: BrowserContext, guarded: Running, colours: Literal["light", "dark"]
) -> None:
    async with watched(context) as it:
        await it.page.emulate_media(color_scheme=colours)
        await it.page.goto(f"{guarded.url}/stats")
        assert await violations(it.page) == []


async def test_a_newcomer_without_keys_is_shown_the_phone_first_and_once(
    context: BrowserContext, running: Running
) -> None:
    async with watched(context) as it:
        await it.page.goto(f"{running.url}/")
        await expect(it.page).to_have_url(f"{running.url}/phone")
        await it.page.get_by_role("link", name="Live").click()
        await expect(it.page.locator("#line")).to_have_text("live")


@pytest.mark.parametrize("path", ["/", "/calls", f"/calls/{SID}", "/stats", "/phone"])
async def test_nothing_moves_while_a_page_is_read(here: BrowserContext, filled: Running, path: str) -> None:
    async with watched(here) as it:
        await it.page.goto(filled.url + path)
        if path == "/":
            await expect(it.page.locator("#line")).to_have_text("live")
        await it.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        moved, what = await it.shifted()
        assert moved < MOST_SHIFT, what


async def test_markup_in_names_words_and_answers_is_shown_as_text(here: BrowserContext, filled: Running) -> None:
    async with watched(here) as it:
        page = it.page
        for path in ("/calls", f"/calls/{SID}", "/stats"):
            await page.goto(filled.url + path)
            await _is_text(page)
        await page.goto(f"{filled.url}/calls/{SID}")
        await expect(page.locator('section[aria-labelledby="turns-title"]')).to_contain_text(EVIL)
        await page.locator(".lane-heard .bar").first.hover()
        await expect(page.locator("#lanes-said")).to_contain_text("<img")
        await page.get_by_text("What the wires carried").click()
        await expect(page.get_by_text("window.ran=1").last).to_be_visible()
        await _is_text(page)
        await page.get_by_role("button", name="Make this a rehearsal").click()
        await _is_text(page)


async def _is_text(page: Page) -> None:
    """Nothing of the markup has become an element, or ran."""
    assert await page.locator(".evil").count() == 0, page.url
    assert await page.locator("img").count() == 0, page.url
    assert await page.evaluate("() => window.ran ?? null") is None, page.url


async def test_what_only_has_a_moment_is_seen_on_its_lane_and_can_be_pointed_at(
    here: BrowserContext, filled: Running
) -> None:
    async with watched(here) as it:
        await it.page.goto(f"{filled.url}/calls/{SID}")
        wide: list[float] = await it.page.locator(".bar").evaluate_all(
            "(bars) => bars.map((bar) => bar.getBoundingClientRect().width)"
        )
        assert min(wide) > 1
        await it.page.locator(".tone-trouble").hover()
        await expect(it.page.locator("#lanes-said")).to_have_text("5000 ms: model lost")


async def test_a_caller_whom_nobody_could_talk_to_is_found_and_so_is_the_message_they_left(
    here: BrowserContext, filled: Running
) -> None:
    async with watched(here) as it:
        page = it.page
        await page.goto(f"{filled.url}/calls")
        await page.get_by_label("missed").check()
        await page.get_by_role("button", name="Find").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.locator("tbody tr a").click()
        await expect(page).to_have_url(f"{filled.url}/calls/{SID}")
        missed = page.get_by_role("region", name="Nobody could talk to this caller")
        await expect(missed).to_contain_text(EVIL)
        await expect(missed.locator("li")).to_have_text([re.compile("message of 0:21"), re.compile("message of 1:15")])
        links = await missed.get_by_role("link").evaluate_all("(links) => links.map(({href}) => href)")
        assert links == [f"https://api.example.com/{VOICEMAIL}.mp3"], "a link leads to https, or is none"
        await page.goto(f"{filled.url}/calls/{QUIET_SID}")
        await expect(page.get_by_role("region", name="Milestones")).to_be_visible()
        await expect(page.get_by_role("region", name="Nobody could talk to this caller")).to_have_count(0)


async def test_markup_in_the_live_feed_is_shown_as_text_and_a_new_call_moves_nothing(
    here: BrowserContext, filled: Running
) -> None:
    call = dict.fromkeys(("caller", "mode", "state", "said_by", "said", "cost", "who"), EVIL)
    calls = [{**call, "sid": SID, "since": 1_790_000_000.0}]
    news = {"now": 1_790_000_005.0, "live": 1, "max": 10, "draining": False, "calls": calls, "over": []}
    body = f"retry: 60000\nevent: calls\ndata: {json.dumps(news)}\n\n"
    async with watched(here) as it:
        await it.page.route("**/live/events", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
        await it.page.goto(f"{filled.url}/")
        said = it.page.locator('#rows [data-f="said"]').first
        await expect(said).to_have_text(EVIL)
        await _is_text(it.page)
        assert await violations(it.page) == []
