"""What `./offhook call` prints of a rehearsed call: the talk as it happens, then its outcome, latencies and verdict."""

import msgspec

from app.core.rows import ToolCall, Turn
from app.sim.rehearsal import Watcher
from app.sim.report import Report
from app.sim.script import Script


class Printer(Watcher):
    """Prints the talk as it happens, then a summary."""

    def __init__(self, script: Script) -> None:
        self.shown = 0
        self.tools = 0
        print(f"\n{script.title} ({script.mode})")

    def turn(self, turn: Turn) -> None:
        """One settled turn: when, who, what was heard, and what was generated if that is more."""
        self.shown += 1
        print(_line(turn), flush=True)

    def tool(self, tool: ToolCall) -> None:
        """One tool call with its answer."""
        self.tools += 1
        print(
            f"{'':>16}  > {tool.name}({tool.arguments}) = {tool.status} in {tool.ms} ms: {_short(tool.result)}",
            flush=True,
        )

    def summary(self, report: Report) -> str:
        """Turns that were settled at the end, the outcome, the latencies and the verdict."""
        for turn in report.turns[self.shown :]:
            self.turn(turn)
        for tool in report.tool_calls[self.tools :]:
            self.tool(tool)
        lines = ["", f"ended by: {report.ended_by}, after {report.seconds:g} s", *_figures(report)]
        if report.outcome is not None:
            valid = "" if report.outcome.valid else " (not valid)"
            lines.append(f"outcome: {report.outcome.kind}{valid} {msgspec.json.encode(report.outcome.fields).decode()}")
        if report.call is not None:
            lines.append(
                f"on record: {report.call_sid}, {len(report.turns)} turns, {len(report.tool_calls)} tool calls, "
            )
            lines[-1] += (
                f"${report.call.cost_usd or 0:.4f}, greeting {report.call.greeting_path} {report.call.greeting_ms} ms"
            )
        lines += [f"UNTRUE: {words}" for words in report.untrue]
        lines += [f"OVER BUDGET: {fault}" for fault in report.over_budget]
        lines += [f"FAULT: {fault}" for fault in report.faults] or ["all expectations hold"]
        return "\n".join(lines)


def _line(turn: Turn) -> str:
    cut = "" if turn.heard_text == turn.generated_text else f"   [of: {turn.generated_text}]"
    return f"{turn.start_ms:>7} {turn.end_ms:>7}  {turn.who:>6}: {turn.heard_text or '(nothing)'}{cut}"


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."


def _figures(report: Report) -> list[str]:
    """The latency table: as the caller's ear has it, in ms."""
    rows = [("greeting: stream start to first sound", report.greeting_ms)]
    for n, turnaround in enumerate(report.turnarounds, 1):
        if turnaround.cut_ms is not None:
            rows.append((f"caller's line {n}: barge-in, agent silent after", turnaround.cut_ms))
        rows.append((f"caller's line {n}: last word to answer", turnaround.answered_ms))
    rows.append((f"agent's turns, median length of {len(report.agent_turns_ms)}", report.agent_turn_median_ms))
    return [f"  {what:<48} {'-' if ms is None else ms:>6} ms" for what, ms in rows]
