"""The account and the number at Twilio's REST API, and the wiring of it, against the carrier stand-in."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.doctor import account, number
from app.doctor.rows import Row
from app.sim.carrier import Carrier
from app.sim.carrier_numbers import PhoneNumber
from tests.doctor.stage import ACCOUNT, OURS, PUBLIC, TOKEN, free_url, host, patient, row

INCOMING = f"{PUBLIC}/twilio/incoming"
AWAY = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001"
WIRED = {"voice_url": INCOMING, "voice_fallback_url": AWAY, "status_callback": f"{PUBLIC}/twilio/status"}


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    it = Carrier(auth_token=TOKEN, public_url=PUBLIC, numbers=[PhoneNumber(OURS, **WIRED), PhoneNumber(OURS + "0")])
    yield it
    await it.close()


@pytest.fixture
async def base(carrier: Carrier) -> str:
    return await carrier.start_rest()


@pytest.fixture
def ours(carrier: Carrier) -> PhoneNumber:
    return carrier.account.numbers[OURS]


def of(base: str, **changes: Any) -> dict[str, Any]:
    """Settings of the account at the stand-in."""
    return {
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_tokens": (TOKEN,),
        "twilio_phone_number": OURS,
        "twilio_api_base": base,
        "public_url": PUBLIC,
        **changes,
    }


async def line(check: Any, base: str, **changes: Any) -> Row:
    async with patient(**of(base, **changes)) as who:
        return await row(who, check)


# --- the account ----------------------------------------------------------------------------------------------------


async def test_a_full_account_is_fine_and_a_trial_or_a_suspended_one_a_fault(carrier: Carrier, base: str) -> None:
    assert (await line(account.twilio_account, base)).level == "fine"
    carrier.account.kind = "Trial"
    trial = await line(account.twilio_account, base)
    assert (trial.level, trial.ok, "<Stream>" in trial.what) == ("fault", False, True)
    carrier.account.kind, carrier.account.status = "Full", "suspended"
    assert "suspended" in (await line(account.twilio_account, base)).what


async def test_wrong_credentials_are_told_without_showing_them(base: str) -> None:
    wrong = await line(account.twilio_account, base, twilio_auth_tokens=("a wrong secret",))
    stranger = await line(account.twilio_account, base, twilio_account_sid="AC" + "9" * 32)
    assert (wrong.level, stranger.level) == ("fault", "fault")
    assert "TWILIO_AUTH_TOKEN" in wrong.remedy
    assert "a wrong secret" not in str(wrong)


async def test_what_is_not_configured_is_skipped_and_half_an_account_is_a_fault(base: str) -> None:
    assert (await line(account.twilio_account, base, twilio_account_sid="")).level == "skipped"
    assert (await line(number.number, base, twilio_account_sid="")).level == "skipped"
    assert (await line(number.number, base, twilio_phone_number="")).level == "skipped"
    assert (await line(account.twilio_account, base, twilio_auth_tokens=())).level == "fault"


async def test_an_api_that_does_not_answer_or_not_as_twilio_does_is_a_fault_of_the_account_alone() -> None:
    for base in (free_url(),):
        assert (await line(account.twilio_account, base)).level == "fault"
        assert (await line(number.number, base)).level == "skipped"
    async with host({f"/2010-04-01/Accounts/{ACCOUNT}.json": (200, "<html>")}) as it:
        assert (await line(account.twilio_account, it.url)).level == "fault"


@pytest.mark.parametrize(
    ("base", "environ", "level", "says"),
    [
        ("https://api.twilio.com", {"FLY_REGION": "iad"}, "fine", "us1"),
        ("https://api.twilio.com", {"FLY_REGION": "fra"}, "warning", "ie1"),
        ("https://api.twilio.com", {"AWS_REGION": "eu-west-1"}, "warning", "ie1"),
        ("https://api.dublin.ie1.twilio.com", {"FLY_REGION": "lhr"}, "fine", "dublin"),
        ("https://api.frankfurt.ie1.twilio.com", {"FLY_REGION": "lhr"}, "warning", "TWILIO_EDGE=dublin"),
        ("https://api.tokyo.jp1.twilio.com", {"FLY_REGION": "nrt"}, "fault", "jp1"),
        ("https://api.twilio.com", {}, "skipped", "FLY_REGION"),
        ("https://api.twilio.com", {"FLY_REGION": "moon"}, "skipped", "moon"),
        ("http://127.0.0.1:1", {"FLY_REGION": "iad"}, "skipped", "stand-in"),
    ],
)
async def test_the_region_is_held_against_the_place_of_this_host(
    base: str, environ: dict[str, str], level: str, says: str
) -> None:
    found = await line(account.twilio_region, base, environ=environ)
    assert (found.level, says in found.what + found.remedy) == (level, True)


# --- the number -----------------------------------------------------------------------------------------------------


async def lines(base: str, **changes: Any) -> dict[str, Row]:
    async with patient(**of(base, **changes)) as who:
        checks = {"number": number.number, "fallback": number.fallback, "status": number.status_callback}
        return {name: await row(who, check) for name, check in checks.items()}


async def test_a_number_that_is_wired_is_fine_whatever_mode_its_url_names(base: str, ours: PhoneNumber) -> None:
    assert {found.level for found in (await lines(base)).values()} == {"fine"}
    ours.voice_url = INCOMING + "?mode=ivr#rc=2&rp=all"
    assert {found.level for found in (await lines(base)).values()} == {"fine"}


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({"voice_url": ""}, "fault", "no webhook"),
        ({"voice_url": "https://demo.twilio.com/welcome/voice/"}, "fault", "demo.twilio.com"),
        ({"voice_url": "https://AGENT.example.com/twilio/incoming"}, "fault", "to the letter"),
        ({"voice_url": f"{PUBLIC}:443/twilio/incoming"}, "fault", "to the letter"),
        ({"voice_url": f"{PUBLIC}/twilio/incoming/"}, "fault", "instead of"),
        ({"voice_method": "GET"}, "warning", "GET"),
        ({"voice_application_sid": "AP1"}, "fault", "TwiML app (AP1)"),
        ({"trunk_sid": "TK1"}, "fault", "SIP trunk (TK1)"),
    ],
)
async def test_what_keeps_calls_from_our_webhook_is_named(
    base: str, ours: PhoneNumber, changes: dict[str, str], level: str, says: str
) -> None:
    for name, value in changes.items():
        setattr(ours, name, value)
    found = (await lines(base))["number"]
    assert (found.level, says in found.what + found.remedy) == (level, True)
    assert "--fix" in found.remedy


async def test_a_url_s_user_and_password_are_not_shown(base: str, ours: PhoneNumber) -> None:
    ours.voice_url = "https://ann:s3cret@elsewhere.example/voice?key=s3cret"
    assert "s3cret" not in str((await lines(base))["number"])


async def test_a_fallback_on_our_own_host_or_none_warns_and_a_text_to_paste_is_printed(
    base: str, ours: PhoneNumber
) -> None:
    for url in ("", f"{PUBLIC}/twilio/fallback", "https://agent.example.com:8443/other"):
        ours.voice_fallback_url = url
        found = (await lines(base, human_transfer_number="+14155550170"))["fallback"]
        assert (found.level, found.ok) == ("warning", True)
        assert '<Dial timeout="30">+14155550170</Dial>' in found.text
        assert found.text.startswith("<?xml")


async def test_a_status_callback_that_goes_elsewhere_warns(base: str, ours: PhoneNumber) -> None:
    for url in ("", "https://elsewhere.example/status"):
        ours.status_callback = url
        assert (await lines(base))["status"].level == "warning"


async def test_a_number_that_the_account_does_not_have_is_a_fault_everywhere(base: str) -> None:
    found = await lines(base, twilio_phone_number="+14155550142")
    assert {name: one.level for name, one in found.items()} == dict.fromkeys(found, "fault")
    assert {one.level for one in (await lines(base, twilio_phone_number=OURS[:-1])).values()} == {"fault"}, (
        "a part of one"
    )
