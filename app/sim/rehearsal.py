"""Rehearsal: one phone call by a script, against a running server, and the judgement of what came of it.

The carrier stand-in dials the server's real doors; the caller keeps to the script; if the model is our stand-in, it is told the
script over its control door. What was said and done is read from the server's own books, what was heard from the caller's ear.
"""

import asyncio
import json
import time
from datetime import date
from statistics import median

import msgspec
from websockets.asyncio.client import connect

from app.adapters.store import Call, CallStore
from app.core.record import Outcome, ToolCall, Turn
from app.errors import SetupError
from app.sim.agent_turns import TimingCaller
from app.sim.caller import Stretch
from app.sim.carrier import Carrier
from app.sim.carrier_call import CarrierCall
from app.sim.carrier_numbers import PhoneNumber
from app.sim.script import Script, render
from app.sim.voices import say

CALL_SECONDS = 180.0
BOOKS_SECONDS = 5.0
LOOK_SECONDS = 0.15
VERB_SPEED = 10.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The server to call. `url` is where it is, `public_url` what it believes to be; `model`: our stand-in, if it has one."""

    url: str
    public_url: str
    auth_token: str
    account_sid: str
    model: str = ""
    phone_number: str = ""
    """The account's own number, if the server is configured with one: the caller id of its transfers."""


class Turnaround(msgspec.Struct, frozen=True, kw_only=True):
    """How long the caller waited for an answer: last word to first sound. `cut_ms`: how long the agent went on after a barge-in."""

    answered_ms: int | None
    cut_ms: int | None


class Report(msgspec.Struct, kw_only=True):
    """What came of a rehearsal. `faults` are sentences; none means that all expectations held."""

    script: str
    call_sid: str = ""
    seconds: float = 0.0
    ended_by: str = ""
    dials: int = 0
    greeting_ms: int | None = None
    turnarounds: list[Turnaround] = []
    agent_turns_ms: list[int] = []
    """What was heard of each of the agent's turns; the house's own clips are none."""
    agent_turn_median_ms: int | None = None
    call: Call | None = None
    turns: list[Turn] = []
    tool_calls: list[ToolCall] = []
    milestones: list[str] = []
    outcome: Outcome | None = None
    faults: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether everything was as the script wants it."""
        return not self.faults


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
    report = Report(script=name)
    carrier = Carrier(
        auth_token=target.auth_token,
        account_sid=target.account_sid,
        public_url=target.public_url,
        connect_to=target.url,
        numbers=[PhoneNumber(target.phone_number)] if target.phone_number else (),
        verb_speed=VERB_SPEED,
        keep_audio=False,
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
    )
    try:
        began = time.monotonic()
        call = await carrier.dial(
            from_number=number,
            to_number="+14155550199",
            line=caller,
            webhook=f"/twilio/incoming?mode={mode or script.mode}",
            dial_results=script.carrier.dial,
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
        if store:
            await _read_books(store, report, streams=len(call.streams))
        if reader:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        _measure(report, caller)
        _judge(report, script, caller, call, has_books=store is not None)
    finally:
        await carrier.close()
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
        report.milestones = [milestone.name for milestone in await store.milestones(report.call_sid)]
        if report.milestones.count("call_closed") >= streams or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    report.call = await store.call(report.call_sid)
    report.outcome = await store.outcome(report.call_sid)
    report.turns = await store.turns(report.call_sid)
    report.tool_calls = await store.tool_calls(report.call_sid)


def _measure(report: Report, caller: TimingCaller) -> None:
    """Latencies and lengths as the caller's ear has them."""
    report.agent_turns_ms = list(caller.agent_turns_ms)
    if report.agent_turns_ms:
        report.agent_turn_median_ms = round(median(report.agent_turns_ms))
    report.greeting_ms = caller.agent[0].start_ms if caller.agent else None
    for words in caller.spoke:
        answer = next((agent for agent in caller.agent if agent.start_ms > words.end_ms), None)
        cut = next((agent for agent in caller.agent if _overlaps(agent, words)), None)
        report.turnarounds.append(
            Turnaround(
                answered_ms=answer.start_ms - words.end_ms if answer else None,
                cut_ms=max(0, cut.end_ms - words.start_ms) if cut else None,
            )
        )


def _overlaps(agent: Stretch, words: Stretch) -> bool:
    return agent.start_ms < words.start_ms < agent.end_ms


def _judge(report: Report, script: Script, caller: TimingCaller, call: CarrierCall, *, has_books: bool) -> None:
    """Compare what came with what the script expects."""
    expect, faults = script.expect, report.faults
    if caller.impatient:
        faults.append("the caller heard nothing for 20 s and hung up")
    if call.log.codes():
        faults.append(f"expected a call without complaints of the carrier, got {call.log.codes()}")
    ragged = sum(stream.tally.ragged_media for stream in call.streams)
    if ragged:
        faults.append(f"expected audio in whole 20 ms frames, got {ragged} messages that are not")
    if expect.ended_by is not None and report.ended_by != expect.ended_by:
        faults.append(f"expected the call to be ended by the {expect.ended_by}, got {report.ended_by or 'nobody'}")
    if expect.dials is not None and report.dials != expect.dials:
        faults.append(f"expected {expect.dials} transfers, got {report.dials}")
    faults += pace_faults(report, script)
    if not has_books:
        return
    if report.call is None or report.call.ended_at is None:
        faults.append("expected a finished row in calls, found none")
    got = [f"{tool.name}:{tool.status}" for tool in report.tool_calls]
    if expect.tools is not None and got != expect.tools:
        faults.append(f"expected the tool calls {expect.tools}, got {got}")
    agent = [turn for turn in report.turns if turn.who == "agent"]
    short = [n for n, turn in enumerate(agent) if len(turn.heard_text) < len(turn.generated_text)]
    if expect.cut_short is not None and short != expect.cut_short:
        faults.append(f"expected the agent's turns {expect.cut_short} to be cut short, got {short}")
    lines = [turn.generated_text for turn in report.turns if turn.who == "caller" and turn.generated_text]
    if "" in lines:
        faults.append("expected every line of the caller's to be understood; one was not")
    if expect.outcome is not None:
        _judge_outcome(report, script)


def pace_faults(report: Report, script: Script) -> list[str]:
    """Whether the agent's turns are as long as people like to listen to, in the median: both ends are still good."""
    pace, got = script.expect.agent_turns, report.agent_turn_median_ms
    if got is None or pace.from_ms <= got <= pace.to_ms:
        return []
    return [
        f"expected agent turns of {pace.from_ms}-{pace.to_ms} ms in the median ({pace.reason}), got {got} ms "
        f"of {report.agent_turns_ms}; a script that means it says so in `expect.agent_turns`, with its reason"
    ]


def _judge_outcome(report: Report, script: Script) -> None:
    wanted, got = script.expect.outcome, report.outcome
    assert wanted is not None
    if got is None:
        report.faults.append("expected an outcome on record, found none")
        return
    if (got.kind, got.valid) != (wanted.kind, wanted.valid):
        report.faults.append(
            f"expected an outcome {wanted.kind} (valid: {wanted.valid}), got {got.kind} (valid: {got.valid})"
        )
    for field, value in wanted.fields.items():
        if got.fields.get(field) != value:
            report.faults.append(f"expected the outcome's {field} to be {value!r}, got {got.fields.get(field)!r}")
