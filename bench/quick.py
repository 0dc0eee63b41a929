"""`./offhook bench --quick`: under a minute, for CI. Our CPU per message by that of each floor, under a ceiling.

Nothing is asserted about time, and no figure is compared with another machine's: all ran on the same core, in turns. A host whose
caches others fill slows a relay in Python by more than one in C++, so a ratio to the compiled floor may be high though nothing
changed here; the one to the bare relay in Python, which is slowed likewise, is not. What came into the audio lane is in both.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from app.errors import OffhookError, SetupError
from bench.book import Raw, Row
from bench.load import lagged
from bench.measuring import Measured, Trial, measure, reason, say, settle
from bench.parts import CPU, missed, us_per_message
from bench.running import Bench, warm_up
from bench.subjects import SUBJECTS, Running, running

US = "fast"
ROUNDS = 8
ROUNDS_SECONDS = 34.0
"""No new round is begun later than that: with its start the whole has a minute."""
CEILINGS: dict[str, float] = {"floor": 2.35, "echo": 1.6}
"""By which floor, the ratio below which we pass: docs/06-latency-tuning.md says what was measured with and without a hop."""
BUSY_US = 100_000.0
"""Later than that the load may never be. Whatever else the machine does can only add to a run's CPU, so the least of some
rounds is the truest, even on a busy machine; how late the load was is said, and decides nothing."""
WINDOW: dict[str, str | int | float] = {"scenario": "steady", "ramp_per_s": 400, "warmup_s": 1.5, "window_s": 2}
NOTHING = "not a single frame was carried"
TRIALS = {
    "native": Trial("quick", {**WINDOW, "calls": 100}, pacing_us=BUSY_US),
    "Python": Trial("quick", {**WINDOW, "calls": 40}, pacing_us=BUSY_US),
}


class Cost(msgspec.Struct, frozen=True):
    """CPU per message in one run, us, and whether the load kept pace in it."""

    us: float
    quiet: bool


class Quick:
    """What came of it. `passed`: measured, and under one of the ceilings."""

    def __init__(self, costs: Mapping[str, Sequence[Cost]], why: str) -> None:
        """costs: of each relay, the runs that gave a figure. why: the last one that gave none."""
        ours = costs.get(US, ())
        others = {name: costs[name] for name in CEILINGS if ours and costs.get(name)}
        self.ratios = {name: min(c.us for c in ours) / min(c.us for c in theirs) for name, theirs in others.items()}
        self.rounds = min((len(runs) for runs in (ours, *others.values())), default=0)
        self.busy = not all(c.quiet for runs in costs.values() for c in runs)
        self.why = why

    @property
    def passed(self) -> bool:
        """Whether CI may go on."""
        return any(ratio < CEILINGS[name] for name, ratio in self.ratios.items())

    def __str__(self) -> str:
        """One line for a log."""
        if not self.ratios:
            return f"not measured: {self.why or 'no round came to an end'}"
        shown = ", ".join(
            f"{ratio:.2f}x by the {name}'s ({'under' if ratio < CEILINGS[name] else 'NOT under'} {CEILINGS[name]:g}x)"
            for name, ratio in self.ratios.items()
        )
        busy = ". The machine was busy with other things" if self.busy else ""
        hint = (
            ""
            if self.passed
            else ". A queue, a task or a copy may have come into the audio lane: see what changed there"
        )
        return f"CPU per message, the least of {self.rounds} rounds each: {shown}{hint}{busy}"


def quick(bench: Bench) -> Quick:
    """The relays run side by side and are called in turns. Raises SetupError if ours does not start."""
    commands = {subject.name: command for subject, command in bench.prepare().items()}
    if US not in commands or not any(name in commands for name in CEILINGS):
        raise SetupError(f"expected {US} and a floor to compare it with, got {', '.join(commands) or 'neither'}")
    names = [name for name in (US, *CEILINGS) if name in commands]
    trial = TRIALS["Python" if bench.site.load_kind == "Python" else "native"]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    why = ""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(running(SUBJECTS[name], commands[name], bench.site)) for name in names]
        for target in targets:
            warm_up(bench.load, target)
        deadline = time.monotonic() + ROUNDS_SECONDS
        for number in range(ROUNDS):
            if time.monotonic() > deadline:
                break
            for target in targets:
                outcome = _once(bench, target, trial, number)
                us = us_per_message(outcome) if isinstance(outcome, Measured) else None
                if isinstance(outcome, Measured) and us:
                    costs[target.subject.name].append(Cost(us, not lagged(outcome.result)))
                else:
                    why = outcome if isinstance(outcome, str) else NOTHING
    return Quick(costs, why)


def _once(bench: Bench, target: Running, trial: Trial, number: int) -> Measured | str:
    """One run into the book; why not, if not."""
    name = target.subject.name
    outcome: Measured | str
    try:
        measured = measure(bench.load, name, target, trial, thrown=bench.book.thrown, settle=settle, tries=1)
        bench.book.raw.append(Raw(name, trial.name, number, measured))
        outcome = missed(measured) or measured
    except OffhookError as wrong:
        outcome = reason(wrong)
    if isinstance(outcome, str):
        say(f"    {name}: {outcome}")
    for figure in CPU[:2]:
        row = Row("quick", trial.name, figure.name, figure.unit, name)
        if isinstance(outcome, str):
            bench.book.put(row, number, None, outcome)
        else:
            bench.book.put(row, number, figure.read(outcome), NOTHING)
    return outcome
