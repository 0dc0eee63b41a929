"""What `./offhook new-mode NAME --flow` writes: a menu of states, by voice or key, that works by keys alone too."""

MODE = '''"""{title}: a menu by voice or key: a call back, or a person."""

from typing import Annotated, Any, Literal

import msgspec

from app.mode import (
    CallContext,
    Digits,
    Disclosure,
    EndCall,
    Flow,
    Go,
    Mode,
    PhoneNumber,
    State,
    Transfer,
    about,
    tool,
)


class Outcome(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "callback", "transferred"] = "none"
    callback: str = ""


@tool
async def put_through(desk: Annotated[str, about("name of the desk", max_length=40)]) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    return Transfer(to=desk, reason="the caller asked for a person", outcome={{"result": "transferred"}})


@tool(filler="One moment, I am writing that down.")
async def request_callback(call: CallContext, number: PhoneNumber) -> dict[str, Any]:
    """Have the office call the caller back at this number, after it was typed or read back."""
    await call.store.add_message(name="telephone menu", text="Please call back.", phone=number.value, key=call.key)
    call.outcome.update(result="callback", callback=number.value)
    return {{"saved": True, "say": f"Somebody will call you back at {{' '.join(number.value.removeprefix('+'))}}."}}


@tool
async def end_call() -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason="said goodbye")


PERSON = "desk:reception"  # a desk of offhook.toml; if it is not there, its first one is taken
PUT_THROUGH = {{"result": "transferred"}}
ALWAYS = [
    Go(to=PERSON, key="0", outcome=PUT_THROUGH),
    Go(to=PERSON, intent="talk to a person", outcome=PUT_THROUGH),
    Go(to=PERSON, failures=3, outcome=PUT_THROUGH),
]

flow = Flow(
    start="menu",
    states=[
        State(
            name="menu",
            says="Ask whether the caller wants to be called back or to talk to a person.",
            menu="{{office}}. To be called back, press 1. For a person, press 0.",
            go=[Go(to="callback", key="1"), Go(to="callback", intent="be called back"), *ALWAYS],
        ),
        State(
            name="callback",
            says="Ask for the number to call back, said or typed and ended with the pound key; read it back, then "
            "`request_callback`.",
            menu="Please enter the number to call you back at, then press pound. To go back, press star, then pound.",
            tools=[request_callback],
            digits=Digits(tool="request_callback", argument="number", max_digits=15),
            go=[
                Go(to="done", tool="request_callback", when={{"saved": True}}),
                Go(to="menu", key="*"),
                Go(to="menu", correction=True),
                *ALWAYS,
            ],
        ),
        State(
            name="done",
            says="Tell the caller what the tool says, then ask whether there is anything else.",
            menu="If that is all, press 1 or hang up. For a person, press 0.",
            go=[Go(to="end", key="1"), Go(to="end", intent="nothing else, goodbye"), *ALWAYS],
        ),
    ],
)

mode = Mode(
    name="{name}",
    prompt="{name}.md",
    first_turn=[put_through],
    tools=[put_through, end_call],
    outcome=Outcome,
    flow=flow,
    disclosure=Disclosure(),
)
'''

PROMPT = """You are the digital assistant of the telephone menu at {{ office.name }}. Be friendly and very brief.

# How the menu works
- You are always in one place of the menu; a note tells you which, and what to ask there.
- The caller may say what they want or press a key. As soon as it is clear, tell it by the tool for choices.
- Digits are typed and ended with the pound key, or said: then read them back, and use them only once agreed to.
- A person: `put_through`, whenever asked.
"""

SCRIPT = """# A caller asks to be called back and types a number. Every line here is recorded; docs/rehearsals.md has the rest.

title = "Asks to be called back"
mode = "{name}"

[caller]
number = "{number}"
voice = "ben"

[[turn]]
agent = "You are speaking with an AI assistant. Thank you for calling. How can I help you today?"

[[turn]]
caller = "Please call me back."
tools = [{{ name = "choose", arguments = {{ intent = "be called back", confidence = 0.9 }} }}]
agent = "Please enter your number, then press pound."

[[turn]]                   # the house gives what was typed to the tool; the agent says what came of it
keys = "4155550133#"
agent = "Somebody will call you back. Is there anything else?"

[[turn]]
caller = "No, that is all. Thank you, goodbye."
preamble = "Thank you for calling. Goodbye."
tools = [{{ name = "end_call", arguments = {{}} }}]

[expect]
ended_by = "agent"
outcome = {{ kind = "{name}", valid = true, fields = {{ result = "callback", callback = "+14155550133" }} }}
tools = ["choose:ok", "request_callback:ok", "end_call:ok"]
"""

TEST = '''def greeted(rehearse: Callable[..., Rehearsal]) -> Rehearsal:
    """A call whose greeting was heard."""
    call = rehearse(mode)
    call.rings()
    call.agent_says("Hello, how can I help you?", ms=1500)
    call.waits(ms=1600)
    return call


def test_a_caller_presses_and_types_a_number_and_is_called_back(rehearse: Callable[..., Rehearsal]) -> None:
    call = greeted(rehearse)
    call.caller_presses("1")
    assert call.record.flow_state == "callback"
    call.agent_says("Please enter your number, then press pound.", ms=1500)
    call.caller_presses("4155550133#")
    call.waits(ms=100)
    assert call.outcome == {{"result": "callback", "callback": "+14155550133"}}
    assert call.record.flow_state == "done"
    call.agent_says("Somebody will call you back.", ms=1500)
    call.waits(ms=1600)
    call.caller_says("Thank you, goodbye.")
    call.model_calls("end_call", saying="Goodbye.", ms=800)
    assert call.did(HangUp)


def test_0_is_a_person_at_once(rehearse: Callable[..., Rehearsal]) -> None:
    call = greeted(rehearse)
    call.caller_presses("0")
    assert call.did(PutThrough).to == "reception"


def test_a_wish_that_is_clear_leads_on_and_one_that_is_not_is_asked_again(rehearse: Callable[..., Rehearsal]) -> None:
    call = greeted(rehearse)
    call.caller_says("Um, well, you know.")
    call.model_calls("choose", intent="be called back", confidence=0.3)
    assert call.record.flow_state == "menu"
    call.agent_says("Shall somebody call you back?", ms=1200)
    call.waits(ms=1300)
    call.caller_says("Yes, please call me back.")
    call.model_calls("choose", intent="be called back", confidence=0.9)
    assert call.record.flow_state == "callback"
'''
