"""A whole bench: rounds of A B A B over the subjects, every part that was chosen, and what came of it in a book."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from app.errors import OffhookError, SetupError
from bench import arithmetic, machine, packages, parts, soaking, tls_front
from bench.book import Book, Raw, Row
from bench.load import Load, NotMeasured, lagged
from bench.measuring import ROBUST_US, TRIES, Measured, Trial, measure, reason, say, settle
from bench.parts import CELLS, GROUPS, OVER_TLS, VARIANTS, Cell, unfit
from bench.subjects import SUBJECTS, Running, Subject, running
from bench.surroundings import Site

WARM_UP: dict[str, str | int | float] = {"scenario": "steady", "calls": 10, "warmup_s": 1, "window_s": 1}
STARTS = 3
PYTHON_LOAD_PLAYS = ("steady",)


class Wanted(msgspec.Struct, frozen=True):
    """What is to be measured."""

    parts: tuple[str, ...]
    subjects: tuple[str, ...]
    rounds: int = 3
    minutes: float = 0.0
    tries: int = TRIES


class Bench:
    """One bench on one site."""

    def __init__(self, site: Site, load: Load, wanted: Wanted) -> None:
        self.site = site
        self.load = load
        self.wanted = wanted
        self.ladder: dict[str, Sequence[int]] = {}
        self.book = Book(
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            command=machine.command_line(),
            machine=machine.describe(),
            cores=site.cores.said,
            rounds=wanted.rounds,
            load=site.load_kind,
            skipped=site.skipped,
        )

    def run(self) -> Book:
        """Everything, round by round. What cannot be had is skipped by name; only a fault of the bench's own is raised.

        Ctrl-C ends it early: what was measured by then is in the book, which says so.
        """
        commands = self.prepare()
        try:
            self._all(commands)
        except KeyboardInterrupt:
            self.book.stopped = True
            say("stopped early: what was measured by now is told")
        return self.book

    def _all(self, commands: dict[Subject, list[str]]) -> None:
        for number in range(self.wanted.rounds):
            for group in GROUPS:
                mine = tuple(part for part in group if part in self.wanted.parts)
                for subject, command in commands.items() if mine else ():
                    say(f"round {number + 1} of {self.wanted.rounds}: {subject.name}: {', '.join(mine)}")
                    self._group(subject, command, mine, number)
        if "soak" in self.wanted.parts:
            for subject, command in commands.items():
                if subject.kind == "ours":
                    self._soak(subject, command)

    def prepare(self) -> dict[Subject, list[str]]:
        """Builds and installs what the subjects take; those that cannot be had are skipped by name."""
        commands = {}
        for name in self.wanted.subjects:
            try:
                commands[SUBJECTS[name]] = SUBJECTS[name].prepare(self.site)
                if told := packages.versions(name):
                    self.book.versions[name] = told
            except SetupError as wrong:
                self.site.skipped[name] = reason(wrong)
                say(f"skipped: {name}: {reason(wrong)}")
        return commands

    def cells(self, subject: Subject, wanted: Sequence[str]) -> dict[str, list[Cell]]:
        """What this subject is measured by in these parts, under each variant, in the order in which it is done."""
        found: dict[str, list[Cell]] = {}
        for cell in CELLS:
            if cell.part in wanted and _concerns(cell, subject):
                variant = cell.variant if subject.kind == "ours" or cell.variant == "memory" else ""
                found.setdefault(variant, []).append(cell)
        if "ladder" in wanted:
            found.setdefault("", [])
        return found

    def _group(self, subject: Subject, command: list[str], wanted: Sequence[str], number: int) -> None:
        for variant, cells in self.cells(subject, wanted).items():
            try:
                with self._started(subject, command, variant) as target:
                    done: dict[str, Measured | str] = {}
                    for cell in cells:
                        self._cell(target, cell, number, done)
                    if variant == "" and "ladder" in wanted:
                        self._ladder(target, number)
            except OffhookError as wrong:
                say(f"    {subject.name} {variant}: {reason(wrong)}")
                for cell in cells:
                    self._put(subject, cell, number, reason(wrong))
        if "startup" in wanted and subject.kind == "ours":
            self._starts(subject, command, number)

    @contextlib.contextmanager
    def _started(self, subject: Subject, command: list[str], variant: str) -> Iterator[Running]:
        """The subject under a variant, warm."""
        with contextlib.ExitStack() as stack:
            settings = VARIANTS.get(variant, {})
            if variant in OVER_TLS:
                settings = settings | stack.enter_context(tls_front.front(self.site))
            target = stack.enter_context(running(subject, command, self.site, settings))
            warm_up(self.load, target)
            yield target

    def _cell(self, target: Running, cell: Cell, number: int, done: dict[str, Measured | str]) -> None:
        """Run it, unless another part had the very same run."""
        subject = target.subject
        outcome = done.get(cell.trial.name)
        if outcome is None:
            outcome = done[cell.trial.name] = self._outcome(target, cell.trial)
            if isinstance(outcome, Measured):
                self.book.raw.append(Raw(subject.name, cell.trial.name, number, outcome))
        self._put(subject, cell, number, outcome)

    def _outcome(self, target: Running, trial: Trial) -> Measured | str:
        if self.site.load_kind == "Python" and trial.keys["scenario"] not in PYTHON_LOAD_PLAYS:
            return f"the Python load plays no {trial.keys['scenario']}; it takes a C++ compiler"
        say(f"    {trial.name}")
        try:
            return measure(
                self.load,
                target.subject.name,
                target,
                trial,
                thrown=self.book.thrown,
                postgres=self.site.postgres_usage,
                helpers=self.site.helpers_usage,
                settle=settle,
                tries=self.wanted.tries,
            )
        except NotMeasured as wrong:
            return reason(wrong)

    def _put(self, subject: Subject, cell: Cell, number: int, outcome: Measured | str) -> None:
        for figure in cell.figures:
            if figure.whole_only and subject.kind != "ours":
                continue
            row = Row(cell.part, cell.trial.name, figure.name, figure.unit, subject.name)
            if isinstance(outcome, str):
                self.book.put(row, number, None, outcome)
            elif why := unfit(figure, outcome, cell.trial.greeted if subject.kind == "ours" else ""):
                self.book.put(row, number, None, why)
            else:
                self.book.put(row, number, figure.read(outcome), "it never came to that in the run")

    def _ladder(self, target: Running, number: int) -> None:
        row = Row("ladder", "ladder", "calls on one core", "calls", target.subject.name)
        top = parts.LADDER if self.site.load_kind != "Python" else parts.LADDER[:2]
        most = 0

        def passes(calls: int) -> bool:
            """Carried by a load that was late is carried all the same; not carried may be the load's own fault."""
            nonlocal most
            trial = Trial(f"ladder {calls}", {**parts.LADDER_KEYS, "calls": calls}, pacing_us=ROBUST_US)
            for _ in range(self.wanted.tries):
                outcome = self._outcome(target, trial)
                if isinstance(outcome, str):
                    raise NotMeasured(f"{outcome}, at {calls} calls")
                self.book.raw.append(Raw(target.subject.name, trial.name, number, outcome))
                if parts.carried(outcome):
                    most = max(most, calls)
                    return True
                if not (late := lagged(outcome.result)):
                    return False
            raise NotMeasured(
                f"the load lagged: {late}, {self.wanted.tries} times, at {calls} calls; {most} were carried"
            )

        try:
            found = arithmetic.limit(passes, top, step=parts.LADDER_STEP)
        except NotMeasured as wrong:
            self.book.put(row, number, None, reason(wrong))
            return
        if found.open_ended:
            say(f"    {target.subject.name}: the ladder ended at {found.most} calls; there may be more")
        self.book.put(row, number, float(found.most))

    def _starts(self, subject: Subject, command: list[str], number: int) -> None:
        """From the start of the process to /readyz, on a warm disk: with a Postgres that runs, and with its own."""
        ways: dict[str, dict[str, str]] = {"start to ready, database running": {}}
        if subject.name == "fast":
            ways["start to ready, own database"] = {"DATABASE_URL": ""}
        for name, settings in ways.items():
            row = Row("startup", "startup", name, "ms", subject.name)
            try:
                taken = []
                for _ in range(STARTS + 1):
                    with running(subject, command, self.site, settings) as target:
                        taken.append(target.started_ms)
                warm = arithmetic.spread(taken[1:])
                self.book.put(row, number, warm.median if warm else None)
            except SetupError as wrong:
                self.book.put(row, number, None, reason(wrong))

    def _soak(self, subject: Subject, command: list[str]) -> None:
        try:
            with self._started(subject, command, "") as target:
                soaking.soak(self.load, target, self.book, self.wanted.minutes)
        except OffhookError as wrong:
            say(f"    soak of {subject.name}: {reason(wrong)}")
            self.book.put(Row("soak", "soak", "memory growth", "kB per hour", subject.name), 0, None, reason(wrong))


def warm_up(load: Load, target: Running) -> None:
    """A few calls of a second: what the first ones load late, or a start leaves behind, is no later call's price."""
    load.run({**WARM_UP, **target.keys()})


def _concerns(cell: Cell, subject: Subject) -> bool:
    match cell.who:
        case "ours":
            return subject.kind == "ours"
        case "fast":
            return subject.name == "fast"
        case "converses":
            return subject.converses
    return True
