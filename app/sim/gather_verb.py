"""<Gather>: what the caller presses, or says where speech is asked for."""

from app.sim.carrier_leg import Leg, Source
from app.sim.twiml_document import Document, Verb
from app.sim.verb_steps import Step, action_of, next_key, prompt_seconds

KEYS = frozenset("0123456789*#ABCD")
FINISHING = frozenset(["", *"0123456789*#"])


async def gather(leg: Leg, verb: Verb, document: Document) -> Step:
    """Collect keys until `numDigits`, `finishOnKey` or `timeout`; nothing gathered falls to the next verb.

    The script's next entry is pressed (or said, where it is not keys and speech is asked for) as the verb begins;
    otherwise `press` of the call feeds it. Keys pressed before it began are lost, as in life.
    """
    _warn(leg, verb)
    _discard_keys(leg)
    spoken = _take_script(leg, verb)
    prompts = 0.0
    for child in verb.children:
        leg.note_verb(child)
        prompts += await prompt_seconds(leg, child, document)
    began = leg.hearing.life_ms()
    try:
        digits = "" if spoken else await _digits(leg, verb, prompts)
    finally:
        if not leg.parent_call_sid:  # the person at a desk hears the whisper, not the caller
            leg.hearing.said(began, prompts)
    leg.log.add("gather", digits=digits, speech=spoken)
    if not digits and not spoken and verb.attributes.get("actionOnEmptyResult", "false").lower() != "true":
        return "next"
    said = {"SpeechResult": spoken, "Confidence": "0.92"} if spoken else {"Digits": digits}
    if not spoken and not digits:
        said["msg"] = "Gather End"
    return action_of(leg, verb, document, **said) or Source(document.url, verb.method(), said)


def _warn(leg: Leg, verb: Verb) -> None:
    """Values that cannot be: Twilio warns of them, and takes its defaults."""
    said = verb.attributes
    finish, timeout, digits = said.get("finishOnKey", "#"), said.get("timeout", "5"), said.get("numDigits", "1")
    if finish not in FINISHING:
        leg.log.warning(13310, f"expected a finishOnKey of one of 0-9 * #, or none, came {finish!r}")
    if not _positive(timeout):
        leg.log.warning(13313, f"expected a timeout in whole seconds above 0, came {timeout!r}")
    if not _positive(digits):
        leg.log.warning(13314, f"expected numDigits of 1 or more, came {digits!r}")
    if unknown := set(said.get("input", "dtmf").split()) - {"dtmf", "speech"}:
        leg.log.warning(12200, f"expected an input of dtmf, speech or both, came {', '.join(sorted(unknown))}")


def _positive(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) > 0


def _discard_keys(leg: Leg) -> None:
    while not leg.keys.empty():
        leg.log.add("note", text="a key pressed before <Gather> began is lost", digit=leg.keys.get_nowait())


def _take_script(leg: Leg, verb: Verb) -> str:
    entry = leg.script.gathers.popleft() if leg.script.gathers else ""
    wanted = verb.attributes.get("input", "dtmf").split()
    if not KEYS.issuperset(entry):
        if "speech" in wanted:
            return entry
        leg.log.add("note", text="the caller speaks, but this <Gather> takes only keys", said=entry)
    elif "dtmf" in wanted:
        for key in entry:
            leg.keys.put_nowait(key)
    return ""


async def _digits(leg: Leg, verb: Verb, prompts: float) -> str:
    said = verb.attributes
    timeout = verb.number("timeout", 5) if _positive(said.get("timeout", "5")) else 5.0
    wanted = int(said["numDigits"]) if _positive(said.get("numDigits", "")) else 0
    finish = said.get("finishOnKey", "#") if said.get("finishOnKey", "#") in FINISHING else "#"
    digits, patience = "", prompts + timeout  # a first key ends the prompts (barge-in)
    while (key := await next_key(leg, patience)) is not None:
        if finish and key in finish:
            break
        digits, patience = digits + key, timeout
        if len(digits) == wanted:
            break
    return digits
