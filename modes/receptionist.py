"""Receptionist: answers the front desk, tells hours, books and cancels, takes messages, puts callers through."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from app.mode import BackendDown, CallContext, EndCall, Mode, ToolError, Transfer, about, tool

SLOTS_OFFERED = 8
DAYS_AHEAD = 366


class Reception(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "answered", "booked", "cancelled", "message", "transferred"] = "none"
    name: str = ""
    start: str = ""
    reference: str = ""


Day = Annotated[date, about("the day, as YYYY-MM-DD")]
Start = Annotated[
    str,
    about(
        "day and time as YYYY-MM-DDTHH:MM, local, exactly as free_slots gave it", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d$"
    ),
]
LastName = Annotated[str, about("last name, spelled back to the caller and confirmed", min_length=1, max_length=80)]
Desk = Annotated[str, about("name of the desk", min_length=1, max_length=40)]
Reason = Annotated[str, about("in a few words", max_length=200)]


@tool
async def put_through(call: CallContext, desk: Desk, reason: Reason) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    if desk not in call.office.desks:
        raise ToolError(f"There is no desk {desk!r}; there are: {', '.join(sorted(call.office.desks))}.")
    return Transfer(to=desk, reason=reason, outcome={"result": "transferred"})


@tool
async def opening_hours(call: CallContext, day: Day | None = None) -> dict[str, Any]:
    """Tell when the office is open: on one day, or in the whole week."""
    office = call.office
    call.outcome.setdefault("result", "answered")
    if day is not None:
        hours = office.hours_on(day)
        return {"day": day.isoformat(), "open": f"{hours.opens:%H:%M} to {hours.closes:%H:%M}" if hours else "closed"}
    return {name: f"{hours.opens:%H:%M} to {hours.closes:%H:%M}" for name, hours in office.hours.items()}


@tool(filler="Let me have a look.")
async def free_slots(
    call: CallContext, day: Day, part: Literal["morning", "afternoon", "any"] = "any"
) -> dict[str, Any]:
    """Look up free appointments on a day. Call it before you offer a time."""
    if day < call.now.date():
        raise ToolError(f"{day} is past; today is {call.now.date()}. Ask for a coming day.")
    if (day - call.now.date()).days > DAYS_AHEAD:
        raise ToolError(f"{day} is too far ahead; today is {call.now.date()}. Ask for a day within a year.")
    hours = {"morning": range(12), "afternoon": range(12, 24), "any": range(24)}[part]
    free = [at for at in await call.store.free_slots(day) if at.hour in hours]
    return {"day": day.isoformat(), "slots": [f"{at:%Y-%m-%dT%H:%M}" for at in free[:SLOTS_OFFERED]]}


@tool(filler="One moment, I am booking that.")
async def book_appointment(call: CallContext, name: LastName, start: Start, reason: Reason) -> dict[str, Any]:
    """Book an appointment at a free time, once the caller has agreed to it and their name is confirmed."""
    booking = await call.store.book(
        name=name.strip(), start=_moment(start), reason=reason, phone=call.caller, key=call.key
    )
    call.outcome.update(result="booked", name=booking.name, start=start, reference=booking.reference)
    return {"booked": True, "name": booking.name, "start": start, "reference": booking.reference}


@tool
async def cancel_appointment(call: CallContext, name: LastName, start: Start) -> dict[str, Any]:
    """Cancel an appointment by the name it was made under, its day and time, after the caller has confirmed them."""
    booking = await call.store.cancel(name=name.strip(), start=_moment(start), key=call.key)
    call.outcome.update(result="cancelled", name=booking.name, start=start, reference=booking.reference)
    return {"cancelled": True, "name": booking.name, "start": start}


@tool(filler="One moment, I am writing that down.")
async def take_message(
    call: CallContext,
    name: Annotated[str, about("who the message is from", min_length=1, max_length=80)],
    message: Annotated[str, about("in the caller's words", min_length=1, max_length=1000)],
    callback: Annotated[str, about("number to ring back, if the caller gave another one", max_length=40)] = "",
) -> str:
    """Write down a message for the office. Read it back first."""
    if not message.strip() or not name.strip():
        raise ToolError("The message or the name is empty; ask the caller.")
    try:
        await call.store.add_message(name=name.strip(), text=message, phone=callback or call.caller, key=call.key)
    except BackendDown as down:
        raise ToolError(
            "The message could not be saved. Say so, and ask the caller to call again, or put them through."
        ) from down
    call.outcome.update(result="message", name=name.strip())
    return "Saved. Tell the caller that someone will ring back."


@tool
async def end_call(reason: Reason) -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason=reason)


def _moment(start: str) -> datetime:
    """A local start as the schema has it."""
    try:
        return datetime.fromisoformat(start)
    except ValueError as wrong:
        raise ToolError(f"There is no such day or time: {start!r}. Take a start from free_slots.") from wrong


mode = Mode(
    name="receptionist",
    prompt="receptionist.md",
    first_turn=[put_through],
    tools=[put_through, opening_hours, free_slots, book_appointment, cancel_appointment, take_message, end_call],
    opening="(A caller is on the line. Greet them in one short sentence with the office's name, say that you are its digital "
    "assistant, and ask how you can help.)",
    outcome=Reception,
)
