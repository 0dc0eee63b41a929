"""What callers are told before anything else, and the proof of it in the books. Whole calls, both ways of saying it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.rows import Consent
from app.rules.consent import TEXTS
from app.settings import ROOT
from app.sim.carrier_call import CarrierCall
from tests.calls.conversations import BYE, HOURS, OPEN, spoken
from tests.calls.line import Line
from tests.calls.product import Product, eventually, form, new_call_sid, new_number, product, verbs
from tests.calls.test_next import told
from tests.sim.booking_script import script

AI, BOTH = TEXTS["en-US"].ai, TEXTS["en-US"].both
BY_AGENT, BY_CARRIER, BY_STATE = "+14155550181", "+14155550182", "+14155550183"
RULES = f"""
[calls.consent.numbers."{BY_AGENT}"]
when = "always"
[calls.consent.numbers."{BY_CARRIER}"]
when = "always"
recording = true
before_stream = true
[calls.consent.numbers."{BY_STATE}"]
when = "auto"
before_stream = true
"""

GOODBYE = {
    "caller": BYE,
    "preamble": "Thank you for calling. Goodbye.",
    "tools": [{"name": "end_call", "arguments": {"reason": "the caller said goodbye"}}],
}
TOLD = script(
    {"agent": f"Thank you for calling Lakeside Dental. This is the digital assistant. {AI} How can I help you today?"},
    {"caller": HOURS, "tools": [{"name": "opening_hours"}], "agent": OPEN},
    GOODBYE,
    {"agent": f"{AI} I am sorry."},
)
"""The sentence ends 5 s after the first word: late enough to be cut off."""
UNTOLD = script({"agent": "Thank you for calling Lakeside Dental. How can I help you today?"}, GOODBYE)


@pytest.fixture
async def announcing(tmp_path: Path) -> AsyncIterator[Product]:
    """A server with numbers that announce."""
    business = (ROOT / "offhook.toml").read_text(encoding="utf-8")
    (tmp_path / "offhook.toml").write_text(business + RULES, encoding="utf-8")
    async with product(door="asgi", BUSINESS_FOLDER=str(tmp_path)) as it:
        yield it


async def _rings(house: Product, dialled: str, lines: object = TOLD) -> tuple[CarrierCall, Line, str]:
    number, line = new_number(), Line()
    house.model.register(lines, number=number)  # type: ignore[arg-type]
    return await house.carrier.dial(from_number=number, to_number=dialled, line=line), line, number


async def _proof(house: Product, call_sid: str) -> Consent:
    """The one proof of a call that is over."""
    await house.closed(call_sid)
    (proof,) = await house.store.consents(call_sid)
    return proof


async def test_what_was_announced_and_whether_it_was_heard_is_in_the_books(announcing: Product) -> None:
    """Calls side by side: each takes some seconds."""
    await asyncio.gather(
        _an_agent_s_sentence_that_was_said_is_heard(announcing),
        _a_caller_who_hangs_up_first_has_not_heard_it(announcing),
        _a_caller_who_cuts_in_first_has_not_heard_it(announcing),
        _an_agent_who_leaves_it_out_is_found_out(announcing),
        _a_sentence_cut_off_with_its_stream_is_said_on_the_next(announcing),
        _the_carrier_s_sentence_is_heard_once_the_stream_starts(announcing),
        _the_carrier_s_sentence_is_not_heard_by_a_caller_who_is_gone_before_the_stream(announcing),
        _auto_goes_by_the_caller_s_state(announcing),
        _a_number_without_a_rule_announces_what_its_mode_says(announcing),
    )


async def _an_agent_s_sentence_that_was_said_is_heard(house: Product) -> None:
    call, line, number = await _rings(house, BY_AGENT)
    await line.hears(2000)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    proof = await _proof(house, call.call_sid)
    assert (proof.what, proof.text, proof.how, proof.heard) == ("ai", AI, "greeting", True)
    assert proof.why == f"always, by the rule of {BY_AGENT}"
    (session,) = house.sessions_of(number)
    assert "word for word" in told(session)
    assert AI in told(session)
    assert line.said == []


async def _a_caller_who_hangs_up_first_has_not_heard_it(house: Product) -> None:
    call, line, _ = await _rings(house, BY_AGENT)
    await line.hears(400)
    await call.hang_up()
    assert not (await _proof(house, call.call_sid)).heard


async def _a_caller_who_cuts_in_first_has_not_heard_it(house: Product) -> None:
    call, line, _ = await _rings(house, BY_AGENT)
    await line.hears(400)
    line.say(spoken(HOURS))
    await line.until(lambda: bool(call.log.of("clear")), "a clear")
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    proof = await _proof(house, call.call_sid)
    assert not proof.heard
    (greeting, *_) = await house.store.turns(call.call_sid)
    assert AI not in greeting.heard_text


async def _an_agent_who_leaves_it_out_is_found_out(house: Product) -> None:
    call, line, _ = await _rings(house, BY_AGENT, UNTOLD)
    await line.hears(1500)
    await line.hears_silence()
    await call.hang_up()
    assert not (await _proof(house, call.call_sid)).heard


async def _a_sentence_cut_off_with_its_stream_is_said_on_the_next(house: Product) -> None:
    call, line, number = await _rings(house, BY_AGENT)
    await line.hears(400)
    assert call.stream is not None
    call.stream.cut()
    await line.hears(1500, stream=2)
    await line.hears_silence()
    await call.hang_up()
    await house.closed(call.call_sid, streams=2)
    _, second = house.sessions_of(number)
    assert "word for word" in told(second)
    assert (await _proof(house, call.call_sid)).heard


async def _the_carrier_s_sentence_is_heard_once_the_stream_starts(house: Product) -> None:
    call, line, number = await _rings(house, BY_CARRIER, UNTOLD)
    await line.hears(400)
    assert line.said == [BOTH]
    assert line.verbs[0] == "Say"
    assert call.stream is not None
    call.stream.cut()
    await line.until(lambda: len(line.heard_on) == 2, "a second stream")
    await call.hang_up()
    assert line.said == [BOTH], "once a call"
    proof = await _proof(house, call.call_sid)
    assert (proof.what, proof.text, proof.how, proof.heard) == ("both", BOTH, "before_stream", True)
    assert "word for word" not in "".join(told(session) for session in house.sessions_of(number))


async def _the_carrier_s_sentence_is_not_heard_by_a_caller_who_is_gone_before_the_stream(house: Product) -> None:
    call_sid = new_call_sid()
    answer = await house.ask("/twilio/incoming", form(call_sid, new_number(), To=BY_CARRIER))
    assert verbs(answer) == ["Say", "Connect", "Redirect"]
    assert 'language="en-US"' in answer.text
    await house.over(call_sid)
    assert not (await _written(house, call_sid)).heard


async def _auto_goes_by_the_caller_s_state(house: Product) -> None:
    for number, state, why in (
        ("+15125550133", "CA", "auto: all parties must agree in CA (named by the carrier)"),
        ("+13125550133", "", "auto: all parties must agree in IL (area code 312)"),
        ("anonymous", "", "auto: the caller's state is unknown"),
        ("+447911123456", "", "auto: the caller's state is unknown"),
    ):
        call_sid = new_call_sid()
        answer = await house.ask("/twilio/incoming", form(call_sid, number, To=BY_STATE, FromState=state))
        assert verbs(answer)[0] == "Say"
        assert (await _written(house, call_sid)).why == f"{why}, by the rule of {BY_STATE}"
        await house.over(call_sid)
    for number, state in (("+13125550133", "TX"), ("+15125550133", "")):
        call_sid = new_call_sid()
        answer = await house.ask("/twilio/incoming", form(call_sid, number, To=BY_STATE, FromState=state))
        assert verbs(answer)[0] == "Connect"
        await house.over(call_sid)
        assert await _nothing_written(house, call_sid)


async def _a_number_without_a_rule_announces_what_its_mode_says(house: Product) -> None:
    call_sid = new_call_sid()
    assert verbs(await house.rings(call_sid))[0] == "Connect"
    await house.over(call_sid)
    proof = await _written(house, call_sid)
    assert (proof.what, proof.how, proof.heard) == ("ai", "greeting", False)


async def _written(house: Product, call_sid: str) -> Consent:
    async def there() -> bool:
        return bool(await house.store.consents(call_sid))

    await eventually(there, f"a proof of {call_sid}")
    (proof,) = await house.store.consents(call_sid)
    return proof


async def _nothing_written(house: Product, call_sid: str) -> bool:
    """Whether the books have the call, and no proof: one would have been written with the call's own row, or before it."""
    await eventually(lambda: house.known(call_sid), f"the call {call_sid}")
    return await house.store.consents(call_sid) == []
