"""A server of our own, examined whole and healthy: its doors through its own URL, its books, its sessions, and a rehearsed call."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters.data_folder import Running, kept_secret
from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.commands.own_server import started_server
from app.doctor import public
from app.doctor.examination import checks, examine
from app.doctor.rehearsed import CALLER
from app.registry import Registry
from tests.doctor.stage import patient, row

KEYLESS = dict.fromkeys(
    ("REALTIME_URL", "OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "TWILIO_PHONE_NUMBER"), ""
)
HEALTHY = {
    "port", "database", "migrations", "websocket", "signed_request", "session_receptionist", "session_ivr", "call", "data",
}  # fmt: skip


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[Running, Path]]:
    async with started_server(quiet=True, folder=None, **KEYLESS) as found:
        yield found


async def test_a_healthy_server_without_keys_has_no_fault_and_its_rehearsed_call_is_marked_in_the_books(
    server: tuple[Running, Path],
) -> None:
    running, data = server
    number = int(running.url.rpartition(":")[2])
    token = kept_secret(data, "twilio_auth_token")
    async with patient(
        running=running,
        tokens=(token,),
        public_url=running.public_url,
        port=number,
        data=data,
        stand_in=True,
        calls=True,
    ) as it:
        rows = {
            row.check: row
            for row in await examine(it, checks(it, Registry(it.modes, it.settings)), lambda place, row: None)
        }
    assert {name: found.what for name, found in rows.items() if not found.ok and name != "lock"} == {}
    assert {rows[name].level for name in HEALTHY} == {"fine"}, {name: rows[name].what for name in HEALTHY}
    assert rows["public_url"].level == "warning"
    assert f"process {running.pid}" in rows["port"].what
    call_sid = rows["call"].what.partition("CA")[2][:32]
    engine = make_engine(running.database_url)
    call = await CallStore(engine).call("CA" + call_sid)
    async with engine.connect() as connection:
        count = (await connection.exec_driver_sql("SELECT count(*) FROM calls")).scalar_one()
    await engine.dispose()
    assert call is not None
    assert call.from_number == CALLER
    assert count == 1, "no other check leaves a call behind"


async def test_a_token_that_the_server_does_not_have_is_told(server: tuple[Running, Path]) -> None:
    running, _ = server
    async with patient(running=running, tokens=("another",), public_url=running.public_url) as it:
        upgrade, asked = await row(it, public.websocket), await row(it, public.signed_request)
    assert (upgrade.level, asked.level) == ("fault", "fault")
    assert "TWILIO_AUTH_TOKEN" in upgrade.remedy
