"""The guard at the house's own doors: what being at home is worth, and the scraper's token."""

import base64

import pytest

from app.web.guard import Guard, Refused
from tests.web.samples import HOST, guard, request

HOME = "http://127.0.0.1:8000"


def basic(password: str, user: str = "operator") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def at_home(the_guard: Guard, client: str | None = "127.0.0.1", **headers: str) -> bool:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return the_guard.at_home(request("/", "GET", given, client=client))


def scraper_status(the_guard: Guard, **headers: str) -> int:
    try:
        the_guard.scraper(request("/metrics", "GET", {k.replace("_", "-"): v for k, v in headers.items()}))
    except Refused as refused:
        return refused.response.status_code
    return 200


@pytest.mark.parametrize("public_url", [HOME, "http://localhost:8000", "http://[::1]:8000", "https://localhost"])
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "localhost:8000", "[::1]:8000"])
def test_at_home_the_operator_needs_no_login(public_url: str, host: str) -> None:
    assert at_home(guard(public_url=public_url), host=host)
    assert scraper_status(guard(public_url=public_url), host=host) == 200


@pytest.mark.parametrize(
    "header", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via", "fly-client-ip"]
)  # fmt: skip
def test_a_request_that_came_through_a_proxy_is_not_at_home(header: str) -> None:
    ours = guard(public_url=HOME, metrics_token="t")
    assert not at_home(ours, host="127.0.0.1:8000", **{header: "127.0.0.1"})
    assert not at_home(ours, host="127.0.0.1:8000", **{header: ""})
    assert scraper_status(ours, host="127.0.0.1:8000", **{header: "127.0.0.1"}) == 403


@pytest.mark.parametrize(
    "host", ["evil.example.com", "127.0.0.1.evil.example.com", "localhost@evil.example.com", "127.0.0.2", "", "[::1", "a]b["]
)  # fmt: skip
def test_a_name_that_leads_here_from_outside_is_not_at_home(host: str) -> None:
    ours = guard(public_url=HOME)
    assert not at_home(ours, host=host)
    assert scraper_status(ours, host=host) == 403


@pytest.mark.parametrize("client", ["192.168.1.10", "203.0.113.7", "2001:db8::1", "testclient", "", None])
def test_a_request_from_another_machine_is_not_at_home_whatever_it_calls_us(client: str | None) -> None:
    ours = guard(public_url=HOME)
    assert not at_home(ours, client, host="127.0.0.1:8000")
    with pytest.raises(Refused):
        ours.scraper(request("/metrics", "GET", {"host": "127.0.0.1:8000"}, client=client))


def test_loopback_alone_grants_nothing_on_a_public_origin() -> None:
    ours = guard(public_url=HOST, metrics_token="t")
    assert not at_home(ours, host="127.0.0.1:8000")
    assert scraper_status(ours, host="127.0.0.1:8000") == 403


def test_the_metrics_are_read_by_their_token_alone() -> None:
    ours = guard(metrics_token="scrape-me", password="secret")
    assert scraper_status(ours, authorization="Bearer scrape-me") == 200
    for wrong in ("", "Bearer", "Bearer ", "Bearer scrape", "Bearer scrape-me2", "Bearer é", basic("secret")):
        assert scraper_status(ours, authorization=wrong) == 403


def test_without_a_metrics_token_nobody_reads_the_metrics() -> None:
    for header in ("", "Bearer ", "Bearer"):
        assert scraper_status(guard(), authorization=header) == 403
