"""Reminder: calls somebody about their appointment, who confirms it, moves it, gives it back, or is somebody else."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from app.mode import (
    BackendDown,
    CallContext,
    Disclosure,
    EndCall,
    Mode,
    NotFound,
    ToolError,
    Transfer,
    about,
    tool,
)

SLOTS_OFFERED = 8
DAYS_AHEAD = 366


class Appointment(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is asked for with. `start` is local time at the business, as the booking has it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    start: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d$")]
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.start)  # a ValueError here is a ValidationError where it is read


class Reminded(msgspec.Struct):
    """What came of the call."""

    result: Literal[
        "none", "confirmed", "moved", "cancelled", "wrong_person", "message", "do_not_call", "transferred"
    ] = "none"
    start: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d)?$")] = ""
    """Of the appointment as it stands after the call; empty if there is none."""
    reference: str = ""
    do_not_call: bool = False


Day = Annotated[date, about("the day, as YYYY-MM-DD")]
Start = Annotated[
    str,
    about(
        "day and time as YYYY-MM-DDTHH:MM, local, exactly as free_slots gave it", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d$"
    ),
]
Reason = Annotated[str, about("in a few words", max_length=200)]
DeskName = Annotated[str, about("name of the desk", min_length=1, max_length=40)]


@tool
async def confirm(call: CallContext) -> str:
    """Note that they will come, once they have said so."""
    fields = _appointment(call)
    if call.outcome.get("result") in ("moved", "cancelled"):
        raise ToolError(f"It was {call.outcome['result']} in this call already. Tell them how it stands now.")
    start = datetime.fromisoformat(fields["start"])
    try:
        free = start in await call.store.free_slots(start.date())
    except BackendDown:
        free = False  # not known to be free: the word of who asked for this call stands
    if free:
        raise ToolError(
            "Nothing is confirmed: the records have no appointment then any more. Say so, and offer a new one or a person."
        )
    call.outcome.update(result="confirmed", start=fields["start"])
    return "Noted: they will come. Thank them."


@tool(filler="Let me have a look.")
async def free_slots(
    call: CallContext, day: Day, part: Literal["morning", "afternoon", "any"] = "any"
) -> dict[str, Any]:
    """Look up free appointments on a day. Call it before you offer another time."""
    today = call.now.date()
    if not 0 <= (day - today).days <= DAYS_AHEAD:
        raise ToolError(f"{day} cannot be booked; today is {today}. Ask for a coming day within a year.")
    hours = {"morning": range(12), "afternoon": range(12, 24), "any": range(24)}[part]
    free = [at for at in await call.store.free_slots(day) if at.hour in hours]
    return {"day": day.isoformat(), "slots": [f"{at:%Y-%m-%dT%H:%M}" for at in free[:SLOTS_OFFERED]]}


@tool(writes=True, filler="One moment please.", deadline_seconds=6)
async def move(call: CallContext, to: Start) -> dict[str, Any]:
    """Move their appointment to a free time that they chose."""
    fields = _appointment(call)
    held = call.outcome.get("start") or fields["start"]
    try:
        new, old = datetime.fromisoformat(to), datetime.fromisoformat(held)
    except ValueError as wrong:
        raise ToolError(f"There is no such day or time: {to!r}. Take a start from free_slots.") from wrong
    if new == old:
        raise ToolError("They have that very time. Say so, and ask whether they would rather keep it.")
    if call.outcome.get("result") == "cancelled":
        raise ToolError("It was cancelled in this call. Offer a person to book a new one.")
    # The new one first: whatever goes wrong after it, they do not lose the one they have.
    booked = await call.store.book(
        name=fields["name"], start=new, reason=fields["reason"], phone=call.caller, key=f"{call.key}-book"
    )
    call.outcome.update(result="moved", start=to, reference=booked.reference)
    try:
        await call.store.cancel(name=fields["name"], start=old, key=f"{call.key}-cancel")
    except NotFound:
        return {"moved": True, "start": to, "note": "The old appointment was not on record any more."}
    except BackendDown:
        return {"moved": True, "start": to, "note": f"The old one at {held} could not be given back; the office will."}
    return {"moved": True, "start": to}


@tool(writes=True)
async def cancel(call: CallContext) -> dict[str, Any]:
    """Give their appointment back, because they do not want it any more."""
    fields = _appointment(call)
    start = call.outcome.get("start") or fields["start"]
    booking = await call.store.cancel(name=fields["name"], start=datetime.fromisoformat(start), key=call.key)
    call.outcome.update(result="cancelled", start="", reference=booking.reference)
    return {"cancelled": True, "was_at": start}


@tool
async def wrong_person(call: CallContext) -> str:
    """Note that this is not the person's number, or that they cannot come to the phone. Nothing of the appointment is told."""
    call.outcome.update(result="wrong_person")
    return "Noted. Apologise, say goodbye and end the call; tell nothing of the appointment."


@tool
async def never_call_again(call: CallContext) -> str:
    """Take their number off all calls, as soon as they say that they want none."""
    await call.never_call()
    call.outcome["do_not_call"] = True
    if call.outcome.get("result", "none") == "none":
        call.outcome["result"] = "do_not_call"
    return "Done: this number is not called again. Say so, apologise, and end the call."


@tool
async def put_through(call: CallContext, desk: DeskName, reason: Reason) -> Transfer:
    """Connect them to a person, as soon as they ask for one."""
    if desk not in call.office.desks:
        raise ToolError(f"There is no desk {desk!r}; there are: {', '.join(sorted(call.office.desks))}.")
    if not call.office.desk_open(call.office.desks[desk], call.now):
        raise ToolError(f"Nobody is at {desk} now. Say so, and ask them to call the office in its hours.")
    return Transfer(
        to=desk, reason=reason, outcome={"result": "transferred"}, caller_name=str(call.fields.get("name", ""))
    )


@tool
async def end_call(reason: Reason) -> EndCall:
    """End the call, after you and they have said goodbye."""
    return EndCall(reason=reason)


def _appointment(call: CallContext) -> dict[str, str]:
    """What the call is about; tools may act on it once somebody has spoken."""
    if not call.fields:
        raise ToolError("This call is about no known appointment. Offer to put them through.")
    if call.caller_turns == 0:
        raise ToolError("Nobody has said anything yet; wait for them.")
    return dict(call.fields)


mode = Mode(
    name="reminder",
    prompt="reminder.md",
    asks=Appointment,
    opening="",
    voicemail=(
        "Hello. This is the digital assistant of {{ office.name }}, with a reminder. "
        "{% if call.fields %}You have an appointment on {{ call.fields.start | day }}, "
        "at {{ call.fields.start | clock }}. {% endif %}"
        "To change it, please call us back. Thank you. Goodbye."
    ),
    first_turn=[put_through, wrong_person, never_call_again],
    tools=[confirm, free_slots, move, cancel, wrong_person, never_call_again, put_through, end_call],
    outcome=Reminded,
    disclosure=Disclosure(ai=True, when="always"),
)
