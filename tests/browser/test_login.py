"""Login, forms and what a page may load, tried by a browser: what keeps strangers out is what a browser does with our headers."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from app.adapters.data_folder import Running
from app.web.console.auth import Password
from app.web.console.session import SESSION_SECONDS, Sessions
from tests.browser.conftest import PASSWORD, PUBLIC
from tests.browser.stage import BROWSER, watched

pytestmark = BROWSER

REFUSED = "Failed to load resource"
"""What the browser's console says of an answer of 401 or 403 that a test asked for."""


async def _log_in(page: Page, password: str = PASSWORD) -> None:
    await expect(page.locator("#password")).to_be_focused()
    await page.keyboard.type(password)
    await page.keyboard.press("Enter")


@pytest.fixture
async def insider(context: BrowserContext, guarded: Running) -> AsyncIterator[Page]:
    """Somebody who has logged in, at /modes."""
    async with watched(context, REFUSED) as it:
        await it.page.goto(f"{guarded.url}/modes")
        await _log_in(it.page)
        await expect(it.page).to_have_url(f"{guarded.url}/modes")
        yield it.page


async def test_a_stranger_is_led_to_the_login_and_from_there_to_where_they_wanted(
    context: BrowserContext, guarded: Running
) -> None:
    async with watched(context, REFUSED) as it:
        page = it.page
        await page.goto(f"{guarded.url}/calls?mode=ivr")
        await expect(page).to_have_url(f"{guarded.url}/login?next=/calls%3Fmode%3Divr")
        await expect(page.get_by_role("navigation")).to_have_count(0)
        await _log_in(page, "a guess")
        await expect(page.get_by_role("alert")).to_have_text("That is not the operator's password.")
        await _log_in(page)
        await expect(page).to_have_url(f"{guarded.url}/calls?mode=ivr")
        [cookie] = await context.cookies(guarded.url)
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
        assert await page.evaluate("document.cookie") == ""
        await page.get_by_role("button", name="Log out").click()
        await expect(page).to_have_url(f"{guarded.url}/login")
        await page.goto(f"{guarded.url}/stats")
        await expect(page).to_have_url(f"{guarded.url}/login?next=/stats")


async def _expire(page: Page, guarded: Running) -> None:
    """Make the login twelve hours old."""
    key = await Password(PASSWORD, PUBLIC).key()
    then = Sessions(key, now=lambda: time.time() - SESSION_SECONDS - 60)
    [cookie] = await page.context.cookies(guarded.url)
    value = then.cookie(then.begin(operator=True))
    await page.context.clear_cookies()
    old: Any = {**cookie, "value": value}
    await page.context.add_cookies([old])


async def test_an_expired_login_leads_back_to_where_one_was(insider: Page, guarded: Running) -> None:
    await _expire(insider, guarded)
    await insider.get_by_role("link", name="receptionist").first.click()
    await expect(insider).to_have_url(f"{guarded.url}/login?next=/modes/receptionist")
    await _log_in(insider)
    await expect(insider).to_have_url(f"{guarded.url}/modes/receptionist")


async def test_a_login_that_expires_under_the_live_page_and_the_phone_leads_back_too(
    insider: Page, guarded: Running
) -> None:
    await insider.goto(f"{guarded.url}/phone")
    await insider.select_option("#voice", "booking")
    await _expire(insider, guarded)
    await insider.click("#dial")
    await expect(insider).to_have_url(f"{guarded.url}/login?next=/phone")
    await _log_in(insider)
    await expect(insider).to_have_url(f"{guarded.url}/phone")
    await insider.goto(f"{guarded.url}/")
    await expect(insider.locator("#line")).to_have_text("live")


POST = """async ([path, body]) => {
  const headers = {"Content-Type": "application/x-www-form-urlencoded"};
  return (await fetch(path, {method: "POST", body, headers, redirect: "manual"})).status;
}"""


async def test_an_action_without_its_sessions_token_is_refused(insider: Page, guarded: Running) -> None:
    for path in ("/logout", "/live/CA1/hang-up", "/live/CA1/put-through", "/phone/ticket", "/calls/CA1/rehearsal"):
        for body in ("", "csrf=", "csrf=guessed"):
            assert await insider.evaluate(POST, [path, body]) == 403, (path, body)
    await insider.reload()
    await expect(insider).to_have_url(f"{guarded.url}/modes")  # still logged in


async def test_a_form_on_somebody_elses_page_acts_for_nobody(insider: Page, guarded: Running) -> None:
    token = await insider.get_attribute('meta[name="csrf"]', "content")
    form = f'<form method="post" action="{guarded.url}/logout"><input name="csrf" value="{token}"><button>x</button></form>'
    elsewhere = await insider.context.new_page()
    await elsewhere.route("http://elsewhere.test/", lambda route: route.fulfill(body=form, content_type="text/html"))
    await elsewhere.goto("http://elsewhere.test/")
    async with elsewhere.expect_response(f"{guarded.url}/logout") as answer:
        await elsewhere.get_by_role("button").click()
    assert (await answer.value).status == 403
    await elsewhere.close()
    await insider.reload()
    await expect(insider).to_have_url(f"{guarded.url}/modes")


INJECTED = """
<script>window.ran = "an inline script"</script>
<script src="http://elsewhere.test/x.js"></script>
<script src="data:text/javascript,window.ran='a data: script'"></script>
<img src="http://elsewhere.test/x.png" onerror="window.ran = 'a handler'">
<img src="/nosuch" onerror="window.ran = 'a handler'">
<div id="styled" style="position: fixed" onmouseover="window.ran = 'a handler'">over</div>
<style>#main { display: none }</style>
<a id="link" href="javascript:window.ran = 'a javascript: link'">link</a>
<iframe srcdoc="<script>parent.ran = 'a frame'</script>"></iframe>
<base href="http://elsewhere.test/">
"""


async def test_markup_that_got_into_a_page_runs_nothing_and_loads_nothing(
    context: BrowserContext, guarded: Running
) -> None:
    loaded: list[str] = []
    async with watched(context, "Content Security Policy", "violates", "script-src", REFUSED) as it:
        page = it.page

        async def inject(route: Route) -> None:
            answer = await route.fetch()
            body = (await answer.text()).replace("</main>", INJECTED + "</main>")
            await route.fulfill(response=answer, body=body)

        page.on("requestfinished", lambda request: loaded.append(request.url))
        await page.route(f"{guarded.url}/login", inject)
        await page.goto(f"{guarded.url}/login")
        await page.locator("#styled").hover()
        await page.locator("#link").click()
        await page.evaluate(
            """() => {
                 const script = document.createElement("script");
                 script.textContent = "window.ran = 'a script that a script put in'";
                 document.body.append(script);
               }"""
        )
        # Not in what the test itself evaluates, to which the policy does not apply.
        await page.evaluate(
            """() => new Promise((done) => setTimeout(() => {
                 try { Function("window.ran = 'eval'")(); } catch { done(); }
               }))"""
        )
        assert await page.evaluate("() => window.ran ?? null") is None
        await expect(page.locator("#main")).to_be_visible()
        assert await page.locator("#styled").evaluate("(it) => getComputedStyle(it).position") == "static"
        assert [url for url in loaded if not url.startswith(guarded.url)] == []
        assert any("Content Security Policy" in fault for fault in it.faults), it.faults
        it.hosts.discard("elsewhere.test")  # asked for by the markup, and never sent


async def test_no_other_page_can_hold_ours_in_a_frame(context: BrowserContext, guarded: Running) -> None:
    page = await context.new_page()
    holder = f'<iframe src="{guarded.url}/login"></iframe>'
    await page.route("http://elsewhere.test/", lambda route: route.fulfill(body=holder, content_type="text/html"))
    await page.goto("http://elsewhere.test/")
    framed = page.frames[1]
    assert await framed.locator("#password").count() == 0
