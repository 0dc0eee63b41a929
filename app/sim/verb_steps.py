"""What a verb leads to, and the verbs that only take time: Say, Play, Pause."""

import asyncio
from typing import Literal

from app.sim.carrier_leg import Leg, Source
from app.sim.playout import FRAME_BYTES
from app.sim.twiml_document import Document, Refused, Verb

Step = Source | Literal["next", "end"]  # another document, the next verb, or the end of the call

CHARACTERS_A_SECOND = 15.0
MAX_SAID = 4096
MAX_LOOPS = 20  # loop="0" is for ever in life
_BYTES_A_SECOND = FRAME_BYTES * 50


def action_of(leg: Leg, verb: Verb, document: Document, **fields: str) -> Source | None:
    """The request of a verb's `action`, with the verb's results; None without one. Raises Refused 11100."""
    action = verb.attributes.get("action")
    if not action:
        return None
    return Source(leg.http.origin.absolute(action, document.url), verb.method(), fields)


async def prompt_seconds(leg: Leg, verb: Verb, document: Document) -> float:
    """How long a Say, Play or Pause lasts in life. A Play's audio is fetched, which may log 11200 and then lasts 0 s."""
    loops = min(verb.number("loop", 1) or MAX_LOOPS, MAX_LOOPS)
    match verb.name:
        case "Say":
            if not 0 < len(verb.text) <= MAX_SAID:
                code, wrong = (13521, "long") if verb.text else (13520, "empty")
                leg.log.warning(code, f"expected a <Say> of 1 to {MAX_SAID} characters, came a {wrong} one")
            return loops * len(verb.text) / CHARACTERS_A_SECOND
        case "Play" if "digits" in verb.attributes:
            return 0.5 * len(verb.attributes["digits"])
        case "Play":
            return loops * await _audio_seconds(leg, verb, document)
        case _:
            return verb.number("length", 1)


async def _audio_seconds(leg: Leg, verb: Verb, document: Document) -> float:
    url = leg.http.origin.absolute(verb.text, document.url)
    try:
        answer = await leg.unless_interrupted(leg.http.request(url, "GET", {}), leave_running=True)
    except Refused as error:
        leg.log.error(error.code, str(error), http_status=error.http_status, url=url)
        return 0.0
    if not (answer.content_type or "").startswith("audio/"):
        leg.log.error(12300, f"expected audio from {url}, came {answer.content_type!r}")
        return 0.0
    return len(answer.body) / _BYTES_A_SECOND


async def prompt(leg: Leg, verb: Verb, document: Document) -> Step:
    """Say, Play or Pause: let its time pass."""
    seconds = await prompt_seconds(leg, verb, document)
    if leg.parent_call_sid or verb.name == "Pause" or not seconds:
        await leg.wait(seconds)
        return "next"
    leg.hearing.begins("prompt")
    try:
        await leg.wait(seconds)
    finally:
        leg.hearing.ends()
    return "next"


async def next_key(leg: Leg, seconds: float) -> str | None:
    """The next key the caller presses, None after `seconds` of the verb's time without one."""
    try:
        with leg.passing(seconds):
            return await leg.unless_interrupted(asyncio.wait_for(leg.keys.get(), seconds / leg.verb_speed))
    except TimeoutError:
        return None
