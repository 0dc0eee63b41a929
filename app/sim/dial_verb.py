"""<Dial>: the scripted outcome of calling somebody else, with the whisper, the callbacks and the `action` fields."""

from collections.abc import Awaitable, Callable
from typing import Literal

from app.sim.carrier_leg import DialResult, Leg, Script, Source
from app.sim.carrier_numbers import DIALLABLE
from app.sim.twiml_document import Document, Verb
from app.sim.verb_steps import Step, action_of

Followed = Literal["hung-up", "done", "failed"]
Follow = Callable[[Leg, Source], Awaitable[Followed]]

RING_SECONDS = 3.0


async def dial(leg: Leg, verb: Verb, document: Document, follow: Follow) -> Step:
    """Call the first noun; what becomes of it is the script's next DialResult (completed, when none is left).

    A callee who hangs up in the whisper was not put through: `no-answer` (a choice; the documentation is silent).
    """
    nouns = verb.children or [Verb("Number", text=verb.text)]
    noun = nouns[0]
    child = _child_leg(leg, verb, noun)
    result = leg.script.dials.popleft() if leg.script.dials else DialResult()
    if noun.name != "Conference" and (refused := _refusal(leg, verb, noun)):
        result = DialResult("failed")
        leg.log.error(*refused)
    leg.log.add("dial", to=noun.text, noun=noun.name, nouns=len(nouns), result=result.status, child_sid=child.call_sid)
    status, bridged, seconds = await _call(leg, verb, noun, child, result, document, follow)
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
    )


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
    if result.status != "completed":
        await leg.wait(verb.number("timeout", 30) + 5 if result.status == "no-answer" else RING_SECONDS)
        events.say("completed", result.status)
        return result.status, False, 0.0
    await leg.wait(RING_SECONDS)
    child.answer()
    events.say("answered", "in-progress")
    if url := noun.attributes.get("url"):
        child.script.gathers.append(result.digits)
        whisper = Source(leg.http.origin.absolute(url, document.url), noun.method())
        followed = await leg.unless_interrupted(_follow(follow, child, whisper))
        await child.settled()
        if followed != "done":
            events.say("completed", "completed")
            return "no-answer", False, 0.0
    await leg.wait(result.seconds)
    events.say("completed", "completed")
    return "completed", True, result.seconds


async def _follow(follow: Follow, child: Leg, source: Source) -> Followed:
    return await follow(child, source)


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
