"""What `./offhook new-mode NAME` writes: a talk with tools that takes messages and puts callers through."""

MODE = '''"""{title}: answers the phone, takes messages, puts callers through."""

from typing import Annotated, Literal

import msgspec

from app.mode import CallContext, Disclosure, EndCall, Mode, ToolError, Transfer, about, tool


class Outcome(msgspec.Struct):
    """What came of the call."""

    result: Literal["none", "message", "transferred"] = "none"
    name: str = ""


@tool
async def put_through(call: CallContext, desk: Annotated[str, about("name of the desk")]) -> Transfer:
    """Connect the caller to a person, as soon as they ask for one."""
    return Transfer(to=desk, reason="the caller asked for a person", outcome={{"result": "transferred"}})


@tool(filler="One moment, I am writing that down.")
async def take_message(
    call: CallContext,
    name: Annotated[str, about("who the message is from", min_length=1, max_length=80)],
    message: Annotated[str, about("in the caller's words", min_length=1, max_length=1000)],
) -> str:
    """Write down a message for the office. Read it back first."""
    if not message.strip():
        raise ToolError("The message is empty; ask the caller what to pass on.")
    await call.store.add_message(name=name, text=message, phone=call.caller, key=call.key)
    call.outcome.update(result="message", name=name)
    return "Saved. Tell the caller that someone will ring back."


@tool
async def end_call(call: CallContext) -> EndCall:
    """End the call, after you and the caller have said goodbye."""
    return EndCall(reason="said goodbye")


mode = Mode(
    name="{name}",
    prompt="{name}.md",
    first_turn=[put_through],
    tools=[put_through, take_message, end_call],
    outcome=Outcome,
    disclosure=Disclosure(),
)
'''

PROMPT = """You answer the phone at {{ office.name }} as its digital assistant. Be warm, brisk and clear.

# What you do
- Messages for the office: `take_message`, after you read them back.
- A person: `put_through`, as soon as the caller asks.
"""

SCRIPT = """# A caller leaves a message. Every line here is recorded; `docs/rehearsals.md` tells which others are.

title = "Leaves a message"
mode = "{name}"

[caller]
number = "{number}"
voice = "ben"

[[turn]]
agent = "You are speaking with an AI assistant. Thank you for calling. How can I help you today?"

[[turn]]
caller = "Please call me back about my invoice. My name is Baker."
tools = [{{ name = "take_message", arguments = {{ name = "Baker", message = "Please call me back about my invoice." }} }}]
agent = "I have written that down. Is there anything else?"

[[turn]]
caller = "No, that is all. Thank you, goodbye."
preamble = "Thank you for calling. Goodbye."
tools = [{{ name = "end_call", arguments = {{}} }}]

[expect]
ended_by = "agent"
outcome = {{ kind = "{name}", valid = true, fields = {{ result = "message", name = "Baker" }} }}
tools = ["take_message:ok", "end_call:ok"]
"""

TEST = """def test_a_caller_leaves_a_message_and_says_goodbye(rehearse: Callable[..., Rehearsal]) -> None:
    call = rehearse(mode)
    call.rings()
    call.agent_says("Hello, how can I help you?", ms=1500)
    call.waits(ms=1600)

    call.caller_says("Please call me back. My name is Baker.")
    call.model_calls("take_message", name="Baker", message="Please call me back.")
    assert call.outcome == {{"result": "message", "name": "Baker"}}

    call.agent_says("I have written that down.", ms=1500)
    call.waits(ms=1600)
    call.caller_says("Thank you, goodbye.")
    call.model_calls("end_call", saying="Goodbye.", ms=800)
    assert call.did(HangUp)


def test_a_caller_is_put_through(rehearse: Callable[..., Rehearsal]) -> None:
    call = rehearse(mode)
    call.rings()
    call.agent_says("Hello, how can I help you?", ms=1500)
    call.waits(ms=1600)
    call.caller_says("Billing, please.")
    call.model_calls("put_through", saying="One moment please.", ms=900, desk="billing")
    assert call.did(PutThrough).to == "billing"
"""

PROMPT_END = """\
  Desks:{% for desk in office.desks.values() %} {{ desk.name }} ({{ desk.about }}){{ "," if not loop.last else "." }}{% endfor %}

- When the caller is done, say goodbye and call `end_call`.
"""
"""How both kinds of prompt end: whom there is, and how to leave."""
TEST_HEAD = '''"""Calls in the mode {name}, as they would be overheard."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from collections.abc import Callable

from app.core.effects import HangUp, PutThrough
from modes.{name} import mode
from tests.modes.rehearsal_table import Rehearsal


'''
"""How both kinds of test begin."""
