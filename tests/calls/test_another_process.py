"""A call that one process began goes on in another, which knows it from the books alone; nothing on record is written over."""

import json
import os
import signal

import httpx

from app.adapters.data_folder import Running
from app.adapters.database import DATABASE_ERRORS, make_engine
from app.adapters.store import CallStore
from app.commands.own_server import started_server
from tests.calls.conversations import HOURS, TALK, spoken
from tests.calls.foreign import TOKEN, sign
from tests.calls.line import Line
from tests.calls.product import PERSON, PUBLIC, Product, eventually, form, new_call_sid, new_number, stream_url


async def ask(running: Running, path: str, fields: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        signature = sign(PUBLIC + path, fields)
        return await http.post(running.url + path, data=fields, headers={"X-Twilio-Signature": signature})


async def test_a_call_goes_on_in_another_process_and_its_rows_behind_its_rows(house: Product) -> None:
    number = new_number()
    house.model.register(TALK, number=number)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(1000)
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(1000)
    await call.hang_up()
    await house.closed(call.call_sid)
    before = await house.store.turns(call.call_sid)
    tools = await house.store.tool_calls(call.call_sid)
    assert before
    assert tools
    other = {
        "DATABASE_URL": house.running.database_url,
        "REALTIME_URL": house.target.model,
        "PUBLIC_URL": PUBLIC,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "HUMAN_TRANSFER_NUMBER": PERSON,
    }
    async with started_server(quiet=True, folder=None, **other) as (running, _):
        answer = await ask(running, "/twilio/next", form(call.call_sid, number, CallStatus="in-progress"))
        assert stream_url(answer).startswith("wss://bench.example/voice/ws/receptionist/")
        await eventually(lambda: _told(house, number), "a session that is told of the call so far")
        dialed = form(call.call_sid, number, CallStatus="in-progress", DialCallStatus="no-answer")
        assert stream_url(await ask(running, "/twilio/dialed", dialed))
        gone = new_call_sid()
        await house.rings(gone)
        await eventually(lambda: house.known(gone), "a call of the first process")
        ended = await ask(running, "/twilio/status", form(gone, number, CallStatus="completed"))
        assert ended.status_code == 200
        closed = await house.store.call(gone)
        assert closed is not None
        assert (closed.outcome, closed.ended_at is not None) == ("lost", True)
        unknown = new_call_sid()
        await ask(running, "/twilio/status", form(unknown, number, CallStatus="completed"))
        assert not await house.known(unknown), "a call that nobody answered has no row"
    assert await house.store.turns(call.call_sid) == before
    assert await house.store.tool_calls(call.call_sid) == tools
    await house.over(gone)


async def _told(house: Product, number: str) -> bool:
    """Whether the newest session of a caller was given what was said, and that the line broke."""
    sessions = house.sessions_of(number)
    texts = json.dumps([event for event in sessions[-1].received if event["type"] == "conversation.item.create"])
    return len(sessions) > 1 and "interrupted" in texts and HOURS in texts


async def test_a_killed_server_loses_no_row_and_leaves_no_postgres() -> None:
    async with started_server(quiet=True, TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC) as (running, data):
        sid = new_call_sid()
        answer = await ask(running, "/twilio/incoming", form(sid, new_number()))
        assert answer.status_code == 200
        await eventually(lambda: _on_record(running, sid), "the call's row")
        postgres = int((data / "pg18" / "postmaster.pid").read_text().split()[0])
        os.kill(running.pid, signal.SIGKILL)
        await eventually(lambda: _gone(postgres), "the end of the killed server's Postgres")
        async with started_server(quiet=True, folder=data, TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC) as (
            second,
            _,
        ):
            ended = await ask(second, "/twilio/status", form(sid, new_number(), CallStatus="completed"))
            assert ended.status_code == 200
            assert await _on_record(second, sid), "the row of a killed server"


async def test_a_postgres_that_is_killed_comes_back_and_gets_what_happened_meanwhile() -> None:
    async with started_server(quiet=True, TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC) as (running, data):
        first, second = new_call_sid(), new_call_sid()
        await ask(running, "/twilio/incoming", form(first, new_number()))
        await eventually(lambda: _on_record(running, first), "the first call's row")
        os.kill(int((data / "pg18" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        answer = await ask(running, "/twilio/incoming", form(second, new_number()))
        assert stream_url(answer)
        await eventually(lambda: _on_record(running, second), "the row of a call that rang without a database", 20)
        assert await _on_record(running, first)


async def _on_record(running: Running, call_sid: str) -> bool:
    engine = make_engine(running.database_url, keep_connections=False)
    try:
        return await CallStore(engine).call(call_sid) is not None
    except DATABASE_ERRORS:
        return False
    finally:
        await engine.dispose()


async def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
