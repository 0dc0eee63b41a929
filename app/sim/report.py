"""Report: what came of a rehearsal, for people, machines and the next file that judges it."""

from statistics import median

import msgspec

from app.adapters.store import Call
from app.core.rows import Consent, Outcome, ToolCall, TransferAttempt, Turn


class Turnaround(msgspec.Struct, frozen=True, kw_only=True):
    """How long the caller waited for an answer: last word to first sound. `cut_ms`: how long the agent went on after a barge-in."""

    answered_ms: int | None
    cut_ms: int | None


class Report(msgspec.Struct, kw_only=True):
    """What came of a rehearsal. `faults` are sentences; none means that all expectations held."""

    script: str
    model: str = ""
    """The one that was asked for; empty: as the server is set."""
    faulty_model: bool = False
    """The script has a stand-in's model out of order: its greeting says nothing of the model's."""
    call_sid: str = ""
    seconds: float = 0.0
    ended_by: str = ""
    result: str = ""
    """What became of a call that the server placed."""
    carrier_says: list[str] = []
    """What the carrier's own voice said, in order."""
    dials: int = 0
    transfers: list[TransferAttempt] = []
    transfer_silence_ms: int = 0
    """The longest time that the caller heard nothing around a transfer."""
    greeting_ms: int | None = None
    turnarounds: list[Turnaround] = []
    agent_turns_ms: list[int] = []
    """What was heard of each of the agent's turns; the house's own clips are none."""
    agent_turn_median_ms: int | None = None
    call: Call | None = None
    turns: list[Turn] = []
    tool_calls: list[ToolCall] = []
    milestones: list[str] = []
    tools_called_ms: list[int] = []
    """When each tool was called, on the clock of `turns`; empty where the books do not tell."""
    consents: list[Consent] = []
    outcome: Outcome | None = None
    untrue: list[str] = []
    """What the agent said that it had done, and no tool had."""
    faults: list[str] = []
    over_budget: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether everything was as the script wants it, within the budgets."""
        return not self.faults and not self.over_budget

    def figures(self) -> dict[str, int | None]:
        """What the budgets of a call are about, by their names; None where there was nothing to measure."""
        answers = [turn.answered_ms for turn in self.turnarounds if turn.answered_ms is not None]
        return {
            "greeting_ms": self.greeting_ms,
            "barge_in_ms": max((turn.cut_ms for turn in self.turnarounds if turn.cut_ms is not None), default=None),
            "answer_ms": round(median(answers)) if answers else None,
            "tool_ms": max((tool.ms for tool in self.tool_calls), default=None),
            "untrue": len(self.untrue),
        }
