"""Judgement: what a rehearsal came to, beside what its script expects; and how long the caller waited, by their own ear."""

import re
from statistics import median

from app.sim.agent_turns import TimingCaller
from app.sim.caller import Stretch
from app.sim.carrier_call import CarrierCall
from app.sim.report import Report, Turnaround
from app.sim.script import Script
from app.sim.truth import untrue

SILENCE_MS = 2000
"""Callers take a longer silence for a lost line."""


def measure(report: Report, caller: TimingCaller) -> None:
    """Latencies and lengths as the caller's ear has them."""
    report.agent_turns_ms = list(caller.agent_turns_ms)
    if report.agent_turns_ms:
        report.agent_turn_median_ms = round(median(report.agent_turns_ms))
    report.greeting_ms = caller.agent[0].start_ms if caller.agent and not caller.speaks_first else None
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


def judge(report: Report, script: Script, caller: TimingCaller, call: CarrierCall, *, has_books: bool) -> None:
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
    if expect.result is not None and report.result != expect.result:
        faults.append(f"expected the attempt to come to {expect.result!r}, got {report.result!r}")
    if expect.carrier_says is not None and not re.search(expect.carrier_says, " ".join(report.carrier_says)):
        faults.append(f"expected the carrier to say {expect.carrier_says!r}, got {report.carrier_says}")
    if expect.agent_silent and report.agent_turns_ms:
        faults.append(f"expected the agent to say nothing, got turns of {report.agent_turns_ms} ms")
    if expect.dials is not None and report.dials != expect.dials:
        faults.append(f"expected {expect.dials} transfers, got {report.dials}")
    if report.transfer_silence_ms >= SILENCE_MS:
        faults.append(
            f"expected the caller to hear something within {SILENCE_MS} ms around a transfer, "
            f"got {report.transfer_silence_ms} ms of silence"
        )
    faults += pace_faults(report, script)
    if not has_books:
        return
    if report.call is None or report.call.ended_at is None:
        faults.append("expected a finished row in calls, found none")
    results = [attempt.result for attempt in report.transfers]
    if expect.transfers is not None and results != expect.transfers:
        faults.append(f"expected the transfers to come to {expect.transfers}, got {results}")
    got = [f"{tool.name}:{tool.status}" for tool in report.tool_calls]
    if expect.tools is not None and got != expect.tools:
        faults.append(f"expected the tool calls {expect.tools}, got {got}")
    texts = report.milestones.count("text_sent")
    if expect.texts is not None and texts != expect.texts:
        faults.append(f"expected {expect.texts} texts to the caller, got {texts}")
    agent = [turn for turn in report.turns if turn.who == "agent"]
    short = [n for n, turn in enumerate(agent) if len(turn.heard_text) < len(turn.generated_text)]
    if expect.cut_short is not None and short != expect.cut_short:
        faults.append(f"expected the agent's turns {expect.cut_short} to be cut short, got {short}")
    report.untrue = untrue(report.turns, report.tool_calls, report.tools_called_ms, expect.claims)
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
