"""The API's doors against those who guess tokens: throttled as the login is, without keeping good tokens waiting."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette

from app.adapters.api_tokens import ApiToken, ApiTokens
from app.calls.dialler import Dialler
from app.web.calls_door import CallsDoor
from app.web.console.auth import ADDRESS_SECONDS, ADDRESS_TRIES, ALL_TRIES, Throttle

GOOD, OTHER = "offhook_good", "offhook_other"


class Tokens:
    """Two good tokens, until one is revoked. Counts who asked."""

    def __init__(self) -> None:
        self.good = {GOOD, OTHER}
        self.asked = 0

    async def owner(self, token: str) -> ApiToken | None:
        self.asked += 1
        if token not in self.good:
            return None
        return ApiToken(id="x", name="crm", created_at=datetime.now(UTC), used_at=None, revoked_at=None)


class Book:
    async def placed(self, reference: str, asked_by: str) -> None:
        return None


class Stage:
    def __init__(self) -> None:
        self.now = 0.0
        self.tokens = Tokens()
        dialler = cast(Dialler, SimpleNamespace(book=Book()))
        door = CallsDoor(dialler, cast(ApiTokens, self.tokens), Throttle(lambda: self.now))
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=door.routes())), base_url="https://agent.example.com"
        )

    async def ask(self, token: str = "", address: str = "203.0.113.9") -> tuple[int, str]:
        """Ask for a call that there is not: 404 is the answer to a good token."""
        headers = {"X-Forwarded-For": address} | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = await self.http.get("/calls/outbound/OB1", headers=headers)
        if answer.status_code == 429:
            assert 0 < int(answer.headers["retry-after"]) <= ADDRESS_SECONDS
        return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
async def stage() -> Any:
    it = Stage()
    async with it.http:
        yield it


@pytest.mark.parametrize(("token", "code"), [("", "no_token"), ("offhook_wrong", "wrong_token")])
async def test_who_has_no_good_token_is_soon_not_looked_at_any_more_for_a_while(
    stage: Stage, token: str, code: str
) -> None:
    for _ in range(ADDRESS_TRIES):
        assert await stage.ask(token) == (401, code)
    asked = stage.tokens.asked
    assert await stage.ask(token) == (429, "throttled")
    assert await stage.ask(GOOD) == (429, "throttled"), "nobody knows yet that it is one"
    assert stage.tokens.asked == asked, "the books are left alone"
    assert await stage.ask(GOOD, address="203.0.113.10") == (404, "not_found"), "somebody else is not kept waiting"
    stage.now += ADDRESS_SECONDS
    assert await stage.ask(token) == (401, code)
    assert await stage.ask(token) == (429, "throttled")


async def test_a_token_that_was_good_before_is_looked_at_whatever_strangers_do(stage: Stage) -> None:
    assert await stage.ask(GOOD) == (404, "not_found")
    for n in range(ALL_TRIES):
        assert await stage.ask("offhook_wrong", address=f"198.51.100.{n}") == (401, "wrong_token")
    assert await stage.ask(OTHER, address="192.0.2.1") == (429, "throttled")
    for _ in range(2 * ADDRESS_TRIES):
        assert await stage.ask(GOOD) == (404, "not_found")
    stage.tokens.good.clear()
    assert await stage.ask(GOOD) == (401, "wrong_token"), "revoked meanwhile"
    assert await stage.ask(GOOD) == (429, "throttled")


def test_to_look_how_long_to_wait_takes_no_try() -> None:
    clock: Callable[[], float] = lambda: 0.0  # noqa: E731
    throttle = Throttle(clock)
    for _ in range(2 * ADDRESS_TRIES):
        assert throttle.wait("a") == 0
    assert [throttle.take("a") == 0 for _ in range(ADDRESS_TRIES + 1)] == [True] * ADDRESS_TRIES + [False]
    assert throttle.wait("a") > 0
