"""A recorded call's page: the sound is drawn under the lanes, plays, and words, bars and keys lead to it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import BrowserContext, Page, expect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.data_folder import Running
from app.adapters.database import make_engine
from app.adapters.recording_files import Reel
from app.adapters.tables import calls, recordings, turns
from app.calls.recording import row_of
from app.commands.own_server import started_server
from app.core.recorded import Recording
from app.sim.voices import say
from tests.browser.stage import BROWSER, KEYLESS, PATIENCE_MS, violations, watched

pytestmark = BROWSER

SID = "CA" + "5" * 32
GREETING, ANSWER = "Thank you for calling. How can I help you today?", "What are your opening hours?"
TURNS = ((0, "agent", GREETING, 500, 3500), (1, "caller", ANSWER, 4000, 6000))
PLAYING = "() => Number(document.getElementById('recording').dataset.at)"


@pytest.fixture
async def recorded() -> AsyncIterator[Running]:
    """A server whose books and data folder have a recorded call of two streams."""
    async with started_server(quiet=True, folder=None, **KEYLESS) as (running, data):
        at = datetime.now(UTC) - timedelta(minutes=5)
        rows = []
        for start_ms, sounds in (
            (0, ((1, 500, say(GREETING, "agent")[: 3000 * 8]), (0, 4000, say(ANSWER, "anna")[: 2000 * 8]))),
            (9000, ((1, 0, say(GREETING, "agent")[: 1000 * 8]),)),
        ):
            reel = Reel(data, Reel.label_of(SID, start_ms, at))
            for track, from_ms, audio in sounds:
                reel.write(track, from_ms * 8, audio)
            rows.append(row_of(reel, await asyncio.to_thread(reel.weave), "recording", complete=True))
            reel.drop()
        engine = make_engine(running.database_url)
        await _put(engine, at, rows)
        await engine.dispose()
        yield running
        assert "Traceback" not in (data / "serve.log").read_text(errors="replace")


async def _put(engine: AsyncEngine, at: datetime, rows: list[Recording]) -> None:
    call = {"call_sid": SID, "mode": "receptionist", "direction": "inbound", "from_number": "", "to_number": ""}
    over = {"started_at": at, "ended_at": at + timedelta(seconds=10), "outcome": "completed", "version": ""}
    fields = ("call_sid", "path", "start_ms", "ms", "bytes", "complete", "consent", "created_at")
    async with engine.begin() as connection:
        await connection.execute(insert(calls).values(**call, **over))
        await connection.execute(insert(recordings).values([{n: getattr(row, n) for n in fields} for row in rows]))
        names = ("seq", "who", "generated_text", "start_ms", "end_ms")
        said = [dict(zip(names, turn, strict=True)) for turn in TURNS]
        said = [{**turn, "call_sid": SID, "heard_text": turn["generated_text"]} for turn in said]
        await connection.execute(insert(turns).values(said))


async def _inked(page: Page, wave: str) -> list[bool]:
    """Whether anything louder than silence is drawn in each tenth of a wave."""
    drawn: list[bool] = await page.locator(wave).evaluate(
        """(canvas) => { const pen = canvas.getContext("2d"); const high = Math.floor(canvas.height / 4);
        return [...Array(10).keys()].map((n) => { const wide = Math.floor(canvas.width / 10);
        return pen.getImageData(n * wide, high, wide, 2).data.some((value, place) => place % 4 === 3 && value > 0); }); }"""
    )
    return drawn


async def _at(page: Page, low: float, high: float) -> None:
    await page.wait_for_function(
        f"() => {{ const at = ({PLAYING})(); return at >= {low} && at <= {high}; }}", timeout=PATIENCE_MS
    )


async def test_a_recorded_call_is_drawn_and_plays_from_the_word_that_is_chosen(
    context: BrowserContext, recorded: Running
) -> None:
    async with watched(context, "willReadFrequently") as it:  # the test reads the picture, the page does not
        page = it.page
        await page.goto(f"{recorded.url}/calls/{SID}")
        await expect(page.locator("#recording")).to_have_attribute("data-drawn", "yes", timeout=PATIENCE_MS)
        agent, caller = await _inked(page, ".wave-agent"), await _inked(page, ".wave-caller")
        assert any(agent[:5])
        assert any(caller[5:])
        assert not any(caller[1:4])  # the first has the player's line
        await page.locator("#play").click()
        await page.wait_for_function(f"() => ({PLAYING})() > 300", timeout=PATIENCE_MS)
        await expect(page.locator("#play")).to_have_text("Pause")
        await page.locator("#play").press("Space")
        await expect(page.locator("#play")).to_have_text("Play")
        word = page.locator(".turn .word", has_text="opening")
        await word.click()
        share = ANSWER.index("opening") / len(ANSWER)
        await _at(page, 4000 + 2000 * share - 200, 10_000)
        await page.locator("#play").click()
        await expect(page.locator(".turn.now .who-caller")).to_have_count(1)
        await page.locator(".turn .play-from").first.press("Enter")
        await _at(page, 500, 3500)
        await page.locator("#play").click()
        await page.locator("#place").focus()
        await page.keyboard.press("Home")
        await _at(page, 0, 0)
        await page.locator(".lane-heard .bar").first.press("Enter")
        await _at(page, 500, 3500)
        await page.locator("#play").click()
        pixels = "(canvas) => canvas.toDataURL()"
        whole = await page.locator(".wave-agent").evaluate(pixels)
        await page.locator("#lanes-zoom [data-do=in]").click()
        assert await page.locator(".wave-agent").evaluate(pixels) != whole, "the sound follows the lanes' zoom"
        await page.locator("#lanes-zoom [data-do=all]").click()
        assert await page.locator(".wave-agent").evaluate(pixels) == whole
        assert await violations(page) == []
        moved, what = await it.shifted()
        assert moved < 0.02, what
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download").click()
        assert (await download.value).suggested_filename == f"call-{SID}.wav"
