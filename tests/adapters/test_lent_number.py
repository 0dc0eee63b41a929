"""A lent number: what it led to is on disk before it is changed, and comes back, also after a crash."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from app.adapters.lent_number import lend, lent_file, put_back, read_lent
from app.adapters.tunnel_client import TunnelClient
from app.commands import tunnel
from app.commands.tunnel import ask_to_lend, clear_tunnel, tunnelled
from app.errors import SetupError
from app.settings import Settings
from app.sim.carrier import ACCOUNT_SID, Carrier
from app.sim.carrier_numbers import PhoneNumber
from tests.house.samples import make_settings

TOKEN = "a" * 32
OURS = "+14155550199"
WAS = "https://old.example/voice"


class Stage:
    """An account with two numbers, and settings that lead to the first."""

    def __init__(self, number: PhoneNumber, other: PhoneNumber, settings: Settings) -> None:
        self.number, self.other, self.settings = number, other, settings


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    number = PhoneNumber(OURS, voice_url=WAS, voice_method="GET", voice_fallback_url="https://bin.example/x")
    other = PhoneNumber("+14155550198", voice_url="https://other.example/voice")
    carrier = Carrier(
        auth_token=TOKEN, account_sid=ACCOUNT_SID, public_url="https://x.example", numbers=[number, other]
    )
    base = await carrier.start_rest()
    try:
        yield Stage(
            number,
            other,
            make_settings(
                twilio_account_sid=ACCOUNT_SID,
                twilio_auth_tokens=(TOKEN,),
                twilio_phone_number=OURS,
                twilio_api_base=base,
                public_url="https://tunnel.example",
                data=tmp_path,
            ),
        )
    finally:
        await carrier.close()


async def test_a_number_is_lent_and_put_back_to_every_setting_it_had(stage: Stage) -> None:
    number = stage.number
    number.voice_application_sid = "AP" + "1" * 32
    before = number.settings()
    await lend(stage.settings)
    assert number.voice_url == "https://tunnel.example/twilio/incoming"
    assert number.voice_application_sid == "", "it would come before the URL"
    assert number.voice_fallback_url == "https://bin.example/x"
    assert lent_file(stage.settings.data).stat().st_mode & 0o077 == 0
    assert WAS in await put_back(stage.settings)
    assert number.settings() == before
    assert await put_back(stage.settings) == "", "nothing is lent any more"


async def test_a_number_that_is_lent_again_after_a_crash_goes_back_to_where_it_was_first(stage: Stage) -> None:
    await lend(stage.settings)
    later = msgspec.structs.replace(stage.settings, public_url="https://second.example")
    await lend(later)
    assert stage.number.voice_url == "https://second.example/twilio/incoming"
    await put_back(later)
    assert stage.number.voice_url == WAS


async def test_a_number_that_somebody_pointed_elsewhere_meanwhile_is_left_there(stage: Stage) -> None:
    await lend(stage.settings)
    stage.number.voice_url = "https://third.example/voice"
    assert "is left so" in await put_back(stage.settings)
    assert stage.number.voice_url == "https://third.example/voice"
    assert read_lent(stage.settings.data) is None


async def test_one_that_cannot_be_put_back_stays_noted(stage: Stage) -> None:
    await lend(stage.settings)
    for broken in (
        msgspec.structs.replace(stage.settings, twilio_auth_tokens=("b" * 32,)),
        msgspec.structs.replace(stage.settings, twilio_account_sid="", twilio_auth_tokens=()),
        msgspec.structs.replace(stage.settings, twilio_api_base="http://127.0.0.1:9"),
    ):
        with pytest.raises(SetupError):
            await put_back(broken)
        assert read_lent(stage.settings.data) is not None
    await put_back(stage.settings)
    assert stage.number.voice_url == WAS


async def test_a_number_that_is_not_the_accounts_is_refused_and_nothing_is_noted(stage: Stage) -> None:
    with pytest.raises(SetupError, match="TWILIO_PHONE_NUMBER"):
        await lend(msgspec.structs.replace(stage.settings, twilio_phone_number="+14155550100"))
    assert read_lent(stage.settings.data) is None


class Running:
    """A client's process that runs until it is told otherwise."""

    def poll(self) -> int | None:
        return None


async def test_the_number_is_lent_only_once_the_tunnel_leads_here_and_for_no_longer_than_we_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, lent = asyncio.Event(), asyncio.Event()

    async def reach(url: str) -> bool:
        await reached.wait()
        return url == "https://tunnel.example"

    async def lend_and_tell(settings: Settings) -> object:
        done = await lend(settings)
        lent.set()
        return done

    monkeypatch.setattr(tunnel, "_reached", reach)
    monkeypatch.setattr(tunnel, "lend", lend_and_tell)
    client = TunnelClient("ngrok", "https://tunnel.example", Running())  # type: ignore[arg-type]
    async with tunnelled(client, stage.settings, lends=True):
        assert stage.number.voice_url == WAS
        reached.set()
        async with asyncio.timeout(10):
            await lent.wait()
        assert stage.number.voice_url == "https://tunnel.example/twilio/incoming"
    assert stage.number.voice_url == WAS


async def test_a_tunnel_that_leads_nowhere_leaves_the_number_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "REACH_SECONDS", 0.0)
    assert not await tunnel._reached("http://127.0.0.1:9")
    assert stage.number.voice_url == WAS


def test_without_an_account_it_is_said_what_to_do_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert not ask_to_lend(make_settings(public_url="https://tunnel.example"), yes=True)
    assert "https://tunnel.example/twilio/incoming" in capsys.readouterr().err


async def test_after_a_crash_it_is_offered_to_put_the_number_back(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await lend(stage.settings)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert await asyncio.to_thread(clear_tunnel, stage.settings, yes=False) == 1
    assert "--yes" in capsys.readouterr().err
    assert await asyncio.to_thread(clear_tunnel, stage.settings, yes=True) == 0
    assert stage.number.voice_url == WAS


class Ended:
    """A client's process that has ended."""

    def poll(self) -> int | None:
        return 1


async def test_a_tunnel_that_dies_leads_nobody_into_the_void(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    back = asyncio.Event()

    async def reach(url: str) -> bool:
        return True

    async def put_back_and_tell(settings: Settings) -> str:
        said = await put_back(settings)
        back.set()
        return said

    monkeypatch.setattr(tunnel, "_reached", reach)
    monkeypatch.setattr(tunnel, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(tunnel, "put_back", put_back_and_tell)
    client = TunnelClient("ngrok", "https://tunnel.example", Ended())  # type: ignore[arg-type]
    async with tunnelled(client, stage.settings, lends=True):
        async with asyncio.timeout(10):
            await back.wait()
        assert stage.number.voice_url == WAS, "while the server goes on"
        assert read_lent(stage.settings.data) is None


async def test_another_number_that_a_dead_server_lent_is_put_back_before_its_note_is_gone(stage: Stage) -> None:
    other = stage.other
    await lend(msgspec.structs.replace(stage.settings, twilio_phone_number=other.phone_number))
    assert other.voice_url == "https://tunnel.example/twilio/incoming"
    await lend(stage.settings)
    assert other.voice_url == "https://other.example/voice"
    await put_back(stage.settings)
    assert stage.number.voice_url == WAS


async def test_a_note_that_cannot_be_read_is_not_written_over(stage: Stage) -> None:
    lent_file(stage.settings.data).write_text('{"number": ')
    with pytest.raises(SetupError, match="look at the number in"):
        await lend(stage.settings)
    assert stage.number.voice_url == WAS
    assert lent_file(stage.settings.data).read_text() == '{"number": '


async def test_a_number_on_a_sip_trunk_is_not_lent(stage: Stage) -> None:
    stage.number.trunk_sid = "TK" + "1" * 32
    with pytest.raises(SetupError, match="SIP trunk"):
        await lend(stage.settings)
    assert (stage.number.voice_url, read_lent(stage.settings.data)) == (WAS, None)
