"""Makes docs/screenshots anew: every page of the console with calls of recorded callers, in light, dark, and narrow.

    .venv/bin/python tools/screenshots.py            # needs chromium, or CHROMIUM_PATH; takes two minutes

A server of its own, without keys and in a folder of its own, which is deleted afterwards.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright, expect

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.adapters.data_folder import Running, kept_secret
from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.commands.own_server import started_server
from app.settings import ROOT
from app.settings import load as load_settings
from app.sim.carrier import ACCOUNT_SID
from app.sim.placing import Target
from app.sim.rehearsal import rehearse
from app.sim.script import load, shipped
from tests.browser.stage import CHROMIUM, KEYLESS, launch

SHOTS = Path(__file__).resolve().parent.parent / "docs/screenshots"
WIDE, NARROW = ViewportSize(width=1120, height=680), ViewportSize(width=390, height=844)
CALLS = ("booking", "csr-return", "ivr-keys", "human", "hangup", "returning")
PHONE_CALLER = "mind-changed"
PATIENCE_MS = 120_000
PASSWORD = "a password that is only for this picture"  # noqa: S105  of a server that lives for a minute


ELSEWHERE = """(places) => {
  for (const told of document.querySelectorAll("#checks td div:not(:has(*))"))
    for (const place of places) told.textContent = told.textContent.replaceAll(place, "/srv/offhook");
}"""
"""Where this machine keeps things is nobody's business."""


async def shoot(page: Page, name: str, *, whole: bool = False) -> None:
    """One page as it is now, three times. whole: to its end, as far as that is worth its bytes."""
    for look in ("light", "dark", "narrow"):
        await page.emulate_media(color_scheme="dark" if look == "dark" else "light", reduced_motion="reduce")
        await page.set_viewport_size(NARROW if look == "narrow" else WIDE)
        tall: int = await page.evaluate("() => document.documentElement.scrollHeight")
        if whole:
            width = (NARROW if look == "narrow" else WIDE)["width"]
            await page.set_viewport_size(ViewportSize(width=width, height=min(tall, 1000)))
        await page.screenshot(path=SHOTS / f"{name}-{look}.png", animations="disabled", caret="hide")
    await page.set_viewport_size(WIDE)


async def ring(running: Running, token: str, name: str) -> None:
    """Let a recorded caller call."""
    target = Target(
        url=running.url,
        public_url=running.public_url,
        auth_token=token,
        account_sid=ACCOUNT_SID,
        model=running.model,
    )
    today = load_settings({}).office.now(datetime.now(UTC)).date()
    await rehearse(name, load(shipped()[name]), target, today=today, store=None)


async def on_the_phone(page: Page, url: str) -> None:
    """The phone's page during a call of a recorded caller; hang up afterwards."""
    await page.goto(f"{url}/phone")
    await page.select_option("#voice", PHONE_CALLER)
    await page.click("#dial")
    await expect(page.locator("#talk")).to_contain_text("book_appointment", timeout=PATIENCE_MS)
    await shoot(page, "phone")
    await page.click("#hang-up")


async def pictures(running: Running, data: Path, context: BrowserContext) -> None:
    """All of the server without keys."""
    page, token = await context.new_page(), kept_secret(data, "twilio_auth_token")
    await page.goto(f"{running.url}/modes")  # a newcomer would be shown the phone
    calls = [asyncio.create_task(ring(running, token, name)) for name in CALLS]
    await page.goto(f"{running.url}/")
    await expect(page.locator("#rows tr:not(.over)").nth(len(CALLS) - 3)).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.locator("#rows .who-caller").first).to_be_visible(timeout=PATIENCE_MS)
    await shoot(page, "live")
    await on_the_phone(page, running.url)
    await asyncio.gather(*calls)
    engine = make_engine(running.database_url)
    booked = await CallStore(engine).latest_call(
        load(shipped()["booking"]).caller.number, datetime(2000, 1, 1, tzinfo=UTC)
    )
    await engine.dispose()
    assert booked is not None
    for name, path in {
        "calls": "/calls",
        "call": f"/calls/{booked.call_sid}",
        "stats": "/stats",
        "modes": "/modes",
        "mode": "/modes/ivr",
    }.items():
        await page.goto(running.url + path)
        await shoot(page, name, whole=name in ("call", "stats"))
    await page.goto(f"{running.url}/setup")
    await page.click("text=Check everything")
    await expect(page.get_by_role("status")).to_contain_text("Checked at", timeout=PATIENCE_MS)
    await page.evaluate(ELSEWHERE, [str(data), str(ROOT)])
    await shoot(page, "setup", whole=True)


async def main() -> None:
    """Make them all."""
    if CHROMIUM is None:
        raise SystemExit("expected a browser at CHROMIUM_PATH, or chromium on the PATH: apt install chromium")
    SHOTS.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        async with started_server(quiet=True, folder=None, **KEYLESS) as (running, data):
            await pictures(running, data, await browser.new_context())
        away = {"PUBLIC_URL": "https://agent.example.com", "OPERATOR_PASSWORD": PASSWORD}
        async with started_server(quiet=True, folder=None, **{**KEYLESS, **away, "TWILIO_AUTH_TOKEN": "token"}) as (
            running,
            _,
        ):
            page = await browser.new_page()
            await page.goto(f"{running.url}/login")
            await shoot(page, "login")
        await browser.close()
    shots = sorted(SHOTS.glob("*.png"))
    print(f"{len(shots)} pictures, {sum(shot.stat().st_size for shot in shots) // 1000} kB in {SHOTS}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
