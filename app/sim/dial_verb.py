"""<Dial>: the scripted outcome of calling somebody else, with the whisper, the callbacks and the `action` fields."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from app.rules.office import RING_TONES
from app.sim.carrier_leg import Interrupt, Interrupted, Leg, Source
from app.sim.carrier_numbers import DIALLABLE
from app.sim.leg_script import DialResult, Script
from app.sim.playout import SILENCE
from app.sim.twiml_document import Document, Verb
from app.sim.verb_steps import Step, action_of

Followed = Literal["hung-up", "done", "failed"]
Follow = Callable[[Leg, Source], Awaitable[Followed]]

RING_SECONDS = 3.0


async def dial(leg: Leg, verb: Verb, document: Document, follow: Follow) -> Step:
    """Call the first noun; what becomes of it is the script's next DialResult (completed, when none is left), or what `people` do.

    The caller hears it ring until they are joined if `answerOnBridge` says so, else until somebody picks up: through a whisper
    there is silence then. Source: Twilio, glossary, "Call whisper".
    """
    _warn(leg, verb)
    nouns = verb.children or [Verb("Number", text=verb.text)]
    noun = nouns[0]
    child = _child_leg(leg, verb, noun)
    result = leg.script.dials.popleft() if leg.script.dials else DialResult()
    if noun.name != "Conference" and (refused := _refusal(leg, verb, noun)):
        result = DialResult("failed")
        leg.log.error(*refused)
    leg.log.add("dial", to=noun.text, noun=noun.name, nouns=len(nouns), result=result.status, child_sid=child.call_sid)
    try:
        status, bridged, seconds = await _call(leg, verb, noun, child, result, document, follow)
    finally:
        leg.hearing.ends()
    shown = "answered" if status == "completed" and noun.name == "Conference" else status
    leg.log.add("dialed", status=shown, bridged=bridged, child_sid=child.call_sid)
    said = {"DialCallStatus": shown, "DialCallSid": child.call_sid, "DialBridged": "true" if bridged else "false"}
    if bridged:
        said["DialCallDuration"] = str(round(seconds))
    return action_of(leg, verb, document, **said) or "next"


def _child_leg(leg: Leg, verb: Verb, noun: Verb) -> Leg:
    return Leg(
        account_sid=leg.account_sid,
        from_number=verb.attributes.get("callerId", leg.from_number),
        to_number=noun.text,
        direction="outbound-dial",
        http=leg.http,
        log=leg.log,
        script=Script(),
        own_numbers=leg.own_numbers,
        verb_speed=leg.verb_speed,
        parent_call_sid=leg.call_sid,
        hearing=leg.hearing,
    )


def _warn(leg: Leg, verb: Verb) -> None:
    """Values that cannot be: Twilio warns of them, and takes its defaults."""
    tone = verb.attributes.get("ringTone", "us")
    if tone not in RING_TONES:
        leg.log.warning(12200, f"expected a ringTone of {', '.join(sorted(RING_TONES))}, came {tone!r}")


def _refusal(leg: Leg, verb: Verb, noun: Verb) -> tuple[int, str] | None:
    number = f"client:{noun.text}" if noun.name == "Client" else noun.text.replace(" ", "")
    if not DIALLABLE.fullmatch(number):
        return 13224, f"<Dial> cannot call {noun.text!r}; expected E.164 such as +14155550100, or a SIP URI"
    caller_id = verb.attributes.get("callerId")
    if caller_id is not None and caller_id not in leg.own_numbers | {leg.from_number, leg.to_number}:
        return 13248, f"callerId {caller_id!r} is neither a number of this account nor a number of this call"
    return None


async def _call(
    leg: Leg, verb: Verb, noun: Verb, child: Leg, result: DialResult, document: Document, follow: Follow
) -> tuple[str, bool, float]:
    events = _Events(leg, noun, child, document)
    events.say("initiated", "initiated")
    if result.status == "failed":
        events.say("completed", "failed")
        return "failed", False, 0.0
    events.say("ringing", "ringing")
    leg.hearing.begins("ringing")
    people, patience = leg.script.people, verb.number("timeout", 30) + 5
    if people is not None:
        picked_up = await leg.unless_interrupted(people.picks_up(noun.text, patience))
        result = DialResult("completed" if picked_up == "answered" else picked_up)
    else:
        await leg.wait(patience if result.status == "no-answer" else RING_SECONDS)
    if result.status != "completed":
        events.say("completed", result.status)
        return result.status, False, 0.0
    child.answer()
    events.say("answered", "in-progress")
    if verb.attributes.get("answerOnBridge", "false").lower() != "true":
        leg.hearing.ends()
    if url := noun.attributes.get("url"):
        if people is not None:
            people.listens(child.keys.put_nowait, lambda: child.interrupt(Interrupt("caller")))
        else:
            child.script.gathers.append(result.digits)
        if result.hangs_up:
            child.line = _HangsUp(child)
        whisper = Source(leg.http.origin.absolute(url, document.url), noun.method())
        followed = await leg.unless_interrupted(_follow(follow, child, whisper))
        await child.settled()
        if followed != "done":
            events.say("completed", "completed")
            refused = result.refused if people is None or people.reacted else "completed"
            return refused, False, 0.0
    leg.hearing.begins("person")
    seconds = result.seconds
    if people is not None:
        joined_at = asyncio.get_running_loop().time()
        await leg.unless_interrupted(people.talks())
        seconds = asyncio.get_running_loop().time() - joined_at
    else:
        await leg.wait(seconds)
    events.say("completed", "completed")
    return "completed", True, seconds


async def _follow(follow: Follow, child: Leg, source: Source) -> Followed:
    try:
        return await follow(child, source)
    except Interrupted:  # the person's own leg: the caller's ends this from outside
        return "hung-up"


class _HangsUp:
    """The line of a person who puts the phone down as soon as something is said to them."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def next_frame(self) -> bytes:
        """Nothing is streamed to this end."""
        return SILENCE

    def heard(self, frame: bytes, at_ms: int) -> None:
        """Nothing is streamed to this end."""

    def verb(self, name: str, attributes: Mapping[str, str], text: str) -> None:
        """The whisper's first word."""
        if name == "Say":
            self._leg.interrupt(Interrupt("caller"))


class _Events:
    """The noun's statusCallback, for the events it asks for (default: completed only)."""

    def __init__(self, leg: Leg, noun: Verb, child: Leg, document: Document) -> None:
        callback = noun.attributes.get("statusCallback")
        self._url = leg.http.origin.absolute(callback, document.url) if callback else ""
        self._method = noun.method("statusCallbackMethod")
        self._wanted = noun.attributes.get("statusCallbackEvent", "completed").split()
        self._leg, self._child, self._sequence = leg, child, 0

    def say(self, event: str, status: str) -> None:
        if self._url and event in self._wanted:
            fields = self._child.progress(self._sequence, CallStatus=status)
            self._leg.callback(self._url, self._method, fields)
            self._sequence += 1
