"""URLs stay public for signing and are mapped only to connect; patience is read from the fragment."""

import pytest
from twilio.request_validator import RequestValidator

from app.errors import SetupError
from app.sim.carrier_http import Patience
from app.sim.carrier_origin import Origin, Route
from app.sim.carrier_quirks import Quirks
from app.sim.stream_upgrade import signed_url
from app.sim.twiml_document import Refused

PUBLIC = Origin("https://agent.example.com", "http://127.0.0.1:9")


def test_an_url_of_the_server_is_opened_where_it_really_is_under_its_public_host_name() -> None:
    assert PUBLIC.route("https://agent.example.com/a?b=1#c") == Route("http://127.0.0.1:9/a?b=1", "agent.example.com")
    assert PUBLIC.route("https://agent.example.com:443/a").url == "http://127.0.0.1:9/a"
    assert PUBLIC.route("wss://agent.example.com/s") == Route(
        "ws://agent.example.com/s", "agent.example.com", ("127.0.0.1", 9)
    )


def test_an_url_elsewhere_is_opened_as_it_stands() -> None:
    assert PUBLIC.route("https://other.example/a").url == "https://other.example/a"
    assert PUBLIC.route("http://agent.example.com/a").url == "http://agent.example.com/a"
    assert PUBLIC.route("ws://127.0.0.1:5/s").connect is None


def test_a_relative_stream_url_takes_the_documents_host_and_the_ws_form_of_its_scheme() -> None:
    assert PUBLIC.stream_url("/s/1", "https://agent.example.com/twilio/incoming") == "wss://agent.example.com/s/1"
    assert Origin("http://localhost:8000").stream_url("/s", "http://localhost:8000/x") == "ws://localhost:8000/s"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("wss://agent.example.com/s?call=1", 31920),
        ("ws://agent.example.com/s", 31922),
        ("https://agent.example.com/s", 31922),
        ("wss://agent.example.com:x/s", 31923),
        ("wss:///s", 31923),
        ("wss://[::1/s", 31923),
        ("", 31923),
    ],
)
def test_a_stream_url_that_twilio_refuses_is_refused_with_its_code(url: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        PUBLIC.stream_url(url, "")
    assert refused.value.code == code


@pytest.mark.parametrize("url", ["http://[::1/x", "https://agent.example.com:x/", "mailto:a@b.example"])
def test_a_url_that_cannot_be_asked_is_11100(url: str) -> None:
    with pytest.raises(Refused) as refused:
        PUBLIC.absolute(url, "https://agent.example.com/twilio/incoming")
    assert refused.value.code == 11100


def test_literal_twiml_needs_absolute_urls() -> None:
    with pytest.raises(Refused) as refused:
        PUBLIC.absolute("/twilio/next", "")
    assert refused.value.code == 11100


@pytest.mark.parametrize("public_url", ["http://agent.example.com", "agent.example.com", "wss://a", "https://a?b=1"])
def test_a_public_url_that_the_carrier_could_not_use_is_refused(public_url: str) -> None:
    with pytest.raises(SetupError):
        Origin(public_url)


def test_the_upgrades_signature_can_take_both_documented_variants() -> None:
    validator = RequestValidator("0123456789abcdef0123456789abcdef")
    url = signed_url("wss://agent.example.com/media", Quirks(signed_port=True))
    assert validator.compute_signature(url, {}) == "r9yMv+CcI5zq0Sdoi4anxy4UtpQ="
    url = signed_url("wss://agent.example.com/media", Quirks(signed_slash=True))
    assert validator.compute_signature(url, {}) == "/+p+dsaYClsmnmTeIlaP/ffApNk="


def test_connection_overrides_are_read_from_the_fragment_and_kept_in_range() -> None:
    assert Patience.of("https://a/b") == Patience(5000, 15000, 15000, 1, frozenset({"ct"}))
    said = Patience.of("https://a/b?x=1#ct=2000&rt=99999&tt=50&rc=9&rp=5xx,rt")
    assert said == Patience(2000, 15000, 100, 5, frozenset({"5xx", "rt"}))
    assert Patience.of("https://a/b#rp=all").retry_on >= {"4xx", "5xx", "ct", "rt"}
