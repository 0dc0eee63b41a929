"""What the caller heard of a call: the longest silence while something was due, sentences that broke off, how it went on.

Silence is measured in life's milliseconds on the carrier's playout: from one sound (the agent's voice, a clip, the carrier's
prompts, ringing, a person, the caller's own voice) to the next, from the moment the call is answered to its end. While it is for
the caller to speak, or to leave a message after the tone, silence is theirs, and does not count. Nor does that of `EXPLAINED_MS`
behind a clip of the house's: who was told "One moment please" knows what they wait for.
"""

from collections.abc import Iterable, Sequence

import msgspec

from app.chaos.caller import Caller, line
from app.chaos.fault import TOLERANCE_MS, Fault
from app.sim.carrier_call import CarrierCall
from app.sim.hearing import Stretch

EXPLAINED_MS = 3000
CLOSE_MS = 60
"""Sounds no further apart are one."""


class Heard(msgspec.Struct, kw_only=True):
    """silence_ms: the longest, and `at_ms` where it began. cut: sentences that broke off and were never completed."""

    silence_ms: int
    at_ms: int
    cut: list[str]
    whole: list[str]
    verbs: list[str]
    streams: int
    codes: list[int]


def listen(call: CarrierCall, caller: Caller) -> Heard:
    """What a call that is over sounded like."""
    answered = next((entry.at_ms for entry in call.log.of("status") if entry.detail["status"] == "in-progress"), 0)
    sounds = [*call.hearing.stretches, *caller.spoke, *caller.thought]
    ended = call.log.of("ended")[-1].at_ms + call.hearing.life_ms() - call.log.at_ms()
    sound = caller.sound
    told = [Stretch("voice", end, end + EXPLAINED_MS) for end in caller.told_ms]
    silence, at = longest_silence([*sounds, *told], answered, ended)
    return Heard(
        silence_ms=silence,
        at_ms=at,
        cut=[text for text in caller.talk.lines if line(text).begun(sound) and not line(text).whole(sound)],
        whole=[text for text in caller.talk.lines if line(text).whole(sound)],
        verbs=caller.verbs,
        streams=len(call.streams),
        codes=call.log.codes(),
    )


def longest_silence(sounds: Iterable[Stretch], since_ms: int, until_ms: int) -> tuple[int, int]:
    """The longest time without a sound, and when it began."""
    longest, at, last = 0, since_ms, since_ms
    for sound in sorted(sounds, key=lambda sound: sound.start_ms):
        start = min(sound.start_ms, until_ms)
        if start - last > max(longest, CLOSE_MS):
            longest, at = start - last, last
        last = max(last, sound.end_ms)
    if until_ms - last > max(longest, CLOSE_MS):
        longest, at = until_ms - last, last
    return longest, at


def faults(fault: Fault, heard: Heard) -> list[str]:
    """What the caller should not have heard, or should have and did not."""
    found = []
    if fault.heard == "refused":
        return [] if not heard.verbs else [f"somebody was let in: {heard.verbs}"]
    if heard.silence_ms > fault.limit_ms + TOLERANCE_MS:
        found.append(f"{heard.silence_ms} ms of silence from {heard.at_ms} ms on, {fault.limit_ms} at most")
    explained = fault.heard != "talk"  # the broken sentence was followed by an apology
    found += [f"broke off and was never completed: {text!r}" for text in heard.cut if not explained]
    if fault.heard == "talk":
        found += [f"was not heard: {text!r}" for text in fault.talk.lines if text not in heard.whole]
    found += _way(fault, heard.verbs, heard.streams)
    complaints = sorted(set(heard.codes) - fault.codes)
    if complaints:
        found.append(f"the carrier complains: {complaints}")
    return found


def _way(fault: Fault, verbs: Sequence[str], streams: int) -> list[str]:
    """Whether the call went the way that it may go."""
    ends = {
        "talk": verbs == ["Connect", "Hangup"],
        "resumed": verbs[-1:] == ["Hangup"] and streams > 1 and set(verbs) <= {"Connect", "Redirect", "Hangup"},
        "menu": "Gather" in verbs,
        "person": verbs[-3:-1] == ["Say", "Dial"] or verbs[-2:] == ["Say", "Dial"],
        "voicemail": "Record" in verbs and "Dial" not in verbs,
        "refused": True,
    }
    return [] if ends[fault.heard] else [f"expected {fault.heard}, the carrier did {verbs} on {streams} streams"]
