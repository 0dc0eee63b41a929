"""Followup: calls somebody after a visit or an order, asks how it went, and writes down what they say."""

from typing import Annotated, Literal

import msgspec

from app.mode import BackendDown, CallContext, Disclosure, EndCall, Mode, ToolError, Transfer, about, tool


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What a call is asked for with."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    about: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """What they had, as one would say it: "your filling on Tuesday"."""
    question: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Asked besides how it went."""


class FollowedUp(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "answered", "wrong_person", "not_now", "do_not_call", "transferred"] = "none"
    went: Literal["", "well", "mixed", "badly"] = ""
    said: str = ""
    """In their words."""
    ring_back: bool = False
    """They want a person to call; it is among the office's messages."""
    do_not_call: bool = False


Reason = Annotated[str, about("in a few words", max_length=200)]
DeskName = Annotated[str, about("name of the desk", min_length=1, max_length=40)]
Words = Annotated[str, about("what they said, in their words", min_length=1, max_length=1000)]


@tool
async def note_answer(
    call: CallContext,
    went: Annotated[Literal["well", "mixed", "badly"], about("how it went, as they tell it")],
    said: Words,
) -> str:
    """Write down how it went, once they have told you. Called again, it replaces what was written."""
    _spoken(call)
    if not said.strip():
        raise ToolError("There is nothing to write down; ask them.")
    call.outcome.update(result="answered", went=went, said=said.strip())
    if went == "well":
        return "Written down. Thank them."
    return "Written down. Say that you are sorry, and offer that somebody from the office calls them."


@tool(filler="One moment please.", deadline_seconds=5)
async def ask_to_ring_back(call: CallContext, message: Words) -> str:
    """Have somebody from the office call them, because they want that."""
    _spoken(call)
    try:
        name = str(call.fields.get("name") or "somebody who was called")
        await call.store.add_message(name=name, text=message.strip(), phone=call.caller, key=call.key)
    except BackendDown as down:
        raise ToolError("It could not be written down. Say so, and ask them to call the office.") from down
    call.outcome["ring_back"] = True
    return "Written down. Tell them that somebody will call."


@tool
async def not_now(call: CallContext) -> str:
    """Note that they have no time, or do not want to answer."""
    call.outcome["result"] = "not_now"
    return "Noted. Thank them, and say goodbye."


@tool
async def wrong_person(call: CallContext) -> str:
    """Note that this is not the person's number, or that they cannot come to the phone. Nothing of the visit is told."""
    call.outcome["result"] = "wrong_person"
    return "Noted. Apologise, say goodbye and end the call; tell nothing of why you called."


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
        raise ToolError(f"Nobody is at {desk} now. Say so, and offer that somebody calls them.")
    return Transfer(
        to=desk, reason=reason, outcome={"result": "transferred"}, caller_name=str(call.fields.get("name", ""))
    )


@tool
async def end_call(reason: Reason) -> EndCall:
    """End the call, after you and they have said goodbye."""
    return EndCall(reason=reason)


def _spoken(call: CallContext) -> None:
    if call.caller_turns == 0:
        raise ToolError("Nobody has said anything yet; wait for them.")


mode = Mode(
    name="followup",
    prompt="followup.md",
    asks=Visit,
    opening="",
    first_turn=[put_through, wrong_person, never_call_again],
    tools=[note_answer, ask_to_ring_back, not_now, wrong_person, never_call_again, put_through, end_call],
    outcome=FollowedUp,
    completes=["went", "said"],
    disclosure=Disclosure(ai=True, when="always"),
)
