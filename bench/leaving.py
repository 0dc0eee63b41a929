"""What a run leaves behind: its JSON, its plots, and the section of docs/06 that is written between two markers."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.errors import SetupError
from bench import packages
from bench.book import Book
from bench.machine import ROOT
from bench.report import STOPPED, cell, notes, ours
from bench.targets import number

PAGE = ROOT / "docs" / "06-latency-tuning.md"
PICTURES = ROOT / "docs" / "bench"
BEGIN = "<!-- bench: begin. Written by `./offhook bench --update-docs`; change it there -->"
END = "<!-- bench: end -->"
DRAW_SECONDS = 60.0
ALT = {
    "cpu": "CPU per message by subject",
    "calls": "Calls on one core by subject",
    "latency-up": "Latency from caller to model by subject",
    "latency-down": "Latency from model to caller by subject",
    "memory": "Memory per call by subject",
    "soak": "Memory over a soak",
}


def write_json(book: Book, path: Path) -> None:
    """The whole book. Raises SetupError."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(book), indent=1) + b"\n")
    except OSError as wrong:
        raise SetupError(f"expected to write {path}, but: {wrong.strerror}") from wrong


def draw(book: Book, folder: Path, scratch: Path) -> list[str]:
    """SVGs of all that was measured, in a process of the environment that has the plotting library; their names.

    scratch: a folder for what is gone afterwards. Raises SetupError.
    """
    source = scratch / "book.json"
    write_json(book, source)
    script = Path(__file__).with_name("plots.py")
    command = [str(packages.python("plots")), "-P", str(script), str(source), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DRAW_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise SetupError(f"the plots could not be drawn: {wrong}") from wrong
    if done.returncode != 0:
        raise SetupError(
            f"the plots could not be drawn: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"
        )
    return done.stdout.split()


def update_docs(book: Book, pictures: list[str], page: Path = PAGE) -> None:
    """Write the section between the markers anew; the rest of the page stays. Raises SetupError."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as wrong:
        raise SetupError(f"expected {page.name} with the bench's markers, but: {wrong.strerror}") from wrong
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SetupError(
            f"expected the lines {BEGIN!r} and {END!r} in {page.name}, found {'one' if begin else 'none'} of them"
        )
    page.write_text(before + "\n".join([BEGIN, *section(book, pictures), END]) + after, encoding="utf-8")


def section(book: Book, pictures: list[str]) -> Iterator[str]:
    """What the page tells of a run, in Markdown."""
    facts = book.machine
    yield f"Measured {book.when[:10]} on {facts['processor']}, {facts['cores']} cores, {facts['memory']}, {facts['system']}, "
    yield f"{facts['Python']}; {book.cores}. Load: {book.load}. Offhook {facts['Offhook']}."
    yield f"Versions: {'; '.join([ours(book), *(f'{name}: {told}' for name, told in book.versions.items())])}."
    yield ""
    rounds = f"{book.rounds} round{'' if book.rounds == 1 else 's'}"
    yield f"Repeat it: `{book.command}` ({rounds}, interleaved; median [lowest-highest])."
    yield ""
    for name in pictures:
        yield f"![{ALT.get(name.removesuffix('.svg'), name)}](bench/{name})"
    yield ""
    if book.targets:
        yield from _markdown(
            [
                ("target", "", "measured", "verdict", ""),
                *((v.what, v.target, v.measured, v.verdict, v.why) for v in book.targets),
            ]
        )
        yield ""
    subjects = list(dict.fromkeys(row.subject for row in book.rows))
    lines: list[tuple[str, ...]] = [("run", "figure", *subjects)]
    for _, trial, figure, unit, rows in book.groups():
        by_subject = {row.subject: row for row in rows}
        lines.append(
            (trial, f"{figure}{f', {unit}' if unit else ''}", *(cell(book, by_subject.get(s)) for s in subjects))
        )
    yield from _markdown(lines)
    yield ""
    if book.stopped:
        yield f"- {STOPPED}"
    for name, why in book.skipped.items():
        yield f"- Skipped: {name}: {why}"
    reasons = dict.fromkeys((row.subject, row.trial, row.why) for row in book.rows if row.spread is None)
    for subject, trial, why in reasons:
        yield f"- Not measured: {subject}, {trial}: {why}"
    for name, note in notes(book).items():
        yield f"- {name}: {note}"
    if book.thrown:
        yield f"- Thrown away, since the load lagged: {number(len(book.thrown))} runs."


def _markdown(lines: list[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(lines[0]) + " |"
    yield "|" + "---|" * len(lines[0])
    for line in lines[1:]:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
