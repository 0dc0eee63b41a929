"""Runs TwiML on a leg: one document's verbs in order, and from document to document until the call ends."""

from collections.abc import Awaitable, Callable, Mapping

from app.sim.carrier_leg import Leg, Source
from app.sim.connect_verb import connect, start, stop
from app.sim.dial_verb import Followed, dial
from app.sim.gather_verb import gather
from app.sim.record_verb import record
from app.sim.twiml_document import Document, Refused, Verb
from app.sim.verb_steps import Step, prompt

MAX_DOCUMENTS = 200  # of one call: a choice, so that two documents that redirect to each other end


async def follow(leg: Leg, source: Source, *, repeat: bool = False) -> Followed:
    """Run the source's TwiML and whatever it leads to.

    Returns `hung-up` after <Hangup> or <Reject>, `done` when the verbs ran out, `failed` after an application error.
    Raises Interrupted when the call ended meanwhile or got new TwiML.
    """
    document = await leg.document(source, repeat=repeat)
    for _ in range(MAX_DOCUMENTS):
        if document is None:
            return "failed"
        try:
            step = await run(leg, document)
        except Refused as error:
            leg.log.error(error.code, str(error), url=document.url)
            document = await leg.fall_back(error.code, document.url)
            continue
        if step == "end":
            return "hung-up"
        if step == "next":
            return "done"
        document = await leg.document(step)
    leg.log.error(12400, f"more than {MAX_DOCUMENTS} documents in one call; does the TwiML redirect in a circle?")
    return "failed"


async def run(leg: Leg, document: Document) -> Step:
    """Run one document: `next` when its verbs ran out, `end` to hang up, or the source that a verb leads to."""
    for position, verb in enumerate(document.verbs):
        leg.check()
        if verb.name == "Reject" and position > 0:
            continue  # warned of while parsing
        leg.note_verb(verb)
        if verb.name != "Reject":
            leg.answer()
        step = await _VERBS.get(verb.name, _not_played)(leg, verb, document)
        leg.check()
        if step != "next":
            return step
    return "next"


async def _dial(leg: Leg, verb: Verb, document: Document) -> Step:
    if leg.direction == "outbound-dial":
        leg.log.warning(12200, "<Dial> may not be in a whisper; it is skipped")
        return "next"
    return await dial(leg, verb, document, follow)


async def _redirect(leg: Leg, verb: Verb, document: Document) -> Step:
    return Source(leg.http.origin.absolute(verb.text, document.url), verb.method())


async def _hangup(leg: Leg, verb: Verb, document: Document) -> Step:
    return "end"


async def _reject(leg: Leg, verb: Verb, document: Document) -> Step:
    leg.set_status("busy" if verb.attributes.get("reason") == "busy" else "no-answer")  # `rejected`: a choice
    return "end"


async def _not_played(leg: Leg, verb: Verb, document: Document) -> Step:
    leg.log.add("note", text=f"<{verb.name}> is not played by the stand-in; the next verb follows")
    return "next"


_VERBS: Mapping[str, Callable[[Leg, Verb, Document], Awaitable[Step]]] = {
    "Say": prompt,
    "Play": prompt,
    "Pause": prompt,
    "Gather": gather,
    "Record": record,
    "Dial": _dial,
    "Connect": connect,
    "Start": start,
    "Stop": stop,
    "Redirect": _redirect,
    "Hangup": _hangup,
    "Reject": _reject,
}
