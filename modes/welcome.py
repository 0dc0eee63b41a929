"""Welcome: tells the hours and puts callers through, in a voice of ElevenLabs'. Without a key it speaks in the model's own."""

from typing import Annotated, Any, Literal

import msgspec

from app.mode import CallContext, Disclosure, ElevenLabs, EndCall, Mode, ToolError, Transfer, about, tool


class Welcomed(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "answered", "transferred"] = "none"


@tool
async def put_through(call: CallContext, desk: Annotated[str, about("name of the desk", max_length=40)]) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    office = call.office
    if desk not in office.desks:
        raise ToolError(f"There is no desk {desk!r}; there are: {', '.join(sorted(office.desks))}.")
    if not office.desk_open(office.desks[desk], call.now):
        raise ToolError(f"Nobody is at {desk} now. Say so, and tell the hours.")
    return Transfer(to=desk, reason="the caller asked for a person", outcome={"result": "transferred"})


@tool
async def opening_hours(call: CallContext) -> dict[str, Any]:
    """Tell when the office is open."""
    call.outcome.setdefault("result", "answered")
    return {name: f"{hours.opens:%H:%M} to {hours.closes:%H:%M}" for name, hours in call.office.hours.items()}


@tool
async def end_call() -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason="said goodbye")


mode = Mode(
    name="welcome",
    prompt="welcome.md",
    first_turn=[put_through],
    tools=[put_through, opening_hours, end_call],
    opening="(A caller is on the line. Greet them in one short sentence with the office's name, and ask how you can help.)",
    outcome=Welcomed,
    disclosure=Disclosure(ai=True, when="always"),
    voice=ElevenLabs(voice_id="21m00Tcm4TlvDq8ikWAM", language="en"),
)
