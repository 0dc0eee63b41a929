"""IVR: a menu by voice or key, nested, dependent on the hours. 0 is always a person, and so are three failures."""

from typing import Annotated, Any, Literal

import msgspec

from app.mode import (
    BackendDown,
    CallContext,
    Digits,
    Disclosure,
    EndCall,
    Flow,
    Go,
    Mode,
    PhoneNumber,
    State,
    ToolError,
    Transfer,
    about,
    tool,
)

PERSON = "desk:reception"
BILLING = "desk:billing"
TRIES = 3
PUT_THROUGH = {"result": "transferred"}


class Choice(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "answered", "noted", "callback", "transferred"] = "none"
    account: str = ""
    """The account number that was typed or said."""
    callback: str = ""
    """The number to ring back, E.164."""
    reference: str = ""
    """Of the note that the office got."""


Number = Annotated[str, about("digits only, as typed or read back to the caller", pattern=r"^\d{4,15}$")]


@tool
async def put_through(
    call: CallContext,
    desk: Annotated[str, about("name of the desk", min_length=1, max_length=40)],
    reason: Annotated[str, about("in a few words", max_length=200)],
) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    if desk not in call.office.desks:
        raise ToolError(f"There is no desk {desk!r}; there are: {', '.join(sorted(call.office.desks))}.")
    return Transfer(to=desk, reason=reason, outcome=PUT_THROUGH)


@tool
async def opening_hours(call: CallContext) -> dict[str, Any]:
    """Tell when the office is open, and whether it is open now."""
    if call.outcome.get("result", "none") == "none":
        call.outcome["result"] = "answered"
    week = {day: f"{hours.opens:%H:%M} to {hours.closes:%H:%M}" for day, hours in call.office.hours.items()}
    return {"open_now": call.open_now, "hours": week}


@tool(filler="One moment, I am passing that on.")
async def note_account(call: CallContext, number: Number) -> dict[str, Any]:
    """Pass the caller's account number on to billing. Accounts cannot be looked up on this line: say so."""
    reference = await _note(call, f"A caller asks about account {number}.", call.caller)
    call.outcome.update(result="noted", account=number, reference=reference)
    answer = (
        "Somebody will call you back." if call.caller else "Your own number is withheld, so nobody can call you back."
    )
    return {
        "passed_on": True,
        "found": False,
        "say": f"I cannot look up accounts on this line. I have passed account {_spelled(number)} on to billing. {answer}",
    }


@tool(filler="One moment, I am writing that down.")
async def request_callback(call: CallContext, number: PhoneNumber) -> dict[str, Any]:
    """Have the office call the caller back at this number, after it was typed or read back."""
    reference = await _note(call, "Please call back: asked for in the menu.", number.value)
    call.outcome.update(result="callback", callback=number.value, reference=reference)
    return {"saved": True, "say": f"Somebody will call you back at {_spelled(number.value.removeprefix('+'))}."}


@tool
async def end_call(reason: Annotated[str, about("in a few words", max_length=200)]) -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason=reason)


async def _note(call: CallContext, text: str, phone: str) -> str:
    """Keep a note for the office; its reference."""
    try:
        return await call.store.add_message(name="telephone menu", text=text, phone=phone, key=call.key)
    except BackendDown as down:
        raise ToolError("It could not be saved, so nobody will see it. Say so, and offer a person instead.") from down


def _spelled(number: str) -> str:
    """Digit by digit, so that nobody hears "four hundred thousand"."""
    return " ".join(number)


def _choice(to: str, key: str, wish: str) -> list[Go]:
    """One entry of a menu: the same way by key and by voice."""
    outcome = PUT_THROUGH if to in (PERSON, BILLING) else {}
    return [Go(to=to, key=key, outcome=outcome), Go(to=to, intent=wish, outcome=outcome)]


def _always(state: str, back: str = "") -> list[Go]:
    """What holds in every state: repeat, back, a person by 0, by voice, and after three failures."""
    again = _choice(state, "9", "hear this again")
    up = [*_choice(back, "*", "go back"), Go(to=back, correction=True)] if back else []
    return [*again, *up, *_choice(PERSON, "0", "talk to a person"), Go(to=PERSON, failures=TRIES, outcome=PUT_THROUGH)]


CHOICES = [
    *_choice("hours", "1", "opening hours"),
    *_choice("callback", "2", "be called back"),
    *_choice("billing", "3", "invoices and payments"),
]
BY_KEY = "For opening hours, press 1. To be called back, press 2. For billing, press 3. For a person, press 0."
AGAIN = "To go back, press star. To hear this again, press 9. For a person, press 0."

flow = Flow(
    start="main",
    start_closed="closed",
    states=[
        State(
            name="main",
            says="Main menu: ask what the caller wants: opening hours, a call back, billing, or a person.",
            menu=f"{{office}}, the automatic menu. {BY_KEY}",
            go=[*CHOICES, *_always("main")],
        ),
        State(
            name="closed",
            says="The office is closed: say so, and ask what the caller wants: opening hours, a call back, billing, or a person.",
            menu=f"{{office}}, the automatic menu. We are closed right now. {BY_KEY}",
            go=[*CHOICES, *_always("closed")],
        ),
        State(
            name="hours",
            says="Look with `opening_hours` and tell the hours; then ask whether there is anything else.",
            menu=f"We are open {{hours}}. {AGAIN}",
            go=_always("hours", back="main"),
        ),
        State(
            name="billing",
            says="Billing: ask whether it is about an account, whose number you can pass on, or for somebody in billing.",
            menu=f"For an account, press 1. For somebody in billing, press 2. {AGAIN}",
            go=[
                *_choice("account", "1", "an account or an invoice"),
                *_choice(BILLING, "2", "somebody in billing"),
                *_always("billing", back="main"),
            ],
        ),
        State(
            name="account",
            says="Ask for the account number, said or typed and ended with the pound key; read it back, then `note_account`.",
            menu="Please enter your account number, then press pound. To go back, press star, then pound.",
            tools=[note_account],
            digits=Digits(tool="note_account", argument="number", max_digits=15),
            go=[Go(to="done", tool="note_account"), *_always("account", back="billing")],
        ),
        State(
            name="callback",
            says="Ask for the number to call back, said or typed and ended with the pound key; read it back, then "
            "`request_callback`.",
            menu="Please enter the number to call you back at, then press pound. To go back, press star, then pound.",
            tools=[request_callback],
            digits=Digits(tool="request_callback", argument="number", max_digits=15),
            go=[Go(to="done", tool="request_callback"), *_always("callback", back="main")],
        ),
        State(
            name="done",
            says="Tell the caller what the tool says, then ask whether there is anything else.",
            menu="If that is all, press 1 or hang up. For the main menu, press star. For a person, press 0.",
            go=[*_choice("end", "1", "nothing else, goodbye"), *_always("done", back="main")],
        ),
    ],
)

mode = Mode(
    name="ivr",
    prompt="ivr.md",
    first_turn=[put_through],
    tools=[put_through, opening_hours, end_call],
    opening="(A caller is on the line. In one or two short sentences: the office's name, that you are its digital assistant, "
    "and what you can do: opening hours, a call back, billing, or a person.)",
    outcome=Choice,
    flow=flow,
    disclosure=Disclosure(ai=True),
)
