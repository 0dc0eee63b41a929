"""The public URL as Twilio would come by it: a name, a certificate, an upgrade, signatures, and the clock."""

import ssl
from pathlib import Path

import pytest

from app import settings
from app.doctor import clock, public
from tests.doctor.stage import (
    ACCOUNT,
    TOKEN,
    Answer,
    Asked,
    Host,
    certificate,
    free_url,
    guarded,
    host,
    needs_openssl,
    patient,
    row,
)

OK = {"/healthz": (200, "ok\n")}


def spoils(it: Host, *, door: Answer | None = None) -> None:
    """Give a host our signed doors; door: what one of them answers whatever is asked."""
    for path in ("/twilio/status", "/twilio/incoming"):
        it.answers[path] = guarded(lambda: it.url)
    if door is not None:
        it.answers["/twilio/incoming"] = door


@needs_openssl
@pytest.mark.parametrize(
    ("names", "days", "level", "says"),
    [
        ("DNS:localhost", 90, "fine", "90 days"),
        ("DNS:localhost", 5, "warning", "5 days"),
        ("DNS:localhost", -3, "fault", "expired"),
        ("DNS:other.example.com", 90, "fault", "localhost"),
    ],
)
async def test_a_certificate_is_good_for_the_name_and_for_some_days(
    tmp_path: Path, names: str, days: int, level: str, says: str
) -> None:
    made = certificate(tmp_path, names=names, days=days)
    async with host(OK, tls=made.server, name="localhost") as it, patient(public_url=it.url, trust=made.client) as who:
        found = await row(who, public.certificate)
        reached = await row(who, public.public_url)
    assert found.level == level
    assert (reached.level == "warning") == (level != "fault"), "what is not safe to reach is not reached"
    assert says in found.what


@needs_openssl
async def test_a_certificate_of_nobody_s_authority_is_a_fault(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    async with (
        host(OK, tls=made.server, name="localhost") as it,
        patient(public_url=it.url, trust=ssl.create_default_context()) as who,
    ):
        found = await row(who, public.certificate)
    assert (found.level, "self-signed" in found.what or "self signed" in found.what) == ("fault", True)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback hosts count as hosts of the outside world."""
    monkeypatch.setattr(settings, "LOOPBACK", ())


@pytest.mark.usefixtures("outside")
async def test_a_public_url_where_nobody_answers_is_a_fault_and_what_needs_it_is_skipped() -> None:
    async with patient(public_url=free_url("https")) as who:
        assert (await row(who, public.public_url)).level == "fault"
        for check in (public.certificate, public.websocket, public.signed_request):
            assert (await row(who, check)).level == "skipped"


@pytest.mark.usefixtures("outside")
async def test_a_public_url_leads_to_a_server_of_ours_or_it_is_a_fault() -> None:
    async with host(OK) as it, patient(public_url=it.url) as who:
        assert (await row(who, public.public_url)).level == "fine"
    async with host({"/healthz": (502, "bad gateway")}) as it, patient(public_url=it.url) as who:
        found = await row(who, public.public_url)
    assert (found.level, "502" in found.what) == ("fault", True)


async def test_at_this_machine_alone_it_is_skipped_until_the_server_runs_and_a_fault_with_twilio_s_own_api() -> None:
    async with patient(public_url=free_url()) as who:
        found = await row(who, public.public_url)
        assert (found.level, "needs a running server" in found.what) == ("skipped", True)
        assert (await row(who, public.certificate)).level == "skipped"
    async with host(OK) as it:
        async with patient(public_url=it.url) as who:
            assert (await row(who, public.public_url)).level == "warning"
        async with patient(public_url=it.url, twilio_account_sid=ACCOUNT, twilio_auth_tokens=(TOKEN,)) as who:
            assert (await row(who, public.public_url)).level == "fault"


async def test_a_signed_request_is_taken_and_an_unsigned_one_refused() -> None:
    async with host(OK) as it:
        spoils(it)
        async with patient(public_url=it.url) as who:
            found = await row(who, public.signed_request)
        async with patient(public_url=it.url, tokens=("another token",)) as who:
            other = await row(who, public.signed_request)
        async with patient(public_url=it.url, tokens=()) as who:
            none = await row(who, public.signed_request)
        spoils(it, door=(200, "welcome"))
        async with patient(public_url=it.url) as who:
            open_door = await row(who, public.signed_request)
    assert (found.level, other.level, none.level, open_door.level) == ("fine", "fault", "skipped", "fault")
    assert "another token" not in other.what + other.remedy
    form = it.asked[1].body
    assert "CallSid=CAd0c0" in form
    assert "CallStatus=ringing" in form


async def test_a_proxy_that_passes_no_upgrade_is_told_from_a_wrong_signature() -> None:
    def refuses(asked: Asked) -> Answer:
        return 403, "no"

    levels = []
    async with host(OK) as it, patient(public_url=it.url) as who:
        for answer in ((404, "what upgrade?"), refuses, (200, "a page")):
            it.answers["/voice/ws/receptionist"] = answer
            levels.append(await row(who, public.websocket))
    assert [found.level for found in levels] == ["fault"] * 3
    assert "proxy" in levels[0].remedy
    assert "TWILIO_AUTH_TOKEN" in levels[1].remedy
    assert "proxy" in levels[2].remedy


# --- the clock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "level", "says"),
    [(0.0, "fine", "level with"), (60.0, "warning", "behind Twilio"), (-60.0, "warning", "ahead of Twilio")],
)
async def test_a_clock_that_is_more_than_five_seconds_off_warns(ahead: float, level: str, says: str) -> None:
    async with (
        host(ahead=ahead) as it,
        patient(stand_in=True, twilio_account_sid=ACCOUNT, twilio_api_base=it.url) as who,
    ):
        found = await row(who, clock.clock)
    assert (found.level, says in found.what) == (level, True)


async def test_without_anybody_to_ask_and_without_an_answer_the_clock_is_skipped() -> None:
    async with patient(stand_in=True) as who:
        assert (await row(who, clock.clock)).level == "skipped"
    async with patient(stand_in=True, twilio_account_sid=ACCOUNT, twilio_api_base=free_url()) as who:
        assert (await row(who, clock.clock)).level == "skipped"
