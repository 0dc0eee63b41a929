"""The page of checks in a real browser: pressed, followed to its end, and clean."""

from playwright.async_api import BrowserContext, expect

from app.adapters.data_folder import Running
from tests.browser.stage import BROWSER, PATIENCE_MS, violations, watched

pytestmark = BROWSER


async def test_checks_are_made_on_demand_and_the_page_follows_them_to_the_end(
    context: BrowserContext, running: Running
) -> None:
    async with watched(context) as it:
        await it.page.goto(f"{running.url}/setup")
        await it.page.get_by_role("button", name="Check everything").click()
        await expect(it.page.get_by_role("status")).to_contain_text("Checked at", timeout=PATIENCE_MS)
        await expect(it.page.get_by_role("row", name="signed_request")).to_contain_text("fine")
        await expect(it.page.get_by_role("row", name="not asked for")).to_contain_text("skipped")
        assert await violations(it.page) == []
        await it.page.set_viewport_size({"width": 390, "height": 900})
        wide: list[int] = await it.page.evaluate(
            "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide[0] <= wide[1]
        await it.page.emulate_media(color_scheme="dark")
        assert await violations(it.page, "color-contrast") == []
