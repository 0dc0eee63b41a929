"""Putting callers through, whole calls: each result by real sockets, what the caller hears meanwhile, and what the books say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from xml.etree import ElementTree

import httpx

from app.commands.own_server import started_server
from app.core.rows import TransferAttempt
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.model_faults import Faults
from app.sim.script import Script
from tests.calls.conversations import BYE, GREETING, PERSON, spoken
from tests.calls.foreign import ACCOUNT, TOKEN
from tests.calls.line import Line
from tests.calls.product import OURS, PUBLIC, Product, eventually, form, new_number, verbs
from tests.calls.test_another_process import ask
from tests.calls.test_next import told
from tests.sim.booking_script import script

SILENCE_MS = 2000
FIRST = "/twilio/whisper?call={}&transfer=0"


def talk(desk: str) -> Script:
    """A caller asks for a person; who is back says goodbye."""
    return script(
        {"agent": GREETING},
        {
            "caller": PERSON,
            "preamble": "I will put you through now.",
            "tools": [{"name": "put_through", "arguments": {"desk": desk, "reason": "<b>asked</b> for billing."}}],
        },
        {
            "caller": BYE,
            "preamble": "Thank you for calling. Goodbye.",
            "tools": [{"name": "end_call", "arguments": {"reason": "the caller said goodbye"}}],
        },
        {"agent": "I am sorry. Nobody is free right now. May I take a message?"},
    )


async def _asks(
    house: Product, desk: str, person: str, carrier: Carrier | None = None, faults: Faults | None = None
) -> tuple[CarrierCall, Line, str]:
    """A call until the caller has asked for a person."""
    number = new_number()
    house.model.register(talk(desk), number=number, faults=faults)
    line = Line()
    carrier = carrier or house.carrier
    call = await carrier.dial(from_number=number, to_number=OURS, line=line, dial_results=[person])
    await line.hears(1000)
    await line.hears_silence()
    line.say(spoken(PERSON))
    return call, line, number


async def _attempt(house: Product, call_sid: str) -> TransferAttempt:
    """The one transfer of a call, once it is over in the books."""
    found: list[TransferAttempt] = []

    async def over() -> bool:
        found[:] = await house.store.transfers(call_sid)
        return bool(found) and found[0].ended_at is not None

    await eventually(over, "the end of a transfer on record")
    (attempt,) = found
    assert attempt.ended_at is not None
    assert attempt.ended_at >= attempt.started_at
    return attempt


async def test_every_result_of_a_transfer_is_told_to_the_agent_and_kept(house: Product) -> None:
    """Side by side: each call takes its fifteen seconds. The manager's desk is warm, billing's is blind."""
    before = await house.figures()
    back = {
        "declines": ("manager", "declined", "cannot take the call now"),
        "hangs-up": ("manager", "declined", "cannot take the call now"),
        "voicemail": ("manager", "voicemail", "nobody came to the phone"),
        "busy": ("manager", "busy", "the line is busy"),
        "no-answer": ("manager", "no_answer", "nobody answered"),
        "failed": ("billing", "failed", "did not go through"),
    }
    await asyncio.gather(
        *(_a_caller_whom_nobody_takes_is_back(house, person, *expected) for person, expected in back.items()),
        _a_person_who_presses_the_key_has_the_caller(house),
        *(_a_caller_who_leaves_meanwhile_has_left(house, moment) for moment in ("ringing", "whisper")),
        _a_caller_who_is_back_before_the_model_is_hears_a_clip(house),
    )
    after = await house.figures()
    counted = {
        name: round(after.get(f'offhook_transfers_total{{result="{name}"}}', 0))
        - round(before.get(f'offhook_transfers_total{{result="{name}"}}', 0))
        for name in ("accepted", "declined", "voicemail", "busy", "no_answer", "failed", "caller_left")
    }
    assert counted == {
        "accepted": 1, "declined": 2, "voicemail": 1, "busy": 2, "no_answer": 1, "failed": 1, "caller_left": 2,
    }  # fmt: skip


async def _a_caller_whom_nobody_takes_is_back(house: Product, person: str, desk: str, result: str, why: str) -> None:
    call, line, number = await _asks(house, desk, person)
    await line.hears(1000, stream=2)
    assert call.hearing.transfer_silence_ms() < SILENCE_MS, f"{person}: {call.hearing.stretches}"
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    assert line.verbs[:3] == ["Connect", "Dial", "Connect"]
    assert (call.ended_by, call.log.codes()) == ("server", [])
    assert why in told(house.sessions_of(number)[1]), person
    attempt = await _attempt(house, call.call_sid)
    assert (attempt.desk, attempt.result) == (desk, result), person
    await house.closed(call.call_sid, streams=2)
    outcome = await house.store.outcome(call.call_sid)
    assert outcome is not None
    assert outcome.fields["result"] != "transferred", "nobody was reached"


async def _a_person_who_presses_the_key_has_the_caller(house: Product) -> None:
    call, line, _ = await _asks(house, "manager", "accepts")
    await call.finished()
    assert line.verbs == ["Connect", "Dial", "Hangup"]
    assert (line.dialled[0]["answerOnBridge"], line.dialled[0]["ringTone"]) == ("true", "us")
    assert [heard.what for heard in call.hearing.stretches if heard.what != "voice"] == ["ringing", "person"]
    assert call.hearing.transfer_silence_ms() < SILENCE_MS
    assert call.log.codes() == []
    attempt = await _attempt(house, call.call_sid)
    assert attempt.result == "accepted"
    assert attempt.whisper.startswith("Call from ")
    assert "asked" in attempt.whisper
    assert "<" not in attempt.whisper
    outcome = await house.store.outcome(call.call_sid)
    assert outcome is not None
    assert outcome.fields["result"] == "transferred"


async def _a_caller_who_is_back_before_the_model_is_hears_a_clip(house: Product) -> None:
    """Its first audio comes 2.6 s late: that is not what the caller has to hear after a telephone that rang in vain."""
    call, line, number = await _asks(house, "billing", "busy", faults=Faults(late_ms=2600))
    await line.hears(500, stream=2)
    assert call.hearing.transfer_silence_ms() < SILENCE_MS, str(call.hearing.stretches)
    await call.hang_up()
    assert (await _attempt(house, call.call_sid)).result == "busy"
    assert "busy" in told(house.sessions_of(number)[1])


async def _a_caller_who_leaves_meanwhile_has_left(house: Product, moment: str) -> None:
    call, line, _ = await _asks(house, "manager", "no-answer" if moment == "ringing" else "silent")
    await line.until(lambda: "Dial" in line.verbs, "a dial")
    if moment == "whisper":

        async def whispered() -> bool:
            return any("/twilio/whisper" in entry.detail["url"] for entry in call.log.of("webhook"))

        await eventually(whispered, "a whisper")
    await call.hang_up()
    assert (await _attempt(house, call.call_sid)).result == "caller_left", moment


# --- the doors, asked by hand -------------------------------------------------------------------------------------------


@asynccontextmanager
async def _dialling(house: Product) -> AsyncIterator[tuple[str, str]]:
    """A call whose person is being dialled: it rings for half a minute, and the test speaks for the person's leg."""
    carrier = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=house.url)
    try:
        call, line, number = await _asks(house, "manager", "no-answer", carrier)
        await line.until(lambda: "Dial" in line.verbs, "a dial")
        yield call.call_sid, number
        await call.hang_up()
    finally:
        await carrier.close()


def _leg(call_sid: str, **more: str) -> dict[str, str]:
    """What the carrier sends from the person's leg: the call's own SID is another."""
    return form("CA" + "d" * 32, OURS, ParentCallSid=call_sid, CallStatus="in-progress", **more)


async def _whisper(house: Product, call_sid: str) -> tuple[str, str]:
    """The whisper's words, and where the key goes."""
    answer = await house.ask("/twilio/whisper", _leg(call_sid), query=f"call={call_sid}&transfer=0")
    assert answer.status_code == 200
    gather = ElementTree.fromstring(answer.content).find("Gather")
    assert gather is not None, answer.text
    assert (gather.get("numDigits"), gather.get("finishOnKey"), gather.get("input")) == ("1", "", "dtmf")
    return " ".join(said.text or "" for said in gather.iter("Say")), gather.attrib["action"]


async def _key(house: Product, call_sid: str, **more: str) -> httpx.Response:
    return await house.ask("/twilio/whisper", _leg(call_sid, **more), query=f"call={call_sid}&transfer=0&key=1")


async def test_callbacks_that_are_repeated_forged_or_late_change_nothing(house: Product) -> None:
    async with _dialling(house) as (call_sid, number):
        for signature in ("", "wrong"):
            refused = await house.ask(
                "/twilio/whisper", _leg(call_sid), query=f"call={call_sid}&transfer=0&key=1", signature=signature
            )
            assert refused.status_code == 403
        words, action = await _whisper(house, call_sid)
        assert words == (await _whisper(house, call_sid))[0]
        assert "asked" in words
        assert "Press 1" in words
        assert action.endswith(f"/twilio/whisper?call={call_sid}&transfer=0&key=1")
        for query in (
            "",
            "call=CA1&transfer=0",
            f"call={call_sid}&transfer=1",
            f"call={call_sid}&transfer=x",
            "call=%00",
        ):
            assert verbs(await house.ask("/twilio/whisper", _leg(call_sid), query=query)) == ["Hangup"], query
        assert verbs(await _key(house, call_sid, Digits="1")) == [], "the two are joined"
        assert verbs(await _key(house, call_sid, Digits="1")) == []
        assert verbs(await _key(house, call_sid, Digits="2")) == [], "the first key is the one that counts"
        assert verbs(await _key(house, call_sid)) == []

        async def stored() -> bool:
            return [attempt.result for attempt in await house.store.transfers(call_sid)] == ["accepted"]

        await eventually(stored, "the key press on record")
        done = form(call_sid, number, CallStatus="in-progress", DialCallStatus="completed", DialBridged="true")
        for _ in range(2):
            assert verbs(await house.ask("/twilio/dialed", done)) == ["Hangup"]
        late = form(call_sid, number, CallStatus="in-progress", DialCallStatus="no-answer", DialBridged="false")
        assert verbs(await house.ask("/twilio/dialed", late)) == ["Hangup"]
        assert verbs(await house.ask("/twilio/whisper", _leg(call_sid), query=f"call={call_sid}&transfer=0")) == [
            "Hangup"
        ]
        assert (await _attempt(house, call_sid)).result == "accepted"


async def test_a_dial_that_is_completed_without_the_key_brings_the_caller_back(house: Product) -> None:
    async with _dialling(house) as (call_sid, number):
        await _whisper(house, call_sid)
        done = form(call_sid, number, CallStatus="in-progress", DialCallStatus="completed", DialBridged="true")
        answers = [await house.ask("/twilio/dialed", done) for _ in range(2)]
        assert [verbs(answer) for answer in answers] == [["Connect", "Redirect"]] * 2
        assert answers[0].content == answers[1].content, "one ticket"
        assert verbs(await _key(house, call_sid, Digits="1")) == ["Hangup"], "too late"
        assert (await _attempt(house, call_sid)).result == "declined"


async def test_another_process_knows_the_whisper_and_the_key_from_the_books(house: Product) -> None:
    async with _dialling(house) as (call_sid, number):

        async def begun() -> bool:
            return bool(await house.store.transfers(call_sid))

        await eventually(begun, "the beginning of a transfer on record")
        other = {
            "DATABASE_URL": house.running.database_url,
            "REALTIME_URL": house.target.model,
            "PUBLIC_URL": PUBLIC,
            "TWILIO_AUTH_TOKEN": TOKEN,
        }
        query = f"call={call_sid}&transfer=0"
        words, _ = await _whisper(house, call_sid)
        async with started_server(quiet=True, folder=None, **other) as (running, _):
            asked = await ask(running, f"/twilio/whisper?{query}", _leg(call_sid))
            assert words.split(" Press")[0] in asked.text
            assert verbs(await ask(running, f"/twilio/whisper?{query}&key=1", _leg(call_sid, Digits="1"))) == []

            async def stored() -> bool:
                return [attempt.result for attempt in await house.store.transfers(call_sid)] == ["accepted"]

            await eventually(stored, "the key press on record")
            done = form(call_sid, number, CallStatus="in-progress", DialCallStatus="completed", DialBridged="true")
            assert verbs(await ask(running, "/twilio/dialed", done)) == ["Hangup"]
            attempt = await _attempt(house, call_sid)
            assert (attempt.seq, attempt.result, attempt.desk) == (0, "accepted", "manager")
