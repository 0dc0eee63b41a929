"""How a call is judged by its sound: silence that nobody explained, sentences that broke off."""

from app.chaos.caller import Caller, line
from app.chaos.fault import LIMIT_MS, TOLERANCE_MS, Fault
from app.chaos.heard import Heard, faults, longest_silence
from app.chaos.talks import BYE, GREETING, OPEN
from app.clips import clip
from app.sim.hearing import Stretch
from app.sim.playout import FRAME_BYTES, SILENCE
from app.sim.voices import say

TALK = Fault(name="x", group="model", does="nothing")


def sounds(*pairs: tuple[int, int]) -> list[Stretch]:
    return [Stretch("voice", start, end) for start, end in pairs]


def hears(caller: Caller, audio: bytes) -> None:
    for at in range(0, len(audio), FRAME_BYTES):
        caller.heard(audio[at : at + FRAME_BYTES], 0)


def test_the_longest_silence_is_found_from_the_answer_to_the_end() -> None:
    assert longest_silence(sounds((1000, 2000), (2500, 4000)), 200, 4000) == (800, 200)
    assert longest_silence(sounds((300, 2000), (1500, 4000)), 200, 9000) == (5000, 4000)
    assert longest_silence(sounds((2500, 4000), (200, 2400)), 200, 4000) == (100, 2400)
    assert longest_silence([], 100, 700) == (600, 100)
    assert longest_silence(sounds((200, 220), (270, 300)), 200, 300) == (0, 200), "a breath between two words"


def test_a_line_is_whole_however_another_session_went_on_with_it() -> None:
    whole, half = Caller(), Caller()
    for caller in (whole, half):
        caller.stream_started("MZ1")
        audio = say(OPEN)
        hears(caller, audio[: len(audio) // 2 // FRAME_BYTES * FRAME_BYTES] + SILENCE * 40)
    hears(whole, say("from eight o'clock to five o'clock."))
    assert line(OPEN).begun(half.sound)
    assert not line(OPEN).whole(half.sound)
    assert line(OPEN).whole(whole.sound)
    assert not line(GREETING).begun(whole.sound)


def test_a_clip_of_the_house_s_is_known_by_its_end_and_nothing_else_is() -> None:
    caller = Caller()
    caller.stream_started("MZ1")
    hears(caller, say(GREETING) + SILENCE * 10)
    assert caller.told_ms == []
    hears(caller, clip("interrupted") + SILENCE * 10)
    assert len(caller.told_ms) == 1


def test_the_caller_speaks_frame_by_frame_and_knows_when() -> None:
    caller = Caller()
    clock = iter(range(1000, 100_000, 20))
    caller.life_ms = lambda: next(clock)
    assert caller.next_frame() == SILENCE
    caller.say(BYE)
    frames = [caller.next_frame() for _ in range(len(say(BYE, "anna")) // FRAME_BYTES)]
    assert b"".join(frames) == say(BYE, "anna")
    assert caller.silent
    assert len(caller.spoke) == 1


def _heard(**changes: object) -> Heard:
    usual = {"silence_ms": 800, "at_ms": 0, "cut": [], "whole": [GREETING, OPEN, "Thank you for calling. Goodbye."]}
    return Heard(**{**usual, "verbs": ["Connect", "Hangup"], "streams": 1, "codes": [], **changes})  # type: ignore[arg-type]


def test_what_the_caller_should_not_have_heard_is_told() -> None:
    assert faults(TALK, _heard()) == []
    assert faults(TALK, _heard(silence_ms=LIMIT_MS + TOLERANCE_MS)) == []
    assert "of silence from 77 ms on" in faults(TALK, _heard(silence_ms=LIMIT_MS + TOLERANCE_MS + 1, at_ms=77))[0]
    assert faults(TALK, _heard(cut=[OPEN])) == [f"broke off and was never completed: {OPEN!r}"]
    assert faults(TALK, _heard(whole=[GREETING, OPEN])) == ["was not heard: 'Thank you for calling. Goodbye.'"]
    assert "expected talk" in faults(TALK, _heard(verbs=["Connect", "Say", "Dial", "Hangup"]))[0]
    assert faults(TALK, _heard(codes=[11200])) == ["the carrier complains: [11200]"]


def test_each_way_to_go_on_has_its_verbs() -> None:
    for how, verbs, streams in (
        ("person", ["Connect", "Say", "Dial", "Hangup"], 1),
        ("menu", ["Connect", "Gather", "Say", "Dial", "Hangup"], 1),
        ("voicemail", ["Connect", "Say", "Record", "Say", "Hangup"], 1),
        ("resumed", ["Connect", "Connect", "Hangup"], 2),
    ):
        fault = Fault(name="x", group="model", does="nothing", heard=how)  # type: ignore[arg-type]
        assert faults(fault, _heard(verbs=verbs, streams=streams)) == [], how
        assert faults(fault, _heard()) != [], how
    refused = Fault(name="x", group="carrier", does="nothing", heard="refused")
    assert faults(refused, _heard(verbs=[])) == []
    assert faults(refused, _heard()) != []
