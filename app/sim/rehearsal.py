"""Rehearsal: one phone call by a script, against a running server, and the judgement of what came of it.

The carrier stand-in dials the server's real doors; the caller keeps to the script; if the model is our stand-in, it is told the
script over its control door. What was said and done is read from the server's own books, what was heard from the caller's ear.
"""

import asyncio
import json
import time
from datetime import date

import msgspec
from websockets.asyncio.client import connect

from app.adapters.store import CallStore
from app.core.rows import ToolCall, Turn
from app.core.tool_calls import BEGUN
from app.errors import SetupError
from app.sim.agent_turns import TimingCaller
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.carrier_numbers import PhoneNumber
from app.sim.earlier import has_called_before
from app.sim.judgement import judge, measure
from app.sim.placing import Placing, Target
from app.sim.report import Report
from app.sim.script import Script
from app.sim.script_words import render
from app.sim.voices import say

CALL_SECONDS = 180.0
BOOKS_SECONDS = 5.0
LOOK_SECONDS = 0.15
VERB_SPEED = 10.0


class Watcher:
    """Is shown the call as it happens. Each method may do nothing."""

    def turn(self, turn: Turn) -> None:
        """A turn is settled: said, and heard as far as it was."""

    def tool(self, tool: ToolCall) -> None:
        """A tool came back."""

    def note(self, text: str) -> None:
        """Something on the line: a transfer, a hang-up."""


async def rehearse(
    name: str,
    script: Script,
    target: Target,
    *,
    today: date,
    store: CallStore | None,
    watcher: Watcher | None = None,
    mode: str = "",
    number: str = "",
) -> Report:
    """Make the call. store None: the books are out of reach, and only what the line shows is judged. Raises SetupError."""
    number = number or script.caller.number
    if target.model:
        await announce(target.model, script, number, today)
    if store and script.caller.known_as:
        await has_called_before(store, number, script.caller.known_as)
    report = Report(script=name, faulty_model=bool(script.model is not None and target.model))
    own = (
        None
        if script.outbound is not None
        else Carrier(
            auth_token=target.auth_token,
            account_sid=target.account_sid,
            public_url=target.public_url,
            connect_to=target.url,
            numbers=[PhoneNumber(target.phone_number)] if target.phone_number else (),
            verb_speed=VERB_SPEED,
            keep_audio=False,
        )
    )
    holder: list[CarrierCall] = []
    variables = script.variables(today)
    turns = [
        msgspec.structs.replace(turn, caller=render(turn.caller, variables) if turn.caller else "")
        for turn in script.turn
    ]
    caller = TimingCaller(
        turns,
        lambda text: say(text, script.caller.voice),
        press=lambda keys: holder[0].press(keys),  # noqa: PLW0108  the call is not there yet
        hang_up=lambda: holder[0].put_down(),  # noqa: PLW0108
        speaks_first=script.outbound is not None,
    )
    try:
        began = time.monotonic()
        placing = None
        if own is None:
            placing = Placing(script, target, store, number=number, mode=mode or script.mode, line=caller, today=today)
            call = await placing.ask()
        else:
            call = await own.dial(
                from_number=number,
                to_number="+14155550199",
                line=caller,
                webhook=f"/twilio/incoming?mode={mode or script.mode}",
                dial_results=script.carrier.dial,
                gathers=script.carrier.keys,
            )
        holder.append(call)
        report.call_sid = call.call_sid
        reader = asyncio.create_task(_show(store, call.call_sid, watcher)) if store and watcher else None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await call.finished()
        except TimeoutError:
            report.faults.append(f"expected the call to end within {CALL_SECONDS:g} s; it did not")
            await call.hang_up()
        report.seconds = round(time.monotonic() - began, 2)
        report.ended_by = "agent" if call.ended_by == "server" else call.ended_by
        report.dials = len(call.log.of("dial"))
        report.carrier_says = [entry.detail["text"] for entry in call.log.of("verb") if entry.detail["name"] == "Say"]
        if placing is not None:
            report.result = await placing.result()
        report.transfer_silence_ms = call.hearing.transfer_silence_ms()
        if store:
            await _read_books(store, report, streams=len(call.streams))
        if reader:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        measure(report, caller)
        judge(report, script, caller, call, has_books=store is not None)
    finally:
        if own is not None:
            await own.close()
    return report


async def announce(model: str, script: Script, number: str, today: date) -> None:
    """Tell the model stand-in who will call, and by which script. Raises SetupError if it will not have it."""
    control = model.rsplit("/v1/", 1)[0] + "/control"
    message = {"number": number, "script": msgspec.to_builtins(script), "today": today.isoformat()}
    try:
        async with connect(control, compression=None, proxy=None) as socket:
            await socket.send(json.dumps(message))
            answer = json.loads(await socket.recv())
    except OSError as wrong:
        raise SetupError(f"expected the model stand-in at {control}, got: {wrong}") from wrong
    if not answer.get("ok"):
        raise SetupError(f"the model stand-in does not take the script: {answer.get('error')}")


async def _show(store: CallStore, call_sid: str, watcher: Watcher) -> None:
    """Read the books while the call lasts, and show each turn and tool once it is settled, in order."""
    turns = tools = 0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for tool in (await store.tool_calls(call_sid))[tools:]:
            if tool.result == BEGUN:
                break
            watcher.tool(tool)
            tools += 1
        for turn in (await store.turns(call_sid))[turns:]:
            if not (turn.heard_text or turn.end_ms > turn.start_ms):
                break
            watcher.turn(turn)
            turns += 1


async def _read_books(store: CallStore, report: Report, *, streams: int) -> None:
    """Everything on record, once the server has written it: it does so in the background."""
    deadline = time.monotonic() + BOOKS_SECONDS
    while True:
        moments = await store.milestones(report.call_sid)
        report.milestones = [milestone.name for milestone in moments]
        by_keys = "menu_started" in report.milestones and not {"menu_ended", "dialled_completed"} & set(
            report.milestones
        )
        report.call = await store.call(report.call_sid)
        ended = report.call is not None and report.call.ended_at is not None
        closed = report.milestones.count("call_closed") >= streams if streams else ended
        dialled = sum(name.startswith("dialled_") for name in report.milestones) >= report.dials
        if (closed and dialled and not by_keys) or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    began = next((moment.at for moment in moments if moment.name == "stream_started"), None)
    called = [moment.at for moment in moments if moment.name == "tool_called"]
    report.tools_called_ms = [round((at - began).total_seconds() * 1000) for at in called] if began else []
    report.call = await store.call(report.call_sid)
    report.consents = await store.consents(report.call_sid)
    report.outcome = await store.outcome(report.call_sid)
    report.transfers = await store.transfers(report.call_sid)
    report.turns = await store.turns(report.call_sid)
    report.tool_calls = await store.tool_calls(report.call_sid)
