"""A proxy that is set and that calls do not use: said by the variable's name, and never with what it holds."""

from typing import Any

import pytest

from app.calls.unused_proxy import unused_proxy
from app.mode import Mode
from app.registry import find
from app.rules.fallback_engines import FallbackEngine
from app.settings import Settings
from tests.house.samples import make_settings

PROXY = "http://ann:pa55word@proxy.example:3128"
MODEL = "wss://model.example/v1/realtime"


def said(environ: dict[str, str], **changes: Any) -> str:
    settings = make_settings(**{"realtime_url": MODEL, **changes})
    return unused_proxy(environ, settings, modes_of(settings))


def modes_of(settings: Settings) -> dict[str, Mode]:
    return dict(find(settings).modes)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", [PROXY, "ann:pa55word@proxy.example:3128", "pa55word"])
def test_each_variable_is_told_by_its_name_and_never_by_its_value(name: str, value: str) -> None:
    told = said({name: value})
    assert told == f"set, but not used: {name}; dialled directly: model.example"


@pytest.mark.parametrize("environ", [{}, {"HTTPS_PROXY": " "}, {"FTP_PROXY": PROXY}, {"NO_PROXY": "x.example"}])
def test_without_a_proxy_nothing_is_told(environ: dict[str, str]) -> None:
    assert said(environ) == ""


def test_every_host_that_calls_depend_on_is_named_once() -> None:
    engines = tuple(FallbackEngine(name=f"e{n}", url="wss://other.example/v1", model="m") for n in range(2))
    told = said(
        {"ALL_PROXY": PROXY, "HTTPS_PROXY": PROXY},
        fallback_engines=engines,
        elevenlabs_api_key="k",
        twilio_account_sid="AC" + "0" * 32,
    )
    assert told.startswith(
        "set, but not used: ALL_PROXY, HTTPS_PROXY; dialled directly: model.example, other.example, "
    )
    assert told.endswith("api.elevenlabs.io, api.twilio.com")


def test_a_voice_that_no_mode_wants_is_no_host_of_ours() -> None:
    settings = make_settings(realtime_url=MODEL, elevenlabs_api_key="k")
    assert "elevenlabs" not in unused_proxy({"HTTPS_PROXY": PROXY}, settings, {})


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        ("model.example", "api.twilio.com"),
        (".example", "api.twilio.com"),
        ("other.example, TWILIO.COM", "model.example"),
        ("ample", "model.example, api.twilio.com"),
        ("model.example,api.twilio.com", ""),
        ("*", ""),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_has_is_dialled_directly_by_intent(name: str, listed: str, left: str) -> None:
    told = said({"HTTPS_PROXY": PROXY, name: listed}, twilio_account_sid="AC" + "0" * 32)
    assert told.partition("dialled directly: ")[2] == left


def test_nothing_is_told_of_this_machine_or_of_the_built_in_stand_in() -> None:
    for url in ("ws://127.0.0.1:9/v1", "ws://localhost:9", "ws://[::1]:9"):
        assert said({"HTTPS_PROXY": PROXY}, realtime_url=url) == ""
    assert said({"HTTPS_PROXY": PROXY}, stand_in=True) == ""
