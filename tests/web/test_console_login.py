"""The login: right, wrong, throttled, expired and back; and forms that come from elsewhere."""

import base64

import pytest
from starlette.requests import Request

from app.web.console.auth import ADDRESS_SECONDS, ADDRESS_TRIES, ADDRESSES, ALL_SECONDS, ALL_TRIES, Throttle, address_of
from app.web.console.session import ENDED, SESSION_SECONDS, Session, Sessions
from app.web.console.words import page_of, way_back
from tests.web.console_stage import AWAY, HOME, PASSWORD, Stage, csrf
from tests.web.samples import request


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


# --- in and out -------------------------------------------------------------------------------------------------------


async def test_the_right_password_opens_the_page_that_was_asked_for() -> None:
    stage = Stage(AWAY)
    async with stage.browser() as browser:
        led = await browser.get("/modes?x=1")
        assert led.status_code == 303
        assert led.headers["location"] == "/login?next=/modes%3Fx%3D1"
        form = await browser.get(led.headers["location"])
        assert 'name="next" value="/modes?x=1"' in form.text
        done = await browser.post("/login", data={"csrf": csrf(form), "password": PASSWORD, "next": "/modes?x=1"})
        assert (done.status_code, done.headers["location"]) == (303, "/modes?x=1")
        assert (await browser.get("/modes?x=1")).status_code == 200
        assert (await browser.get("/login?next=/modes")).headers["location"] == "/modes"


async def test_the_cookie_is_for_this_host_over_tls_and_for_no_script() -> None:
    stage = Stage(AWAY)
    async with stage.browser() as browser:
        cookie = (await stage.login(browser)).headers["set-cookie"]
    assert cookie.startswith("__Host-offhook=o.")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", f"Max-Age={SESSION_SECONDS}"):
        assert part in cookie
    async with Stage(HOME).browser() as browser:
        at_home = (await browser.get("/")).headers["set-cookie"]
    assert "Secure" not in at_home
    assert at_home.startswith("offhook-8000=v.")


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper(), "x" * 100_000, "\x00"])
async def test_a_wrong_password_opens_nothing(password: str) -> None:
    stage = Stage(AWAY)
    async with stage.browser() as browser:
        refused = await stage.login(browser, password)
        assert refused.status_code in (401, 413)
        assert (await browser.get("/modes")).status_code == 303


async def test_a_login_begins_a_new_session_and_a_logout_ends_it_for_good() -> None:
    stage = Stage(AWAY)
    async with stage.browser() as browser:
        await browser.get("/login")
        before = browser.cookies["__Host-offhook"]
        await stage.login(browser)
        inside = browser.cookies["__Host-offhook"]
        assert inside != before, "a cookie that somebody planted is not the one that is let in"
        page = await browser.get("/modes")
        assert "Log out" in page.text
        out = await browser.post("/logout", data={"csrf": csrf(page)})
        assert out.headers["location"] == "/login"
        assert (await browser.get("/modes")).status_code == 303
    async with stage.browser() as thief:
        thief.cookies.set("__Host-offhook", inside, domain="agent.example.com")
        assert (await thief.get("/modes")).status_code == 303


async def test_an_expired_login_leads_back_to_where_one_was_from_pages_forms_and_scripts() -> None:
    stage = Stage(AWAY)
    clock = Clock()
    key = await stage.console.password.key()
    stage.console._sessions = Sessions(key, now=clock)
    async with stage.browser() as browser:
        await stage.login(browser)
        page = await browser.get("/modes/ivr")
        assert page.status_code == 200
        clock.now += SESSION_SECONDS + 1
        assert (await browser.get("/modes/ivr?a=b")).headers["location"] == "/login?next=/modes/ivr%3Fa%3Db"
        posted = await browser.post(
            "/live/CA1/hang-up", data={"csrf": csrf(page)}, headers={"Referer": AWAY + "/modes/ivr"}
        )
        assert (posted.status_code, posted.headers["location"]) == (303, "/login?next=/modes/ivr")
        by_htmx = await browser.get("/modes", headers={"HX-Request": "true", "HX-Current-URL": AWAY + "/modes/ivr?p=2"})
        assert (by_htmx.status_code, by_htmx.headers["hx-redirect"]) == (401, "/login?next=/modes/ivr%3Fp%3D2")
        assert (await browser.head("/live/events", headers={"Accept": "*/*"})).status_code == 401


async def test_a_login_that_is_used_does_not_expire() -> None:
    stage = Stage(AWAY)
    clock = Clock()
    stage.console._sessions = Sessions(await stage.console.password.key(), now=clock)
    async with stage.browser() as browser:
        await stage.login(browser)
        for _ in range(5):
            clock.now += SESSION_SECONDS * 0.8
            assert (await browser.get("/modes")).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "evil", "", "/login",
        "/logout?x", "/\tx", "/a\r\nSet-Cookie: x=y", "///evil.example", "http:/evil", "//[", "https://[",
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_but_to_a_page_of_ours(target: str) -> None:
    assert way_back(target) == "/"
    assert page_of(target).startswith("/")
    assert not page_of(target).startswith("//")


def test_a_login_leads_back_with_the_query() -> None:
    assert way_back("/calls?mode=ivr&words=%22a%22") == "/calls?mode=ivr&words=%22a%22"


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"operator:{password}".encode()).decode(), "Accept": "*/*"}


async def test_a_program_reads_with_the_password_in_its_request_and_cannot_act_so() -> None:
    async with Stage(AWAY).browser() as program:
        assert (await program.get("/modes", headers=basic(PASSWORD))).status_code == 200
        assert (await program.get("/modes", headers=basic("wrong"))).status_code == 401
        assert (await program.get("/modes", headers={"Authorization": "Basic !!", "Accept": "*/*"})).status_code == 401
        acted = await program.post("/live/CA1/hang-up", headers=basic(PASSWORD), data={})
        assert acted.status_code == 401


# --- throttled --------------------------------------------------------------------------------------------------------


async def test_wrong_passwords_are_throttled_by_address_and_the_right_one_waits_as_well() -> None:
    stage = Stage(AWAY)
    clock = Clock()
    stage.console.throttle = Throttle(clock)
    async with stage.browser() as guesser, stage.browser(**{"X-Forwarded-For": "203.0.113.9"}) as other:
        for _ in range(ADDRESS_TRIES):
            assert (await stage.login(guesser, "wrong")).status_code == 401
        late = await stage.login(guesser)
        assert late.status_code == 429
        assert 0 < int(late.headers["retry-after"]) <= ADDRESS_SECONDS
        assert "Try again in" in late.text
        assert (await guesser.get("/modes", headers=basic(PASSWORD))).status_code == 429
        assert (await stage.login(other)).status_code == 303, "another address is not held up"
        clock.now += int(late.headers["retry-after"])
        assert (await stage.login(guesser)).status_code == 303


def test_everybody_together_is_throttled_whatever_addresses_they_claim() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits = [throttle.take(f"address {n}") for n in range(ALL_TRIES + 1)]
    assert waits[:-1] == [0.0] * ALL_TRIES
    assert 0 < waits[-1] <= ALL_SECONDS
    clock.now += ALL_SECONDS
    assert throttle.take("one more") == 0


def test_the_throttle_forgets_and_its_memory_is_bounded() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for n in range(3 * ADDRESSES):
        clock.now += ALL_SECONDS
        throttle.take(f"address {n}")
    assert len(throttle._by_address) <= ADDRESSES
    for _ in range(20):
        assert throttle.take("operator") == 0
        throttle.give_back("operator")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "127.0.0.1 "),
        ({"x-forwarded-for": "1.2.3.4"}, "127.0.0.1 1.2.3.4"),
        ({"x-forwarded-for": "6.6.6.6, 1.2.3.4"}, "127.0.0.1 1.2.3.4"),
        ({"x-forwarded-for": "2001:db8:1:2:3::4"}, "127.0.0.1 2001:db8:1:2::/64"),
        ({"x-forwarded-for": "x" * 500}, "127.0.0.1 " + "x" * 64),
        ({"fly-client-ip": "1.2.3.4", "x-forwarded-for": "5.6.7.8"}, "127.0.0.1 1.2.3.4"),
    ],
)
def test_an_address_is_the_peer_and_whom_the_nearest_proxy_names(headers: dict[str, str], expected: str) -> None:
    asked: Request = request("/login", headers=headers)
    assert address_of(asked) == expected


# --- forms from elsewhere ---------------------------------------------------------------------------------------------


async def test_a_form_without_its_token_or_with_another_s_does_nothing() -> None:
    stage = Stage(HOME)
    call = stage.rings()
    path = f"/live/{call.info.call_sid}/hang-up"
    async with stage.browser() as browser, stage.browser() as other:
        token = csrf(await browser.get("/"))
        others = csrf(await other.get("/"))
        assert len(token) > 20
        assert token != others
        for fields in ({}, {"csrf": ""}, {"csrf": "x" * len(token)}, {"csrf": others}):
            refused = await browser.post(path, data=fields or {"a": "b"})
            assert refused.status_code == 403
            assert "Nothing was done" in refused.text
        browser.cookies.clear()
        assert (await browser.post(path, data={"csrf": token})).status_code == 403, (
            "the token of a session that is gone"
        )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9000"}, {"Origin": ""},
        {"Origin": "http://127.0.0.1:8000.evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://[:8000"},
    ],
)  # fmt: skip
async def test_a_form_of_another_site_is_refused_even_with_the_token(headers: dict[str, str]) -> None:
    stage = Stage(HOME)
    async with stage.browser() as browser:
        token = csrf(await browser.get("/"))
        ours = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"}
        assert (await browser.post("/live/CA1/hang-up", data={"csrf": token}, headers=ours)).status_code == 409
        assert (await browser.post("/live/CA1/hang-up", data={"csrf": token}, headers=headers)).status_code == 403


async def test_at_home_a_script_s_own_header_carries_the_token_as_well() -> None:
    stage = Stage(HOME)
    async with stage.browser() as browser:
        header = {"X-CSRF-Token": csrf(await browser.get("/"))}
        assert (await browser.post("/live/CA1/hang-up", headers=header, data={"a": "b"})).status_code == 409


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a%d=b" % n for n in range(300)), "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 403),
        (b"\xff\xfe=\xff", "application/x-www-form-urlencoded", 403),
    ],
)
async def test_a_form_that_is_none_is_refused(content: bytes, kind: str, status: int) -> None:
    async with Stage(HOME).browser() as browser:
        await browser.get("/")
        answer = await browser.post("/live/CA1/hang-up", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_is_read_by_every_process_with_the_key_and_by_no_other() -> None:
    ours, same, other = Sessions(b"k" * 32), Sessions(b"k" * 32), Sessions(b"K" * 32)
    session = ours.begin(operator=True)
    assert same.read(ours.cookie(session)) == session
    assert other.read(ours.cookie(session)) is None
    assert same.fits(session, ours.token(session))


def test_a_cookie_that_was_changed_anywhere_is_nobody_s() -> None:
    sessions = Sessions(b"k" * 32)
    cookie = sessions.cookie(sessions.begin())
    assert sessions.read("o" + cookie[1:]) is None, "a visitor does not make himself the operator"
    for at in range(len(cookie)):
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert sessions.read(changed) is None
    for text in ("", ".", "...", "o.1.x", "o.x.y.z", "é" * 40, cookie + "x", cookie[:-1]):
        assert sessions.read(text) is None


def test_a_session_is_over_by_its_time_and_the_memory_of_ended_ones_is_bounded() -> None:
    clock = Clock()
    sessions = Sessions(b"k" * 32, now=clock)
    session = sessions.begin()
    assert sessions.renewed(session) is None
    clock.now += SESSION_SECONDS - 1
    assert sessions.holds(session)
    renewed = sessions.renewed(session)
    assert renewed == Session(session.id, int(clock.now) + SESSION_SECONDS, False)
    clock.now += 1
    assert not sessions.holds(session)
    for _ in range(ENDED + 10):
        sessions._ended[f"n{len(sessions._ended)}"] = int(clock.now) + 10
    sessions.end(renewed)
    assert len(sessions._ended) <= ENDED
    assert not sessions.holds(renewed)


async def test_a_socket_is_opened_by_a_page_of_ours_for_who_is_in() -> None:
    at_home, away = Stage(HOME).console, Stage(AWAY).console
    home = {"host": "127.0.0.1:8000"}
    assert await at_home.operator_socket(request("/x", headers={**home, "origin": HOME}))
    assert not await at_home.operator_socket(request("/x", headers=home)), "a browser says whence"
    assert not await at_home.operator_socket(request("/x", headers={**home, "origin": "https://evil.example"}))
    assert not await at_home.operator_socket(
        request("/x", headers={"host": "evil.example", "origin": "http://evil.example"})
    )
    assert not await away.operator_socket(request("/x", headers={"host": "agent.example.com", "origin": AWAY}))
    sessions = await away.sessions()
    cookie = f"__Host-offhook={sessions.cookie(sessions.begin(operator=True))}"
    logged_in = {"host": "agent.example.com", "origin": AWAY, "cookie": cookie}
    assert await away.operator_socket(request("/x", headers=logged_in))
