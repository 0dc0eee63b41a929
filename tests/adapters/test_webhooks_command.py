"""`./offhook webhooks`: what was not taken can be seen, sent again and tried, by one who has nothing but this command."""

import asyncio
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.commands import webhooks as command
from app.errors import SetupError
from app.settings import Settings, load
from tests.adapters.endpoints import Endpoint, endpoint, says, taken
from tests.adapters.words import Clock, courier, does, finishes, rows

BROKEN = says("503 Busy", b"maintenance")


async def run(way: str, **chosen: Any) -> int:
    """The command as it is typed; it has a loop of its own."""
    defaults = {"all": False, "json": False, "most": 50, "ids": [], "endpoint": "", "dead": False}
    return await asyncio.to_thread(command.run, Namespace(way=way, **(defaults | chosen)))


@pytest.fixture
def business(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str) -> Any:
    """Makes the command's settings: this database, and an endpoint."""

    def of(it: Endpoint | None) -> None:
        def settings() -> Settings:
            known = load({"DATABASE_URL": database}, root=tmp_path)
            return msgspec.structs.replace(known, webhooks=() if it is None else (it.webhook(),))

        monkeypatch.setattr("app.settings.load", settings)

    return of


async def test_a_dead_letter_is_listed_and_sent_again(
    engine: AsyncEngine, business: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    async with endpoint(BROKEN, BROKEN, taken) as it:
        business(it)
        one = courier(engine, clock, it.webhook())
        await does(one)
        await finishes(engine, clock)
        await does(one)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE deliveries SET state = 'dead', attempts = 10"))
        capsys.readouterr()
        assert await run("list") == 0
        summary, line = capsys.readouterr().out.splitlines()
        assert summary == "crm: 1 dead"
        assert re.fullmatch(r"msg_\w{32}  .* dead +crm  CA1  10 attempts  503: maintenance", line)
        found = line.split()[0]
        assert await run("list", json=True) == 0
        assert msgspec.json.decode(capsys.readouterr().out)["id"] == found

        assert await run("retry", ids=[found]) == 1
        assert "1 due again, 0 taken, 1 not taken" in capsys.readouterr().out
        assert await rows(engine, "SELECT state, attempts FROM deliveries") == [("waiting", 1)]
        assert await run("retry", ids=[found]) == 0
        assert await rows(engine, "SELECT state, attempts FROM deliveries") == [("sent", 1)]
        assert len({received.id for received in it.received}) == 1
        capsys.readouterr()
        assert await run("list") == 0
        assert capsys.readouterr().out == "crm: 1 sent\n"
        assert await run("list", all=True) == 0
        assert found in capsys.readouterr().out


async def test_an_endpoint_is_switched_on_again(
    engine: AsyncEngine, business: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    async with endpoint(says("410 Gone"), taken) as it:
        business(it)
        one = courier(engine, clock, it.webhook())
        await does(one)
        await finishes(engine, clock, "CA1")
        await does(one)
        await finishes(engine, clock, "CA2")
        await does(one)
        await run("list")
        assert "crm: 2 off; switched off: 410 Gone: the endpoint wants no more" in capsys.readouterr().out
        assert await run("retry", endpoint="crm") == 0
        assert "2 due again, 2 taken, 0 not taken" in capsys.readouterr().out
        assert await rows(engine, "SELECT off_at FROM webhooks") == [(None,)]


@pytest.mark.parametrize(
    ("manner", "code", "said"), [(taken, 0, "crm: taken (204)\n"), (BROKEN, 1, "crm: 503: maintenance\n")]
)
async def test_a_ping_is_signed_and_needs_no_database(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    manner: Any,
    code: int,
    said: str,
) -> None:
    async with endpoint(manner) as it:
        known = msgspec.structs.replace(load({}, root=tmp_path), webhooks=(it.webhook(),))
        monkeypatch.setattr("app.settings.load", lambda: known)
        assert await run("test", endpoint="crm") == code
        assert capsys.readouterr().out == said
        ping = it.received[0].verified()
    assert (ping["type"], ping["version"], ping["data"]) == ("ping", 1, {"endpoint": "crm", "office": "the office"})


async def test_what_cannot_be_done_is_said(business: Any, capsys: pytest.CaptureFixture[str]) -> None:
    business(None)
    for way, chosen, wanted in (
        ("test", {}, "expected a [[webhook]] in offhook.toml, got none"),
        ("retry", {}, "expected ids of deliveries, --endpoint NAME or --dead"),
        ("retry", {"endpoint": "till"}, "expected one of no webhook at all, got 'till'"),
    ):
        with pytest.raises(SetupError) as refused:
            await run(way, **chosen)
        assert wanted in str(refused.value)
    assert await run("retry", ids=["msg_none"]) == 1
    assert "there is no delivery msg_none" in capsys.readouterr().err
    assert await run("list") == 0
    assert "there is no [[webhook]] in offhook.toml, and nothing was delivered" in capsys.readouterr().out


async def test_a_secret_is_made_that_the_settings_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("secret") == 0
    made = capsys.readouterr().out.strip()
    (tmp_path / "offhook.toml").write_text('[[webhook]]\nurl = "https://a.example/"\nsecret = "S"\n')
    assert load({"S": made}, root=tmp_path).webhooks[0].secrets == (made,)
