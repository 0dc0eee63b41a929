"""What a run found out: figures by subject and round, what was skipped or thrown away, in one shape for table, JSON and plots.

The JSON (`--json FILE`) is a `Book`:

    schema        1; grows when a name changes its meaning
    when          start of the run, UTC, ISO 8601
    command       how it was asked for
    machine       facts by name: processor, cores, memory, system, load average, Python, versions of ours
    cores         which core had the load and which the relay
    load          "native", or "Python" where there was no compiler
    versions      subject -> what its own environment has, where it tells
    rounds        how many were asked for
    stopped       whether it was ended early, so that some of it is missing
    rows          one a figure and subject: part, trial, figure, unit, subject, rounds (a number or null for each),
                  spread ({median, low, high, rounds} or null), why (empty, or why nothing was measured)
    targets       what, target, measured (text), verdict ("met", "not met", "not measured"), why
    skipped       name -> reason, for what could not be built or installed
    thrown        runs that do not count: subject, trial, why
    soak          one a minute, by subject: minute, rss_kb, pss_kb, files, quiet_rss_kb, quiet_files, us_per_message, p99_ms
    raw           every run that counts: subject, trial, round, and `measured` with all that the load said

Microseconds are `us`, kB are 1,024 bytes, CPU is the relay's alone.
"""

from collections.abc import Iterator

import msgspec

from bench.arithmetic import Spread, ratios, spread
from bench.measuring import Measured, Thrown

SCHEMA = 1


class Row(msgspec.Struct):
    """One figure of one subject. `rounds` has None where a round gave no figure."""

    part: str
    trial: str
    figure: str
    unit: str
    subject: str
    rounds: list[float | None] = []
    spread: Spread | None = None
    why: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """One target, and what became of it in this very run."""

    what: str
    target: str
    measured: str
    verdict: str
    why: str = ""


class Raw(msgspec.Struct, frozen=True):
    """One run that counts."""

    subject: str
    trial: str
    round: int
    measured: Measured


class Minute(msgspec.Struct, frozen=True):
    """One minute of a soak: at its end under load, and once its calls were gone (`quiet`)."""

    subject: str
    minute: float
    rss_kb: float
    pss_kb: float
    files: int
    quiet_rss_kb: float
    quiet_files: int
    us_per_message: float
    p99_ms: float


class Book(msgspec.Struct):
    """All of one run."""

    when: str
    command: str
    machine: dict[str, str]
    cores: str
    rounds: int
    load: str = ""
    stopped: bool = False
    schema: int = SCHEMA
    versions: dict[str, str] = {}
    rows: list[Row] = []
    targets: list[Verdict] = []
    skipped: dict[str, str] = {}
    thrown: list[Thrown] = []
    soak: list[Minute] = []
    raw: list[Raw] = []

    def put(self, row: Row, round_number: int, value: float | None, why: str = "") -> None:
        """One round's value of a figure; rows are told apart by all but their numbers. round_number: from 0."""
        mine = self.row(row.trial, row.figure, row.subject)
        if mine is None:
            mine = msgspec.structs.replace(row, rounds=[])
            self.rows.append(mine)
        mine.rounds += [None] * (round_number + 1 - len(mine.rounds))
        mine.rounds[round_number] = value
        mine.spread = spread([known for known in mine.rounds if known is not None])
        mine.why = "" if mine.spread else why or mine.why

    def row(self, trial: str, figure: str, subject: str) -> Row | None:
        """The row of one figure and subject."""
        return next((r for r in self.rows if (r.trial, r.figure, r.subject) == (trial, figure, subject)), None)

    def median(self, trial: str, figure: str, subject: str) -> float | None:
        """None: not measured."""
        row = self.row(trial, figure, subject)
        return row.spread.median if row and row.spread else None

    def ratio(self, trial: str, figure: str, ours: str, theirs: str) -> Spread | None:
        """Ours by theirs, round by round. None: one of them was not measured."""
        a, b = self.row(trial, figure, ours), self.row(trial, figure, theirs)
        return spread(ratios(a.rounds, b.rounds)) if a and b else None

    def missing(self, trial: str, figure: str, subject: str) -> str:
        """Why there is no figure."""
        row = self.row(trial, figure, subject)
        if row is not None:
            return row.why or "not measured"
        if subject in self.skipped:
            return f"{subject} was skipped"
        return f"{subject} was not measured in this run"

    def groups(self) -> Iterator[tuple[str, str, str, str, list[Row]]]:
        """(part, trial, figure, unit, rows of all subjects), in the order of measuring."""
        order = dict.fromkeys((row.part, row.trial, row.figure, row.unit) for row in self.rows)
        for part, trial, figure, unit in order:
            yield (
                part,
                trial,
                figure,
                unit,
                [r for r in self.rows if (r.part, r.trial, r.figure) == (part, trial, figure)],
            )
