"""Inputs by chance alone, a thousand times faster than hypothesis makes them: for the million. A seed makes the same ones again."""

import copy
from random import Random
from typing import Any

from app.core import events as ev
from tests.core.test_machine_any_order import PRELUDES, SIDE, Delta
from tests.fuzz.call import Step
from tests.fuzz.words import RAW, places, written

SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 160, 2**31, 2**63, -(2**64), 10**40, 0.5, 1e308, -0.0, "", "media", "inbound", "====", "A===",
    "//8=", "\x00", "\ud7ff", "response.audio.delta", "x" * 300, [], {}, [[]], {"a": None}, {"id": 1}, {"type": "function_call"},
]  # fmt: skip
NAMES = ("type", "event", "id", "item", "delta", "response", "error", "usage", "", "x")
WAITS = (0.0, 0.0, 0.0, 0.02, 0.02, 0.3, 0.7, 1.0, 1.5, 3.0, 4.0, 10.0, 13.0, 16.0, 61.0, 130.0)


def message(chance: Random, real: list[Any]) -> bytes:
    """A message of one end: real, and changed in fields, in octets, or in both; now and then nothing of the kind."""
    if chance.random() < 0.03:
        return chance.randbytes(chance.randrange(200))
    whole = copy.deepcopy(chance.choice(real))
    text = written(whole) if chance.random() < 0.3 else _changed_fields(chance, whole)
    return _changed_octets(chance, bytearray(text)) if chance.random() < 0.3 else text


def _changed_fields(chance: Random, whole: Any) -> bytes:
    raw = b""
    for _ in range(chance.randint(1, 3)):
        there = places(whole)
        if not there:
            break
        holder, key = chance.choice(there)
        way = chance.randrange(8)
        if way == 0 and isinstance(holder, dict):
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[chance.choice(NAMES)] = holder.pop(key)
        elif way == 2:
            raw, holder[key] = chance.choice(RAW), "@raw@"
        else:
            holder[key] = copy.deepcopy(chance.choice(SCALARS))
    return written(whole).replace(b'"@raw@"', raw or b'"@raw@"')


def _changed_octets(chance: Random, text: bytearray) -> bytes:
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text[at : at + 1] = chance.randbytes(1)
            case 1:
                del text[at : at + chance.randint(1, 40)]
            case 2:
                text[at:at] = chance.randbytes(chance.randint(1, 6))
            case _:
                del text[at:]
    return bytes(text)


def steps(chance: Random, most: int) -> list[Step]:
    """A call: what happened, and how long after what was before it."""
    prelude: list[Step] = [(0.0, event) for event in chance.choice(PRELUDES)]
    return [*prelude, *((chance.choice(WAITS), event(chance)) for _ in range(chance.randint(1, most)))]


def event(chance: Random) -> ev.Event:
    """One thing that can happen to a call. What ends one is rare."""
    response, item = chance.choice(("r1", "r2", "r3")), chance.choice(("a1", "a2", "a3"))
    spoken, tool = chance.choice(("c1", "c2")), chance.choice(("t1", "t2", "t3"))
    match chance.randrange(26):
        case 0 | 1 | 2 | 3:
            return Delta(response, item, chance.randrange(2), chance.randrange(100))
        case 4:
            return chance.choice((Delta(SIDE, item, 0, 9), ev.ResponseStarted(SIDE, out_of_band=True)))
        case 5 | 6:
            return ev.ResponseStarted(response)
        case 7 | 8:
            usage = chance.choice((None, {}, {"output_token_details": {"audio_tokens": chance.choice((300, 30_000))}}))
            status = chance.choice(("completed", "completed", "cancelled", "incomplete"))
            return ev.ResponseDone(response, status, usage=usage)
        case 9:
            return ev.ResponseDone(
                response, "failed", error_code=chance.choice(("", "server_error", "session_expired"))
            )
        case 10:
            return ev.AgentAudioEnded(response, item)
        case 11:
            return ev.AgentSaid(response, item, chance.choice(("", "Good ", "morning.")), chance.random() < 0.3)
        case 12 | 13:
            return ev.CallerSpoke(spoken)
        case 14 | 15:
            return ev.CallerStopped(spoken)
        case 16:
            return chance.choice(
                (ev.CallerTurnTaken(spoken), ev.CallerTranscribed(spoken, chance.choice(("", "Yes."))))
            )
        case 17:
            return ev.KeyPressed(chance.choice("12#"))
        case 18 | 19:
            return ev.MarkReached(chance.choice(("m1", "m2", "m3", "m4", "m5", "x")))
        case 20:
            return ev.ToolCalled(response, tool, "f", "{}")
        case 21:
            return ev.ToolReturned(
                call_id=tool,
                output="{}",
                status=chance.choice(("ok", "ok", "refused", "working", "late")),
                ms=1,
                transfer_to=chance.choice(("", "", "", "sales")),
                ends_call=chance.random() < 0.1,
            )
        case 22:
            return ev.ToolSlow(call_id=tool, sentence="One moment.", after_ms=chance.choice((0, 700)))
        case 23:
            return ev.ToolFinished(call_id=tool, output="{}", status="ok", ms=1)
        case 24:
            code = chance.choice(("conversation_already_has_active_response", "invalid_value"))
            asked = chance.choice(("", "opening", "offer-tools", "ask-1", "ask-2", "ask-3", "filler-1"))
            return ev.ModelComplained(code, "", "", event_id=asked)
    return chance.choice(RARE)


RARE: tuple[ev.Event, ...] = (
    ev.TimePassed(),
    ev.TimePassed(),
    ev.ModelReady(),
    ev.ModelReady(opening=False),
    ev.OperatorPutThrough("sales"),
    ev.OperatorHungUp(),
    ev.ModelLost("gone"),
    ev.ModelLost("no", refused=True),
    ev.NoModelLeft("none"),
    ev.HouseFailed("ours"),
    ev.CapReached("day"),
    ev.HouseCloses(),
    ev.ModelComplained("session_expired", "", ""),
    ev.CallerLeft("stop"),
)
