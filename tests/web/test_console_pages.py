"""Every page of the console: its headers, its weight, nothing inline, and whatever strangers say stays text."""

import gzip
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from app.web.console.files import STATIC
from app.web.console.pages import HEADERS, POLICY
from tests.web.console_stage import AWAY, HOME, PASSWORD, Stage, csrf

PAGES = {"/": 200, "/modes": 200, "/modes/ivr": 200, "/modes/receptionist": 200, "/modes/nosuch": 404, "/nosuch": 404}
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+\s*=|<script(?![^>]*\ssrc=)|javascript:|data:", re.IGNORECASE)


async def every_page(stage: Stage) -> dict[str, httpx.Response]:
    """Each page there is, the pages of trouble among them."""
    async with stage.browser() as browser:
        found = {path: await browser.get(path) for path in PAGES}
        found["broken"] = await browser.get("/broken")
        found["foreign"] = await browser.post("/live/CA1/hang-up", data={"csrf": "no"})
        fields = {"csrf": csrf(found["/"])}
        found["over"] = await browser.post("/live/CA1/hang-up", data=fields)
    async with stage.browser(**{"X-Forwarded-For": "203.0.113.7"}) as stranger:
        found["login"] = await stranger.get("/login")
        found["wrong"] = await stage.login(stranger, "wrong")
        found["led"] = await stranger.get("/modes")
    return found


async def test_every_page_has_the_policy_and_nothing_inline() -> None:
    stage = Stage()
    stage.rings()
    pages = await every_page(stage)
    expected = {**PAGES, "broken": 500, "foreign": 403, "over": 409, "login": 200, "wrong": 401, "led": 303}
    assert {name: page.status_code for name, page in pages.items()} == expected
    for name, page in pages.items():
        for header, value in HEADERS.items():
            assert page.headers[header] == value, (name, header)
        assert not (found := INLINE.search(page.text)), (name, found)
    assert "unsafe" not in POLICY


async def test_no_page_weighs_more_than_250_kilobytes_with_all_that_it_loads() -> None:
    stage = Stage()
    for n in range(200):
        stage.rings(f"+1415555{n:04}", "word " * 200)
    pages = await every_page(stage)
    async with stage.browser() as browser:
        for name, page in pages.items():
            loads = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
            assert loads or page.status_code == 303, name
            files = [await browser.get(load) for load in loads]
            assert {file.status_code for file in files} <= {200}
            sent = len(gzip.compress(page.content)) + sum(int(file.headers["content-length"]) for file in files)
            assert sent < 250_000, (name, sent)


async def test_what_callers_and_addresses_say_is_text_and_never_markup() -> None:
    stage = Stage()
    stage.rings(HOSTILE, HOSTILE)
    async with stage.browser() as browser:
        answers = [
            await browser.get("/"),
            await browser.get("/modes/" + HOSTILE.replace("/", "")),
            await browser.get("/login?next=/" + HOSTILE),
            await browser.get("/" + HOSTILE.replace("/", "")),
        ]
        token = csrf(answers[0])
        over = await browser.post("/live/" + HOSTILE.replace("/", "") + "/put-through", data={"csrf": token})
        desk = await browser.post(
            f"/live/{next(iter(stage.board.calls))}/put-through", data={"csrf": token, "desk": HOSTILE}
        )
    async with stage.browser(**{"X-Forwarded-For": "203.0.113.7"}) as stranger:
        login = await stranger.get("/login", params={"next": "/?" + HOSTILE})
    assert "&lt;script&gt;alert(1)" in answers[0].text
    assert "&lt;script&gt;alert(1)" in desk.text
    assert "&lt;script&gt;" in login.text
    for answer in [*answers, over, desk, login]:
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "onerror=alert(1)>" not in answer.text
        assert "{{7*7}}" in answer.text or "7*7" not in answer.text  # nothing is rendered twice


async def test_a_caller_s_number_is_masked_wherever_it_is_shown() -> None:
    stage = Stage()
    for number in ("+14155550133", "", "sip:mallory@example.com", "+4930123456"):
        stage.rings(number)
    async with stage.browser() as browser:
        text = (await browser.get("/")).text
    for shown in ("+14•••133", "number withheld", "not a number", "+49•••456"):
        assert shown in text
    for hidden in ("4155550133", "mallory", "30123456"):
        assert hidden not in text


async def test_an_empty_line_says_what_to_do_and_a_call_has_its_row() -> None:
    stage = Stage(human_transfer_number="+14155550170")
    async with stage.browser() as browser:
        empty = (await browser.get("/")).text
        assert 'id="empty">' in empty
        assert "./offhook call booking" in empty
        assert f"{HOME}/twilio/incoming" in empty
        call = stage.rings(said="Good morning.")
        row = (await browser.get("/")).text
    assert 'id="empty" hidden>' in row
    assert f'data-sid="{call.info.call_sid}"' in row
    assert "ringing" in row
    assert "Good morning." in row


async def test_a_mode_s_page_has_its_prompt_tools_schemas_flow_tokens_and_numbers() -> None:
    stage = Stage(numbers={"+14155550142": "ivr", "+14155550143": "receptionist"})
    async with stage.browser() as browser:
        ivr = (await browser.get("/modes/ivr")).text
        overview = (await browser.get("/modes")).text
    for part in ("You are the digital assistant", "note_account", "additionalProperties", 'id="state-main"', "Tokens"):
        assert part in ivr
    assert "+14155550142" in ivr
    assert "+14155550143" not in ivr
    assert f"{HOME}/twilio/incoming?mode=ivr" in ivr
    assert "+14155550143, every other number" in overview


async def test_what_a_reload_takes_is_on_the_next_page_modes_and_clock_too() -> None:
    stage = Stage()
    async with stage.browser() as browser:
        before = (await browser.get("/modes/ivr")).text
        mode, settings = stage.registry.modes["ivr"], stage.console.settings
        edition = msgspec.structs.replace(mode.edition, stamp="abcdef012345")
        stage.registry.modes = {**stage.registry.modes, "ivr": msgspec.structs.replace(mode, edition=edition)}
        office = msgspec.structs.replace(settings.office, zone=ZoneInfo("Asia/Tokyo"))
        stage.console.settings = msgspec.structs.replace(settings, office=office)
        after = (await browser.get("/modes/ivr")).text
    assert "abcdef012345" not in before
    assert "abcdef012345" in after
    assert stage.console.clock.moment(datetime(2026, 11, 21, 16, tzinfo=UTC)) == "2026-11-22 01:00:00"


async def test_a_fault_of_ours_is_a_page_that_tells_nothing_of_it() -> None:
    async with Stage().browser() as browser:
        page = await browser.get("/broken")
    assert "fault of ours" in page.text
    assert "RuntimeError" not in page.text


async def test_a_stamped_file_is_kept_for_a_year_and_an_unstamped_one_is_asked_for_again() -> None:
    stage = Stage()
    async with stage.browser() as browser:
        stamped = await browser.get(stage.console.files.stamped("console.css"))
        plain = await browser.get("/static/console.css")
        again = await browser.get("/static/console.css", headers={"If-None-Match": plain.headers["etag"]})
        packed = await browser.get("/static/console.css", headers={"Accept-Encoding": "gzip"})
        icon = await browser.get("/static/icon.svg", headers={"Accept-Encoding": "identity"})
    assert stamped.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(packed.content)
    assert icon.headers["content-type"] == "image/svg+xml"
    assert icon.content == (STATIC / "icon.svg").read_bytes()


@pytest.mark.parametrize(
    "name", ["../guard.py", "..%2fguard.py", "%2e%2e/guard.py", "", "vendor", "/etc/passwd", "nosuch.css", "a\x00b"]
)
async def test_nothing_but_what_lies_in_the_folder_is_served(name: str) -> None:
    stage = Stage()
    assert stage.console.files.find(name) is None
    async with stage.browser() as browser:
        assert (await browser.get("/static/" + name.replace("\x00", "%00"))).status_code == 404


def test_a_template_that_names_a_file_that_is_not_there_fails() -> None:
    with pytest.raises(KeyError, match="nosuch"):
        Stage().console.files.stamped("nosuch.js")


async def test_a_program_that_finds_nothing_gets_one_line() -> None:
    async with Stage(AWAY).browser(Accept="*/*") as program:
        answer = await program.get("/nosuch")
    assert (answer.status_code, answer.text) == (404, "Not Found\n")


async def test_the_password_is_on_no_page() -> None:
    for page in (await every_page(Stage())).values():
        assert PASSWORD not in page.text


async def test_a_newcomer_without_keys_is_shown_the_phone_first_and_only_once() -> None:
    stage = Stage()
    stage.console.stand_in = "ws://127.0.0.1:1"
    async with stage.browser() as browser:
        assert (await browser.get("/")).status_code == 200, "there is no phone page on this stage yet"
    stage.console.paths.add("/phone")
    async with stage.browser() as browser:
        assert (await browser.get("/")).headers["location"] == "/phone"
        page = await browser.get("/")
        assert page.status_code == 200
        assert "No model key" in page.text
