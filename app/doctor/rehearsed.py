"""A rehearsed call through the public URL: the carrier stand-in dials, a caller listens to the greeting, says a word, and waits
for an answer.

In the books it is a call from `client:doctor`, to no number, which no telephone can be.
"""

import asyncio

from app.doctor.patient import Patient
from app.doctor.rows import Finding, fault, fine, skipped, warning
from app.sim.agent_turns import TimingCaller, house_frames
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.carrier_numbers import PhoneNumber
from app.sim.script import Turn
from app.sim.voices import say

CALLER = "client:doctor"
SAYS = "What are your opening hours?"
VOICE = "ben"
CALL_SECONDS = 45.0
LATE_MS = 3000
"""To the first word: later, and callers say hello."""
COSTS = "a rehearsed call is made with --call; a real model takes some cents for it"


async def call(patient: Patient) -> Finding:
    """Make it, and say what was heard."""
    if not patient.calls:
        return skipped("not asked for", COSTS)
    await patient.need_server()
    settings = patient.settings
    words = await asyncio.to_thread(_load)
    carrier = Carrier(
        auth_token=patient.token,
        account_sid=patient.account_sid,
        public_url=settings.public_url,
        numbers=[PhoneNumber(settings.twilio_phone_number)] if settings.twilio_phone_number else (),
        verb_speed=10.0,
        keep_audio=False,
    )
    holder: list[CarrierCall] = []
    caller = TimingCaller(
        [Turn(agent="the greeting"), Turn(caller=SAYS), Turn(hangs_up_after_ms=600)],
        lambda text: words,
        press=lambda keys: None,
        hang_up=lambda: holder[0].put_down(),  # noqa: PLW0108  the call is not there yet
    )
    try:
        made = await carrier.dial(
            from_number=CALLER,
            to_number=settings.twilio_phone_number or CALLER,
            line=caller,
            webhook="/twilio/incoming",
        )
        holder.append(made)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await made.finished()
        except TimeoutError:
            await made.hang_up()
        return _judged(made, caller)
    finally:
        await carrier.close()


def _load() -> bytes:
    """The caller's words; and the house's own clips, which a caller knows. From disk, so not on the loop."""
    house_frames()
    return say(SAYS, VOICE)


def _judged(made: CarrierCall, caller: TimingCaller) -> Finding:
    look = f"the server's log and /calls/{made.call_sid} tell more; ./offhook call booking rehearses a whole talk"
    codes = ", ".join(map(str, made.log.codes()))
    if not made.streams:
        return fault(f"the call got no stream{f' (Twilio would say {codes})' if codes else ''}", look)
    if not caller.agent:
        return fault(f"the caller heard nothing on the stream{f' ({codes})' if codes else ''}", look)
    greeting = caller.agent[0].start_ms
    if not caller.spoke:
        return fault(f"the agent greeted after {greeting} ms and never stopped to listen", look)
    said_ms = caller.spoke[0].end_ms
    answers = [stretch.start_ms - said_ms for stretch in caller.agent if stretch.start_ms > said_ms]
    if not answers:
        return fault(f"the agent greeted after {greeting} ms, and gave no answer", look)
    what = f"greeted after {greeting} ms, answered after {answers[0]} ms, {made.call_sid} in the books as from {CALLER}"
    if greeting > LATE_MS or answers[0] > LATE_MS:
        return warning(f"late: {what}", "see docs/06-latency-tuning.md, and the lines of latency above")
    return fine(what)
