"""No word, number or secret in a log, though a tool crashes on what a caller said and the model's server repeats it."""

import asyncio
import json
import os
import re
from pathlib import Path

from app.settings import ROOT
from app.sim.model_faults import Faults
from app.sim.script import Script
from tests.calls.conversations import BYE, HOURS, OPEN, spoken
from tests.calls.foreign import TOKEN
from tests.calls.line import Line
from tests.calls.product import METRICS_TOKEN, PASSWORD, Product, new_number, product
from tests.sim.booking_script import script

KEY = "sk-canary-5e90aa71c3"
ZEBRA = "Zebedee Zorn of 12 Zebra Lane"
"""What the caller is said to have said."""
GREETING = "Thank you for calling Lakeside Dental. How can I help you today?"
MODES = """from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
"""
CLUMSY = """'''Clumsy: its tool crashes on what it is given, and says so.'''

from app.mode import CallContext, EndCall, Mode, tool


@tool
async def note(call: CallContext, name: str) -> str:
    '''Write down a name.'''
    try:
        return {}[name]
    except KeyError as wrong:
        raise ValueError(f"nobody knows {name}, who calls from {call.caller}") from wrong


@tool
async def end_call(reason: str) -> EndCall:
    '''Hang up.'''
    return EndCall(reason)


mode = Mode(name="clumsy", prompt="receptionist.md", first_turn=[end_call], tools=[end_call, note])
"""
BREAKS: dict[str, dict[str, object]] = {
    "complains": {"breaks_in": "word", "breaks_at": 2, "breaks_by": "server_error"},
    "closes": {"breaks_in": "word", "breaks_at": 2, "breaks_by": "1011"},
    "fails": {"fails_with": "server_error"},
}


def _talk(number: str) -> Script:
    return script(
        {"agent": GREETING},
        {
            "caller": HOURS,
            "tools": [{"name": "note", "arguments": {"name": ZEBRA}, "agent_if_error": OPEN}],
            "agent": OPEN,
        },
        {"caller": BYE, "preamble": "Goodbye.", "tools": [{"name": "end_call", "arguments": {"reason": ZEBRA}}]},
        number=number,
    )


async def _call(house: Product, number: str, broken: dict[str, object]) -> None:
    faults = Faults(**broken, says=f"cannot go on after: {ZEBRA}, {number}: {HOURS}", sessions=1)  # type: ignore[arg-type]
    house.model.register(_talk(number), number=number, faults=faults)
    line = Line()
    call = await house.dial(line, number, webhook="/twilio/incoming?mode=clumsy")
    await line.hears(1000)
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(1500)
    await line.hears_silence()
    line.say(spoken(BYE))
    await call.finished()
    await house.closed(call.call_sid)


async def test_neither_a_tool_that_crashes_nor_a_model_that_refuses_brings_a_word_into_the_log(tmp_path: Path) -> None:
    (tmp_path / "modes").mkdir()
    (tmp_path / "modes" / "__init__.py").write_text(MODES)
    (tmp_path / "modes" / "clumsy.py").write_text(CLUMSY)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    async with product(
        clean=False, OPENAI_API_KEY=KEY, LOG_LEVEL="debug", PYTHONPATH=path, PYTHONSAFEPATH="1"
    ) as house:
        numbers = [new_number() for _ in BREAKS]
        calls = [_call(house, number, broken) for number, broken in zip(numbers, BREAKS.values(), strict=True)]
        await asyncio.gather(*calls)
        log = house.log()
    for told in (
        "a tool failed",
        "ValueError",
        "KeyError",
        "clumsy.py",
        "the model complains",
        "server_error",
        "model lost",
    ):
        assert told in log, "what helps to mend it is there"
    assert all(json.loads(text) for text in log.splitlines())
    canaries = [KEY, TOKEN, METRICS_TOKEN, PASSWORD, ZEBRA, "Zebedee", "12 Zebra", GREETING, HOURS, OPEN, BYE, *numbers]
    canaries += [*(number[1:] for number in numbers), "opening hours", "Goodbye"]
    assert [canary for canary in canaries if canary.lower() in log.lower()] == []
    assert not re.search(r"\+\d{7,}", log), "nor anybody's number"
