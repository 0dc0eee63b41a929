"""The console over real calls: what the feed tells of one, and what an operator's hand on it comes to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.core.rows import Turn
from app.web.console.auth import Password
from app.web.console.session import SESSION_SECONDS, Sessions
from tests.calls.conversations import HOURS, TALK, spoken
from tests.calls.line import Line
from tests.calls.product import PASSWORD, PUBLIC, Product, eventually, new_number

PATIENCE = 20.0
COOKIE = "__Host-offhook"
HTML = {"Accept": "text/html"}


class Operator:
    """A browser at the public address; its cookie is sent over plain HTTP too, for there is no proxy with TLS here."""

    def __init__(self, house: Product) -> None:
        self.house = house
        self.cookie = ""

    async def asks(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**HTML, "Host": "bench.example", **more.pop("headers", {})}
        if self.cookie:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        answer = await self.house.http.request(method, self.house.url + path, headers=headers, **more)
        set_cookie = answer.headers.get("set-cookie", "")
        if set_cookie.startswith(COOKIE + "="):
            self.cookie = set_cookie.partition("=")[2].partition(";")[0]
        return answer

    async def token(self, path: str = "/") -> str:
        page = await self.asks("GET", path)
        return page.text.partition('<meta name="csrf" content="')[2].partition('"')[0]

    async def logs_in(self, password: str = PASSWORD, back: str = "/") -> httpx.Response:
        token = await self.token("/login")
        return await self.asks("POST", "/login", data={"csrf": token, "password": password, "next": back})

    async def acts(self, call_sid: str, action: str, **fields: str) -> httpx.Response:
        """What the page's script sends."""
        fields["csrf"] = await self.token()
        accept = {"Accept": "text/plain", "Origin": PUBLIC}
        return await self.asks("POST", f"/live/{call_sid}/{action}", data=fields, headers=accept)

    @asynccontextmanager
    async def watches(self) -> AsyncIterator["Watch"]:
        """The feed, while it lasts."""
        headers = {"Cookie": f"{COOKIE}={self.cookie}", "Accept": "text/event-stream"}
        async with self.house.http.stream(
            "GET", self.house.url + "/live/events", headers=headers, timeout=60
        ) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            watch = Watch()
            reading = asyncio.create_task(watch.read(answer))
            try:
                yield watch
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


class Watch:
    """What the feed has told: rows by SID as they were told last, and every row in order."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.told: list[dict[str, Any]] = []
        self.over: list[str] = []
        self._news = asyncio.Event()

    async def read(self, answer: httpx.Response) -> None:
        async for line in answer.aiter_lines():
            if not line.startswith("data: "):
                continue
            change = json.loads(line.removeprefix("data: "))
            for row in change.get("calls", ()):
                self.rows[row["sid"]] = row
                self.told.append(row)
            self.over += change.get("over", ())
            self._news.set()

    async def until(self, check: Any, what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not check():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"expected {what}; told {self.told}") from None


async def logged_in(house: Product) -> Operator:
    operator = Operator(house)
    assert (await operator.logs_in()).status_code == 303
    return operator


async def house_lines(house: Product, call_sid: str) -> list[Turn]:
    return [turn for turn in await house.store.turns(call_sid) if turn.who == "house"]


async def test_the_feed_tells_a_call_from_its_ring_to_its_end(house: Product) -> None:
    operator = await logged_in(house)
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    async with operator.watches() as watch:
        call = await house.dial(line, number)
        sid = call.call_sid
        await watch.until(lambda: watch.rows.get(sid, {}).get("who") == "agent", "the agent to speak")
        await line.hears(800)
        line.say(spoken(HOURS))
        await watch.until(lambda: watch.rows[sid]["who"] == "caller", "the caller to speak")
        await watch.until(lambda: watch.rows[sid]["said_by"] == "caller", "the caller's words")
        await watch.until(lambda: watch.rows[sid]["cost"] not in ("$0.00", ""), "what it costs so far")
        call.put_down()
        await call.finished()
        await house.over(sid)
        await watch.until(lambda: sid in watch.over, "its end")
    mine = [row for row in watch.told if row["sid"] == sid]
    assert {row["mode"] for row in mine} == {"receptionist"}
    assert all(number not in json.dumps(row) for row in mine), "numbers are masked"
    assert {row["caller"] for row in mine} == {f"{number[:3]}•••{number[-3:]}"}
    assert any("opening hours" in row["said"] for row in mine if row["said_by"] == "caller")
    assert any(row["state"] == "talking" for row in mine)


async def test_an_operator_hangs_up_a_call_that_talks(house: Product) -> None:
    operator = await logged_in(house)
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(500)
    done = await operator.acts(call.call_sid, "hang-up")
    assert done.status_code == 204, done.text
    await call.finished()
    assert (call.ended_by, line.verbs) == ("server", ["Connect", "Hangup"])
    await house.closed(call.call_sid)
    (row,) = await house_lines(house, call.call_sid)
    assert row.heard_text == "The operator hung up."
    assert "operator_hung_up" in [row.name for row in await house.store.milestones(call.call_sid)]
    kept = await house.store.call(call.call_sid)
    assert kept is not None
    assert kept.outcome == "operator"
    again = await operator.acts(call.call_sid, "hang-up")
    assert (again.status_code, again.text) == (409, "That call is over.")


async def test_an_operator_puts_a_caller_through_to_a_desk(house: Product) -> None:
    operator = await logged_in(house)
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number, dial_results=["completed"])
    await line.hears(500)
    refused = await operator.acts(call.call_sid, "put-through", desk="+14155550111")
    assert refused.status_code == 409
    assert "There is nobody at +14155550111" in refused.text
    assert (await operator.acts(call.call_sid, "put-through", desk="billing")).status_code == 204
    await call.finished()
    assert line.verbs[:2] == ["Connect", "Dial"]
    await house.closed(call.call_sid)
    assert [row.heard_text for row in await house_lines(house, call.call_sid)] == [
        "The operator put the caller through to billing."
    ]

    async def attempted() -> bool:
        return [(row.desk, row.result) for row in await house.store.transfers(call.call_sid)] == [
            ("billing", "accepted")
        ]

    await eventually(attempted, "the transfer on record")


async def test_a_caller_who_waits_for_a_person_is_hung_up_by_the_carrier_s_rest_api(house: Product) -> None:
    operator = await logged_in(house)
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number, dial_results=["no-answer"])
    await line.hears(300)
    assert (await operator.acts(call.call_sid, "put-through", desk="billing")).status_code == 204
    await line.until(lambda: "Dial" in line.verbs, "a dial")
    assert (await operator.acts(call.call_sid, "hang-up")).status_code == 204
    await call.finished()
    assert call.ended_by == "server"
    assert line.verbs == ["Connect", "Dial", "Hangup"]
    lines = [row.heard_text for row in await house_lines(house, call.call_sid)]
    assert "The operator put the caller through to billing." in lines


async def test_a_stranger_gets_no_page_no_feed_and_no_action(house: Product) -> None:
    stranger = Operator(house)
    assert (await stranger.asks("GET", "/")).headers["location"] == "/login"
    assert (await stranger.asks("GET", "/live/events", headers={"Accept": "text/event-stream"})).status_code == 401
    assert (await stranger.acts("CA" + "1" * 32, "hang-up")).status_code == 401
    assert (await stranger.logs_in("wrong")).status_code == 401
    assert (await stranger.asks("GET", "/modes")).status_code == 303


async def test_a_login_that_expired_leads_back_to_where_one_was(house: Product) -> None:
    operator = await logged_in(house)
    key = await Password(PASSWORD, PUBLIC).key()
    ours = Sessions(key)
    session = ours.read(operator.cookie)
    assert session is not None, "every process with the same settings reads the cookie"
    assert (await operator.asks("POST", "/logout", data={"csrf": await operator.token()})).status_code == 303
    old = Sessions(key, now=lambda: session.until - 2.5 * SESSION_SECONDS)
    operator.cookie = old.cookie(old.begin(operator=True))
    led = await operator.asks("GET", "/modes/ivr")
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=/modes/ivr")
    back = await operator.logs_in(back="/modes/ivr")
    assert back.headers["location"] == "/modes/ivr"
    assert (await operator.asks("GET", "/modes/ivr")).status_code == 200
