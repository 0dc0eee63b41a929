"""The model as the doctor sees it: key, names, sessions for every mode; and the providers' pages and distance."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Literal

import pytest

from app.adapters.data_folder import Running
from app.doctor import models, providers, sessions
from app.doctor.knock import Knock, medians
from app.doctor.rows import Row
from app.sim.model import ModelServer
from tests.doctor.stage import ACCOUNT, TOKEN, free_url, host, patient, row

KEY = "sk-the-key-of-a-test"


@pytest.fixture
async def model() -> AsyncIterator[str]:
    """The stand-in, which wants the key."""
    server = ModelServer(scripts=[], api_key=KEY)
    yield await server.start()
    await server.close()


def on(day: str) -> Any:
    """A clock that stands."""
    return lambda: datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


async def line(check: Any, **changes: Any) -> Row:
    async with patient(**changes) as who:
        return await row(who, check)


# --- the way there ----------------------------------------------------------------------------------------------------


async def test_a_proxy_that_calls_would_go_past_is_a_warning_without_its_password() -> None:
    proxy = {"HTTPS_PROXY": "http://ann:pa55word@proxy.example:3128"}
    named = await line(providers.proxy, realtime_url="wss://model.example/v1", environ=proxy)
    assert named.level == "warning"
    assert "HTTPS_PROXY" in named.what
    assert "model.example" in named.what
    assert "NO_PROXY" in named.remedy
    assert "pa55word" not in str(named)
    listed = {**proxy, "no_proxy": "model.example"}
    assert (await line(providers.proxy, realtime_url="wss://model.example/v1", environ=listed)).level == "fine"
    assert (await line(providers.proxy, realtime_url="wss://model.example/v1")).level == "fine"


# --- the key --------------------------------------------------------------------------------------------------------


async def test_a_key_is_good_wrong_or_without_a_server(model: str) -> None:
    good = await line(models.model_key, realtime_url=model, openai_api_key=KEY)
    wrong = await line(models.model_key, realtime_url=model, openai_api_key="sk-another-secret")
    nobody = await line(models.model_key, realtime_url=free_url("ws"), openai_api_key=KEY)
    assert (good.level, wrong.level, nobody.level) == ("fine", "fault", "fault")
    assert "401" in wrong.what
    assert "sk-another-secret" not in str(wrong)


@pytest.mark.parametrize(
    "check", [models.model_key, models.model_name, providers.openai_status, providers.model_latency]
)
async def test_without_a_key_what_is_about_the_model_is_skipped(check: Any) -> None:
    found = await line(check, stand_in=True)
    assert (found.level, "OPENAI_API_KEY" in found.remedy) == ("skipped", True)


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "day", "level"),
    [
        ("gpt-realtime-2.1", "2026-11-21", "fine"),
        ("gpt-realtime-1.5", "2026-11-21", "fine"),
        ("gpt-realtime", "2026-10-01", "fine"),
        ("gpt-realtime", "2026-11-21", "warning"),
        ("gpt-realtime-mini", "2027-01-20", "warning"),
        ("gpt-realtime-2025-08-28", "2027-01-21", "fault"),
        ("gpt-4o-realtime-preview-2024-12-17", "2027-02-01", "fault"),
        ("gpt-live-1", "2026-11-21", "fault"),
        ("my-own-model", "2026-11-21", "fine"),
    ],
)
async def test_a_model_s_last_day_is_told_ninety_days_before(name: str, day: str, level: str) -> None:
    found = await line(models.model_name, realtime_url="ws://127.0.0.1:1", realtime_model=name, now=on(day))
    assert found.level == level
    assert name in found.what


async def test_openai_s_own_list_goes_before_the_table() -> None:
    listed = {
        "/v1/models/gpt-realtime-2.1": (200, json.dumps({"id": "gpt-realtime-2.1", "shutdown_date": "2026-12-24"})),
        "/v1/models/gpt-realtime": (200, json.dumps({"id": "gpt-realtime"})),
    }
    found = {}
    async with host(listed) as it:
        for name in ("gpt-realtime-2.1", "gpt-realtime", "gpt-realtime-9"):
            async with patient(
                realtime_url=it.url.replace("http", "ws") + "/v1/realtime",
                realtime_engine="openai",
                realtime_model=name,
                openai_api_key=KEY,
                now=on("2026-11-21"),
            ) as who:
                found[name] = await row(who, models.model_name)
        assert it.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert "2026-12-24" in found["gpt-realtime-2.1"].what
    assert "2027-01-20" in found["gpt-realtime"].what
    assert (found["gpt-realtime-9"].level, "no model" in found["gpt-realtime-9"].what) == ("fault", True)


def test_the_table_is_dated_and_names_what_to_take_instead() -> None:
    assert all(day >= models.TABLE_OF for day, _ in models.SHUTDOWN.values())
    assert {instead for _, instead in models.SHUTDOWN.values()} <= set(models.CURRENT)
    assert models.announced("gpt-4o-mini-realtime-preview-2024-12-17") == (date(2027, 1, 20), "gpt-realtime-2.1-mini")
    assert models.announced("gpt-realtime-1.5") == (None, "")


# --- sessions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["ga", "flat", "hybrid"])
async def test_every_mode_s_session_is_agreed_in_each_dialect_and_no_response_is_asked_for(
    dialect: Literal["ga", "flat", "hybrid"],
) -> None:
    server = ModelServer(scripts=[], dialect=dialect)
    url = await server.start()
    async with patient(realtime_url=url, realtime_engine="xai" if dialect == "hybrid" else "auto") as who:
        made = [partial(sessions.session, mode=mode) for mode in who.modes.values()]
        found = [await row(who, check) for check in made]
    sent = {event["type"] for session in server.sessions for event in session.received}
    await server.close()
    assert [one.level for one in found] == ["fine"] * len(found), [one.what for one in found]
    assert all(f"dialect {dialect}" in one.what and "hears" in one.what for one in found)
    assert sent == {"session.update"}, "nothing is asked of the model, so that nothing costs"


async def test_a_flow_s_states_are_all_offered() -> None:
    async with patient() as who:
        ivr, receptionist = who.modes["ivr"], who.modes["receptionist"]
    assert ivr.flow is not None
    assert len(sessions.offers(ivr)) == len(ivr.flow.states)
    assert [tool["name"] for tool in sessions.offers(receptionist)[0]] == [tool.name for tool in receptionist.tools]


async def test_a_session_that_is_refused_says_why(model: str) -> None:
    async with patient(
        realtime_url=model, openai_api_key=KEY, transcription_model="nosuch", realtime_dialect="flat"
    ) as who:
        found = await row(who, lambda it: sessions.session(it, it.modes["ivr"]))
    assert found.level == "fault"
    assert "refused" in found.what


async def test_without_a_key_the_running_server_s_stand_in_is_asked_and_without_a_server_nobody(model: str) -> None:
    here = Running(1, "http://127.0.0.1:1", "http://127.0.0.1:1", "postgresql://x@127.0.0.1/x", model)
    levels = []
    for running in (here, None):
        async with patient(running=running, stand_in=True, openai_api_key=KEY) as who:
            levels.append((await row(who, lambda it: sessions.session(it, it.modes["reminder"]))).level)
    assert levels == ["fine", "skipped"]


def test_codecs_are_told_in_the_server_s_own_words() -> None:
    assert sessions.formats_of({"input_audio_format": "g711_ulaw", "output_audio_format": "pcm16"}) == (
        "hears g711_ulaw and speaks pcm16"
    )
    assert sessions.formats_of({}) == ""
    assert sessions.formats_of({"audio": 3}) == ""


# --- the providers --------------------------------------------------------------------------------------------------


def page(indicator: str, *components: tuple[str, str]) -> tuple[int, str]:
    listed = [{"name": name, "status": status} for name, status in components]
    return 200, json.dumps({"status": {"indicator": indicator, "description": "As it is"}, "components": listed})


async def test_status_pages_are_read_and_what_calls_depend_on_is_named_first() -> None:
    broken = page("major", ("Fax", "major_outage"), ("Programmable Voice", "partial_outage"), ("SMS", "operational"))
    async with host({"/twilio": page("none"), "/openai": broken, "/odd": (200, "<html>")}) as it:
        pages = {"twilio": f"{it.url}/openai", "openai": f"{it.url}/twilio"}
        mine: dict[str, Any] = {"twilio_account_sid": ACCOUNT, "twilio_auth_tokens": (TOKEN,)}
        async with patient(status_pages=pages, **mine) as who:
            twilio, openai = await row(who, providers.twilio_status), await row(who, providers.openai_status)
        for url in (f"{it.url}/odd", f"{it.url}/none", free_url()):
            async with patient(status_pages={"openai": url}) as who:
                assert (await row(who, providers.openai_status)).level == "skipped"
    assert (twilio.level, openai.level) == ("warning", "fine")
    assert "Programmable Voice (partial outage)" in twilio.what
    assert "Fax" not in twilio.what


async def test_the_way_to_the_model_and_to_twilio_is_measured_or_a_fault(model: str) -> None:
    near = await line(providers.model_latency, realtime_url=model, openai_api_key=KEY)
    gone = await line(providers.model_latency, realtime_url=free_url("ws"), openai_api_key=KEY)
    assert (near.level, gone.level) == ("fine", "fault")
    assert "TCP after" in near.what
    assert "upgrade after" in near.what


def test_the_median_counts_and_not_the_first_knock() -> None:
    knocks = [Knock(tcp_ms=90, upgrade_ms=300), Knock(tcp_ms=5, upgrade_ms=9), Knock(tcp_ms=7, upgrade_ms=8)]
    it = medians(knocks)
    assert (it.tcp_ms, it.tls_ms, it.upgrade_ms) == (7, None, 9)
