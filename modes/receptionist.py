"""Receptionist: answers the front desk, tells hours, books and cancels, takes messages, puts callers through."""

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from app.mode import (
    BackendDown,
    CallContext,
    Confirmed,
    Disclosure,
    EndCall,
    Mode,
    PersonName,
    PhoneNumber,
    ToolError,
    Transfer,
    about,
    tool,
)

SLOTS_OFFERED = 8
DAYS_AHEAD = 366
NAME_TRIES = 2
"""How many names a caller may give that the books do not know by their number: nobody finds out by guessing."""
NAME = re.compile(r"[^\W\d_]+(?:[ .'’-]{1,2}[^\W\d_]+)*\.?")
"""What is a name, and not a text that somebody left in its place."""
MAX_NAME = 80

# Booking and taking a message read everything back in the talk itself; only giving an appointment back, which cannot be undone,
# has the house ask once more (`writes`).

# What tools note in `call.outcome` for each other; a key that is no field of `Reception` is not kept.
BOOKED_AT, TRIED, NO_NUMBER = "_booked_at", "_tried", "_no_number"


class Reception(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "answered", "booked", "cancelled", "message", "transferred"] = "none"
    name: str = ""
    start: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d)?$")] = ""
    reference: str = ""
    recognised: bool = False
    """The caller gave a name that this number has called under before."""
    texted: bool = False
    """The carrier took a confirmation of the appointment."""


Day = Annotated[date, about("the day, as YYYY-MM-DD")]
Start = Annotated[
    str,
    about(
        "day and time as YYYY-MM-DDTHH:MM, local, exactly as free_slots gave it", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d$"
    ),
]
LastName = Annotated[PersonName, about("last name, spelled back to the caller")]
Desk = Annotated[str, about("name of the desk", min_length=1, max_length=40)]
Reason = Annotated[str, about("in a few words", max_length=200)]


@tool
async def put_through(call: CallContext, desk: Desk, reason: Reason) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    office = call.office
    if desk not in office.desks:
        raise ToolError(f"There is no desk {desk!r}; there are: {', '.join(sorted(office.desks))}.")
    if not office.desk_open(office.desks[desk], call.now):
        opens = office.desk_opens(office.desks[desk], call.now)
        others = sorted(name for name, other in office.desks.items() if office.desk_open(other, call.now))
        instead = f"an open desk ({', '.join(others)}), " if others else ""
        raise ToolError(
            f"Nobody is at {desk} now, until {opens:%A %H:%M}. Say so, and offer {instead}a message or an appointment."
        )
    return Transfer(
        to=desk,
        reason=reason,
        outcome={"result": "transferred"},
        caller_name=call.outcome.get("name", ""),
        promised=_promised(call.outcome),
    )


@tool
async def opening_hours(call: CallContext, day: Day | None = None) -> dict[str, Any]:
    """Tell when the office is open: on one day, or in the whole week."""
    office = call.office
    call.outcome.setdefault("result", "answered")
    if day is not None:
        hours = office.hours_on(day)
        return {"day": day.isoformat(), "open": f"{hours.opens:%H:%M} to {hours.closes:%H:%M}" if hours else "closed"}
    return {name: f"{hours.opens:%H:%M} to {hours.closes:%H:%M}" for name, hours in office.hours.items()}


@tool
async def known_name(
    call: CallContext, name: Annotated[PersonName, about("last name, as the caller just gave it")]
) -> dict[str, Any]:
    """Look up whether a caller of this name has called from this number before. If so, they need not spell it."""
    if call.caller_turns == 0:
        raise ToolError("The caller has not said anything yet; ask for their name.")
    # The number may be forged: only a name that the caller gave comes back, and a number nobody knows sounds the same.
    unknown = {"known": False, "next": "Have the name spelled."}
    tried = call.outcome.setdefault(TRIED, [])
    if _plain(name.value) not in tried:
        if len(tried) >= NAME_TRIES:
            return unknown
        tried.append(_plain(name.value))
    try:
        on_record = await call.store.names_under(call.caller) if call.caller else []
    except BackendDown:
        return unknown
    found = next((spelled for kept in on_record if (spelled := _same(kept, name.value))), "")
    if not found:
        return unknown
    call.outcome.update(recognised=True, name=found)
    return {"known": True, "name": found}


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


@tool(filler="One moment please.")
async def book_appointment(call: CallContext, name: LastName, start: Start, reason: Reason) -> dict[str, Any]:
    """Book an appointment at a free time, once the caller has agreed to it and their name is confirmed."""
    booking = await call.store.book(
        name=name.value, start=_moment(start), reason=reason, phone=call.caller, key=call.key
    )
    call.outcome.update(result="booked", name=name.value, start=start, reference=booking.reference, texted=False)
    call.outcome[BOOKED_AT] = call.caller_turns
    return {"booked": True, "name": name.value, "start": start, "reference": booking.reference}


@tool(filler="One moment please.")
async def text_confirmation(call: CallContext) -> str:
    """Text the caller the appointment just booked, once you asked whether they want that and they said yes."""
    noted = call.outcome
    if noted.get("result") != "booked":
        raise ToolError("No appointment was booked in this call; there is nothing to confirm.")
    if call.caller_turns <= noted.get(BOOKED_AT, 0):
        raise ToolError(
            "Nothing was sent: ask the caller first whether they want a text; call this again if they say yes."
        )
    start = _moment(noted["start"])
    await call.text(
        f"{call.office.name}: your appointment is on {start:%A, %B} {start.day} at {start:%H:%M}. "
        f"Reference {noted['reference']}. Reply STOP to get no more texts."
    )
    noted["texted"] = True
    return "Sent to the number that the caller calls from."


@tool(writes=True)
async def cancel_appointment(call: CallContext, name: LastName, start: Start) -> dict[str, Any]:
    """Cancel an appointment by the name it was made under, its day and time, after the caller has confirmed them."""
    booking = await call.store.cancel(name=name.value, start=_moment(start), key=call.key)
    call.outcome.update(result="cancelled", name=name.value, start=start, reference=booking.reference)
    return {"cancelled": True, "name": name.value, "start": start}


@tool(filler="One moment please.", deadline_seconds=5)
async def take_message(
    call: CallContext,
    name: Annotated[PersonName, about("who the message is from")],
    message: Annotated[str, about("in the caller's words", min_length=1, max_length=1000)],
    callback: Annotated[Confirmed[PhoneNumber] | None, about("to ring back, if the caller gave another number")] = None,
) -> str:
    """Write down a message for the office. Read it back first."""
    if not message.strip():
        raise ToolError("The message is empty; ask the caller.")
    if not callback and not call.caller and not call.outcome.get(NO_NUMBER):
        call.outcome[NO_NUMBER] = True
        raise ToolError(
            "The caller's number is withheld: ask for one to ring back. If they give none, call this again without."
        )
    phone = callback.value if callback else call.caller
    try:
        await call.store.add_message(name=name.value, text=message, phone=phone, key=call.key)
    except BackendDown as down:
        raise ToolError(
            "The message could not be saved. Say so, and ask the caller to call again, or put them through."
        ) from down
    call.outcome.update(result="message", name=name.value)
    return "Saved. Tell the caller that someone will ring back."


@tool
async def end_call(reason: Reason) -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason=reason)


def _promised(outcome: dict[str, Any]) -> str:
    """What the person at the desk should know was promised to the caller in this call."""
    match outcome.get("result"):
        case "booked":
            return f"an appointment on {_moment(outcome['start']):%A at %H:%M}"
        case "message":
            return "that somebody rings back"
    return ""


def _moment(start: str) -> datetime:
    """A local start as the schema has it."""
    try:
        return datetime.fromisoformat(start)
    except ValueError as wrong:
        raise ToolError(f"There is no such day or time: {start!r}. Take a start from free_slots.") from wrong


def _plain(name: str) -> str:
    """A name as it compares: without case, accents, marks and doubled spaces."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return " ".join(re.sub(r"[^\w\s]", "", letters).split())


def _same(kept: str, given: str) -> str:
    """A name on record, or the last word of it, if it is the one that was given; else empty."""
    kept = " ".join(kept.split())
    if len(kept) > MAX_NAME or not NAME.fullmatch(kept):
        return ""
    last = kept.rsplit(" ", 1)[-1]
    plain = _plain(given)
    if plain and plain == _plain(kept):
        return kept
    return last if plain and plain.rsplit(" ", 1)[-1] == _plain(last) else ""


mode = Mode(
    name="receptionist",
    prompt="receptionist.md",
    first_turn=[put_through],
    tools=[
        put_through,
        opening_hours,
        free_slots,
        known_name,
        book_appointment,
        text_confirmation,
        cancel_appointment,
        take_message,
        end_call,
    ],
    opening="(A caller is on the line. Greet them in one short sentence with the office's name, and ask how you can help.)",
    outcome=Reception,
    disclosure=Disclosure(ai=True, when="always"),
)
