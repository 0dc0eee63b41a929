"""The book as a person reads it in a terminal: one table of figures, one of targets, and what was not measured and why."""

from collections.abc import Iterator, Sequence

from bench.book import Book, Row
from bench.peers.environment import NOTES
from bench.targets import number, show

GAP = "  "
STOPPED = "Stopped early: what is missing was not reached."
PACKAGES = ("websockets", "uvloop", "hypercorn", "starlette", "msgspec")


def text(book: Book) -> str:
    """All of it."""
    return "\n".join([*_head(book), *_figures(book), *_targets(book), *_asides(book)])


def _head(book: Book) -> Iterator[str]:
    facts = book.machine
    yield f"{facts['processor']}, {facts['cores']} cores, {facts['memory']}; {facts['system']}; {facts['Python']}"
    yield f"{book.cores}; load: {book.load}; load average before: {facts['load average']}"
    yield f"Offhook {facts['Offhook']}, with {ours(book)}; by {book.command}"
    yield f"{book.rounds} round{'' if book.rounds == 1 else 's'}, interleaved; median [lowest-highest]; in brackets: by the floor's"
    yield ""


def _figures(book: Book) -> Iterator[str]:
    subjects = list(dict.fromkeys(row.subject for row in book.rows))
    if not subjects:
        return
    lines: list[Sequence[str]] = [("", "", *subjects)]
    before = ""
    for _, trial, figure, unit, rows in book.groups():
        name = f"{figure}{f', {unit}' if unit else ''}"
        by_subject = {row.subject: row for row in rows}
        lines.append((trial if trial != before else "", name, *(cell(book, by_subject.get(s)) for s in subjects)))
        before = trial
    yield from table(lines)
    yield ""


def cell(book: Book, row: Row | None) -> str:
    """One subject's figure: median and spread, or that it was not measured; empty where it was not to be."""
    if row is None:
        return ""
    if row.spread is None:
        return "not measured"
    ratio = book.ratio(row.trial, row.figure, row.subject, "floor") if row.figure == "CPU per message" else None
    by_floor = f" ({number(ratio.median)}x)" if ratio and row.subject != "floor" else ""
    return show(row.spread) + by_floor


def _targets(book: Book) -> Iterator[str]:
    if not book.targets:
        return
    yield from table(
        [("target", "", "measured", "", ""), *((v.what, v.target, v.measured, v.verdict, v.why) for v in book.targets)]
    )
    yield ""


def _asides(book: Book) -> Iterator[str]:
    if book.stopped:
        yield STOPPED
    unmeasured = dict.fromkeys((row.subject, row.trial, row.why) for row in book.rows if row.spread is None)
    for subject, trial, why in unmeasured:
        yield f"not measured: {subject}, {trial}: {why}"
    for name, why in book.skipped.items():
        yield f"skipped: {name}: {why}"
    if book.thrown:
        yield f"thrown away: {len(book.thrown)} runs in which the load lagged, the last: {book.thrown[-1].why}"
    for name, version in book.versions.items():
        yield f"{name}: {version}"
    for name, note in notes(book).items():
        yield f"{name}: {note}"


def ours(book: Book) -> str:
    """Versions of the packages that our own figures depend on."""
    return ", ".join(f"{name} {book.machine[name]}" for name in PACKAGES)


def notes(book: Book) -> dict[str, str]:
    """What to know of a peer's figures, for each that has any."""
    measured = {row.subject for row in book.rows if row.spread is not None}
    return {name: note for name, note in NOTES.items() if name in measured}


def table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell, under a rule; the last one may run on."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for at, line in enumerate(lines):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        yield GAP.join(cells).rstrip()
        if at == 0:
            yield GAP.join("-" * width for width in widths)
