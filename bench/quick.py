"""`./offhook bench --quick`: under a minute, for CI. One figure: our CPU per message by the floor's, under a ceiling.

Nothing is asserted about time, and no figure is compared with another machine's: both ran on the same core, in turns.
"""

import contextlib
import time
from collections.abc import Sequence

import msgspec

from app.errors import OffhookError, SetupError
from bench.arithmetic import spread
from bench.book import Raw, Row
from bench.load import lagged
from bench.measuring import Measured, Trial, measure, reason, say
from bench.parts import CPU, us_per_message
from bench.running import Bench, warm_up
from bench.subjects import SUBJECTS, Running, running

US = "fast"
ROUNDS = 3
ROUNDS_SECONDS = 30.0
"""No new round is begun later than that: with its start the whole has a minute."""
ENOUGH = 2
"""So many quiet rounds count alone."""
CEILINGS: dict[str, float] = {"floor": 2.25, "echo": 1.6}
"""By which floor, the ratio that must not be reached. Measured on two machines of two cores each: docs/06-latency-tuning.md."""
BUSY_US = 100_000.0
"""Later than that the load may never be. On a machine that is busy otherwise, both relays get their work in heaps: that makes
ours cheaper and the floor dearer, so a ratio from there can hide a fault, and cannot make one up."""
WINDOW: dict[str, str | int | float] = {"scenario": "steady", "ramp_per_s": 200, "warmup_s": 1, "window_s": 3}
NOTHING = "not a single frame was carried"
TRIALS = {
    "native": Trial("quick", {**WINDOW, "calls": 100}, pacing_us=BUSY_US),
    "Python": Trial("quick", {**WINDOW, "calls": 40}, pacing_us=BUSY_US),
}


class Pair(msgspec.Struct, frozen=True):
    """One round: the ratio, and whether the load kept pace in both runs of it."""

    ratio: float
    quiet: bool


class Quick:
    """What came of it. `passed`: measured, and under the ceiling."""

    def __init__(self, pairs: Sequence[Pair], other: str, why: str) -> None:
        """pairs: rounds that gave two figures; quiet ones count alone if there are enough. why: none did."""
        quiet = [pair for pair in pairs if pair.quiet]
        self.busy = len(quiet) < ENOUGH
        self.found = spread([pair.ratio for pair in (pairs if self.busy else quiet)])
        self.other = other
        self.ceiling = CEILINGS.get(other, 0.0)
        self.why = why

    @property
    def passed(self) -> bool:
        """Whether CI may go on."""
        return self.found is not None and self.found.median < self.ceiling

    def __str__(self) -> str:
        """One line for a log."""
        if self.found is None:
            return f"not measured: {self.why or 'no round came to an end'}"
        verdict = "under" if self.passed else "NOT under"
        shown = f"{self.found.median:.2f}x [{self.found.low:.2f}-{self.found.high:.2f}]"
        busy = ". The machine was busy with other things, which hides some of our cost" if self.busy else ""
        hint = (
            ""
            if self.passed
            else ". A queue, a task or a copy may have come into the audio lane: see what changed there"
        )
        return f"CPU per message: {shown} of the {self.other}'s, {verdict} the ceiling of {self.ceiling:g}x{hint}{busy}"


def quick(bench: Bench) -> Quick:
    """Both relays run side by side and are called in turns. Raises SetupError if ours does not start."""
    commands = {subject.name: command for subject, command in bench.prepare().items()}
    other = next((name for name in CEILINGS if name in commands), "")
    if US not in commands or not other:
        raise SetupError(f"expected {US} and a floor to compare it with, got {', '.join(commands) or 'neither'}")
    trial = TRIALS["Python" if bench.site.load_kind == "Python" else "native"]
    pairs: list[Pair] = []
    why = ""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(running(SUBJECTS[n], commands[n], bench.site)) for n in (US, other)]
        for target in targets:
            warm_up(bench.load, target)
        deadline = time.monotonic() + ROUNDS_SECONDS
        number = 0
        while sum(pair.quiet for pair in pairs) < ROUNDS and time.monotonic() < deadline:
            ours, theirs = (_once(bench, target, trial, number) for target in targets)
            number += 1
            if isinstance(ours, Measured) and isinstance(theirs, Measured):
                pairs += _pair(ours, theirs)
            else:
                why = str(theirs if isinstance(ours, Measured) else ours)
            why = why or (NOTHING if not pairs else "")
    return Quick(pairs, other, why)


def _pair(ours: Measured, theirs: Measured) -> list[Pair]:
    """None if one of them carried nothing."""
    a, b = us_per_message(ours), us_per_message(theirs)
    return [Pair(a / b, not lagged(ours.result) and not lagged(theirs.result))] if a and b else []


def _once(bench: Bench, target: Running, trial: Trial, number: int) -> Measured | str:
    """One run into the book; why not, if not."""
    name = target.subject.name
    outcome: Measured | str
    try:
        outcome = measure(bench.load, name, target, trial, thrown=bench.book.thrown, tries=1)
        bench.book.raw.append(Raw(name, trial.name, number, outcome))
    except OffhookError as wrong:
        outcome = reason(wrong)
        say(f"    {name}: {outcome}")
    for figure in CPU[:2]:
        row = Row("quick", trial.name, figure.name, figure.unit, name)
        if isinstance(outcome, str):
            bench.book.put(row, number, None, outcome)
        else:
            bench.book.put(row, number, figure.read(outcome), NOTHING)
    return outcome
