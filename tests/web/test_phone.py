"""The phone's page on a running server: who gets a line, and whole calls over it, which are calls like any other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio

from app.adapters.database import make_engine
from app.adapters.store import CallStore
from app.commands.own_server import started_server
from app.sim.voices import SILENT_FRAME, say
from app.web.console.phone import MOST_PHONES
from tests.calls.product import eventually
from tests.web.phone_stage import PhoneBrowser, PhoneCall

KEYLESS = ("REALTIME_URL", "OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "OPERATOR_PASSWORD")


@pytest_asyncio.fixture(scope="module")
async def here() -> AsyncIterator[PhoneBrowser]:
    """A server without any key, as a newcomer starts it, and a browser on the same machine."""
    async with started_server(quiet=True, folder=None, **dict.fromkeys(KEYLESS, "")) as (running, data):
        engine = make_engine(running.database_url)
        browser = PhoneBrowser(running, CallStore(engine))
        try:
            yield browser
        finally:
            await browser.http.aclose()
            await engine.dispose()
        log = (data / "serve.log").read_text(errors="replace")
    assert "Traceback" not in log, log


# --- who gets a line ----------------------------------------------------------------------------------------------------


async def test_the_page_says_who_answers_and_brings_nothing_inline(here: PhoneBrowser) -> None:
    answer = await here.page()
    assert answer.status_code == 200
    assert "The built-in stand-in answers" in answer.text
    assert "style=" not in answer.text
    assert "<script>" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert len(answer.content) < 100_000


async def test_a_ticket_opens_one_line_and_a_made_up_one_none(here: PhoneBrowser) -> None:
    ticket = await here.ticket(mode="receptionist")
    assert await here.refused("x" * 32) == 403
    assert await here.refused(ticket) == 101
    assert await here.refused(ticket) == 403


async def test_only_a_page_of_ours_opens_a_line(here: PhoneBrowser) -> None:
    ticket = await here.ticket(mode="ivr")
    assert await here.refused(ticket, origin="https://evil.example") == 403
    assert await here.refused(ticket, origin=None) == 403
    assert await here.refused(ticket, **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert await here.refused(ticket) == 101, "a refusal must not have spent it"


async def test_who_comes_by_a_proxy_must_have_logged_in(here: PhoneBrowser) -> None:
    ticket = await here.ticket(mode="ivr")
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    assert await here.refused(ticket, **proxied) == 403
    answer = await here.http.get("/phone", headers={"Accept": "text/html", **proxied})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/phone")
    asked = await here.http.post("/phone/ticket", data={"mode": "ivr"}, headers={"X-CSRF-Token": here.token, **proxied})
    assert asked.status_code == 401


async def test_a_ticket_is_asked_for_by_a_form_of_ours(here: PhoneBrowser) -> None:
    await here.page()
    without = await here.http.post("/phone/ticket", data={"mode": "ivr"})
    wrong = await here.http.post("/phone/ticket", data={"mode": "ivr"}, headers={"X-CSRF-Token": "x"})
    foreign = {"X-CSRF-Token": here.token, "Origin": "https://evil.example"}
    assert [without.status_code, wrong.status_code] == [403, 403]
    assert (await here.http.post("/phone/ticket", data={"mode": "ivr"}, headers=foreign)).status_code == 403


async def test_what_cannot_be_called_is_said(here: PhoneBrowser) -> None:
    for wish, why in (
        ({"mode": "nobody"}, "expected a mode, one of csr, "),
        ({"caller": "anonymous"}, "expected a number to call from as +14155550100, got 'anonymous'"),
        ({"dialled": "911"}, "expected a number to call as +14155550100, got '911'"),
        ({"script": "../../secret"}, "expected a recorded caller, one of after-hours, "),
    ):
        answer = await here.ask(**wish)
        assert answer.status_code == 400
        assert why in answer.json()["error"]


# --- calls --------------------------------------------------------------------------------------------------------------


async def says(call: PhoneCall, words: str, voice: str = "anna") -> None:
    """Say it until it is understood: this machine may be too busy for a microphone."""

    def understood() -> set[int]:
        return {told["seq"] for told in call.of("words", who="caller") if told["text"]}

    before = understood()
    for _ in range(4):
        turns = len(call.of("latency", what="turn"))
        call.say(say(words, voice) + SILENT_FRAME * 5)
        await call.until(
            lambda turns=turns: understood() > before or len(call.of("latency", what="turn")) > turns,  # type: ignore[misc]
            f"an answer to {words!r}",
        )
        if understood() > before:
            return
    raise AssertionError(f"{words!r} was never understood")


async def test_a_caller_books_by_microphone_and_the_agent_hangs_up(here: PhoneBrowser) -> None:
    async with here.call(mode="receptionist", caller="+14155550133") as call:
        for question, words in (
            ("How can I help you", "Hi, I would like to book an appointment please."),
            ("What day would suit you", "Do you have anything on Tuesday?"),
            ("Shall I book that for you", "Yes please."),
            ("Please spell it for me", "It is Baker. B, A, K, E, R."),
            ("Is that right", "Yes, that is right."),
            ("Is there anything else", "No, that is all. Thank you, goodbye."),
        ):
            await call.agent_said(question)
            await says(call, words)
        assert await call.closed() == 1000
        (ended,) = call.of("ended")
        assert (ended["by"], ended["status"]) == ("server", "completed")
        assert call.of("tool", name="book_appointment")[0]["status"] == "runs"
        assert call.of("tool", name="book_appointment")[-1]["status"] == "ok"
        assert len(call.of("latency", what="greeting")) == 1
        assert len(call.of("latency", what="turn")) >= 6
        assert call.frames > 500
        assert call.of("fault") == []
        sid = call.sid
    await eventually(lambda: _closed(here, sid), "the end of the call in the books")
    outcome = await here.books.outcome(sid)
    assert outcome is not None
    assert (outcome.fields["result"], outcome.fields["name"]) == ("booked", "Baker")
    on_record = {turn.seq: (turn.who, turn.heard_text) for turn in await here.books.turns(sid)}
    assert {turn["seq"]: (turn["who"], turn["heard"]) for turn in call.of("turn")} == on_record


async def test_keys_reach_the_agent_and_hanging_up_ends_the_call(here: PhoneBrowser) -> None:
    async with here.call(mode="ivr", caller="+14155550171") as call:
        await call.agent_said("How can I help you")
        await call.order("say", text="I have a question about my invoice.", voice="anna")
        await call.agent_said("for somebody in billing")
        await call.order("press", keys="1")
        await call.agent_said("then press pound")
        await call.order("press", keys="123456#")
        await call.told_of("tool", name="note_account", status="ok")
        assert [told["digit"] for told in call.of("key")] == list("1123456#")
        await call.order("hang-up")
        assert await call.closed() == 1000
        assert call.of("ended")[0]["by"] == "caller"


async def test_a_browser_that_vanishes_has_hung_up(here: PhoneBrowser) -> None:
    async with here.call(mode="receptionist", caller="+14155550145") as call:
        await call.told_of("speaks", who="agent", on=True)
        call.socket.transport.abort()
        await call.closed()
        sid = call.sid
    await eventually(lambda: _closed(here, sid), "the end of the call in the books")
    found = await here.books.call(sid)
    assert found is not None
    assert (found.outcome, found.ended_at is not None) == ("caller_left", True)


async def test_nonsense_from_the_page_is_refused_and_the_call_goes_on(here: PhoneBrowser) -> None:
    async with here.call(mode="receptionist", caller="+14155550146") as call:
        for nonsense in ("", "{", '{"do": "fly"}', b"short", "[" * 1000):
            await call.socket.send(nonsense)
        await call.order("desk-answers", how="busy")
        await call.until(lambda: len(call.of("refused")) == 6, "six refusals")
        await call.agent_said("can I help you")
        await call.order("hang-up")
        assert await call.closed() == 1000


async def test_a_person_at_the_desk_takes_the_call(here: PhoneBrowser) -> None:
    async with here.call(script="person-accepts", mode="receptionist", caller="+14155550161") as call:
        await call.told_of("desk", state="rings", desk="manager")
        await call.order("desk-answers", how="answered")
        await call.until(lambda: len(call.of("says", who="whisper")) == 2, "the whisper")
        assert "+14155550161" not in call.of("says", who="whisper")[1]["text"]
        await call.order("desk-presses", key="1")
        await call.told_of("desk", state="talks")
        await call.order("desk-hangs-up")
        assert await call.closed() == 1000
        sid = call.sid
    await eventually(lambda: _accepted(here, sid), "the transfer in the books")


async def test_only_so_many_calls_at_once(here: PhoneBrowser) -> None:
    async def room() -> bool:
        return (await here.ask(mode="receptionist")).status_code == 200

    async with AsyncExitStack() as stack:
        await eventually(room, "room for a call")
        spare = await here.ticket(mode="receptionist")
        calls = []
        for _ in range(MOST_PHONES):
            await eventually(room, "room for a call")  # those of other tests may be ending yet
            calls.append(await stack.enter_async_context(here.call(mode="receptionist")))
            await calls[-1].told_of("stream", live=True)
        answer = await here.ask(mode="receptionist")
        assert answer.status_code == 429
        assert "hang up one of them" in answer.json()["error"]
        assert await here.refused(spare) == 429
        for call in calls:
            await call.order("hang-up")
            assert await call.closed() == 1000
    await eventually(room, "room for another call")


async def _closed(here: PhoneBrowser, sid: str) -> bool:
    return "call_closed" in [milestone.name for milestone in await here.books.milestones(sid)]


async def _accepted(here: PhoneBrowser, sid: str) -> bool:
    return [attempt.result for attempt in await here.books.transfers(sid)] == ["accepted"]
