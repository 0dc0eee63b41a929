"""What the books hold of a call, beside the ledgers of those who took part: nothing missing, nothing twice.

The caller knows what they said and heard, the model stand-in which tools it called, the carrier which streams it opened. Rows are
keyed, so "twice" is a second row for one thing: another turn of the same words, another call of the same tool.
"""

from collections import Counter

from app.chaos.caller import line
from app.chaos.fault import Fault
from app.chaos.scene import Scene
from app.chaos.talks import CALLER
from app.sim.phrases import key

LAST_WORDS = 3
RUNGS = {"menu": "menu_started", "person": "led_to_person", "voicemail": "voicemail_offered"}
"""The milestone of each rung below the talk."""


async def closed(scene: Scene) -> bool:
    """Whether the books have the end of the call, and nothing waits to be written."""
    row = await scene.store.call(scene.call.call_sid)
    if row is None or row.ended_at is None:
        return False
    waiting = [(await server.figures())["offhook_journal_spooled"] for server in scene.servers if server.alive]
    return not any(waiting)


async def faults(fault: Fault, scene: Scene) -> list[str]:
    """What is missing, twice or wrong."""
    if fault.heard == "refused":
        (count,) = (await scene.rows("SELECT count(*) FROM calls"))[0]
        return [] if count == 0 and not scene.sessions else ["a refused call is on record, or opened a session"]
    store, call_sid = scene.store, scene.call.call_sid
    row = await store.call(call_sid)
    if row is None:
        return ["the call is not on record"]
    found = []
    if (row.from_number, row.ended_at is None) != (CALLER, False):
        found.append(f"the call's row is not whole: {row.from_number!r}, ended {row.ended_at}")
    if row.outcome not in fault.outcomes:
        found.append(f"expected the outcome {' or '.join(fault.outcomes)}, got {row.outcome!r}")
    if row.ended_at is not None and row.ended_at < row.started_at and fault.group != "clock":
        found.append("the call ended before it began")
    found += await _turns(fault, scene)
    found += await _tools(scene)
    found += await bookings(fault, scene)
    found += await _milestones(fault, scene)
    for server in scene.servers:
        if server.alive:
            figures = await server.figures()
            counted = {rung: figures[f'offhook_rungs_total{{rung="{rung}"}}'] for rung in RUNGS}
            if not fault.dead_life and counted != {rung: float(rung == fault.heard) for rung in RUNGS}:
                found.append(f"expected the rung that the caller came to counted once, and no other, got {counted}")
            found += [
                f"{name} is {figures[name]:g}"
                for name in ("offhook_journal_lost_total", "offhook_journal_refused_total", "offhook_journal_spooled")
                if figures[name]
            ]
    return found


async def _turns(fault: Fault, scene: Scene) -> list[str]:
    turns = await scene.store.turns(scene.call.call_sid)
    found = []
    caller = [turn.generated_text for turn in turns if turn.who == "caller"]
    said = ["" for _ in scene.caller.said] if fault.unheard else scene.caller.said
    if caller != said:
        found.append(f"the caller said {said}, on record is {caller}")
    words = key(" ".join(turn.heard_text for turn in turns if turn.who == "agent"))
    sound = scene.caller.sound
    for text in fault.talk.lines:
        last = " ".join(key(text).split()[-LAST_WORDS:])
        times = words.count(last)
        if line(text).whole(sound) and not times and not fault.dead_life:
            found.append(f"{text!r} was heard, and is not on record as heard")
        if times > 1 and fault.heard == "talk":
            found.append(f"{text!r} is on record {times} times")
    if fault.heard == "talk" and [turn.seq for turn in turns] != list(range(len(turns))):
        found.append(f"turns are numbered {[turn.seq for turn in turns]}")
    return found


async def _tools(scene: Scene) -> list[str]:
    called = Counter(note["name"] for session in scene.sessions for note in session.log if note["type"] == "calls")
    written = Counter(tool.name for tool in await scene.store.tool_calls(scene.call.call_sid))
    missing, twice = called - written, written - called
    return [f"called and not on record: {dict(missing)}"] * bool(missing) + [
        f"on record oftener than called: {dict(twice)}"
    ] * bool(twice)


async def bookings(fault: Fault, scene: Scene) -> list[str]:
    """What the business has, what the caller was told, and what the call is said to have come to: all the same, and once."""
    business = scene.business
    if business is None:
        return []
    found = []
    told = line(fault.talk.answer).begun(scene.caller.sound)
    if len(business.acts) != 1 or not told:
        keys = [asked.key for asked in business.asked]
        found.append(
            f"expected one booking that the caller is told of, got {len(business.acts)}, asked by {keys}, told: {told}"
        )
    (row,) = await scene.rows("SELECT fields->>'result' FROM call_outcomes WHERE call_sid = :sid") or [("none",)]
    if row[0] != "booked":
        found.append(f"expected the outcome's result 'booked', got {row[0]!r}")
    return found


async def _milestones(fault: Fault, scene: Scene) -> list[str]:
    names = Counter(moment.name for moment in await scene.store.milestones(scene.call.call_sid))
    streams = len([entry for entry in scene.call.log.of("stream") if entry.detail["event"] == "start"])
    strangers = {"carrier-wrong-call-sid", "carrier-wrong-account"}
    wanted = 0 if fault.name in strangers else streams
    found = []
    if names["webhook_accepted"] != 1 and not fault.dead_life:
        found.append(f"webhook_accepted is on record {names['webhook_accepted']} times")
    found += [
        f"{name} is on record {names[name]} times"
        for rung, name in RUNGS.items()
        if names[name] != (rung == fault.heard)
    ]
    if names["model_reconnected"] > names["model_lost"]:
        found.append(
            f"another session is on record {names['model_reconnected']} times, a lost one {names['model_lost']}"
        )
    if names["stream_started"] != wanted and not fault.dead_life:
        found.append(f"{wanted} streams were started, {names['stream_started']} are on record")
    if names["call_closed"] != wanted and not fault.dead_life:
        found.append(f"{wanted} streams were closed, {names['call_closed']} are on record")
    return found
