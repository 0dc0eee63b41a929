"""`./offhook bench`: what was asked for, checked; then rounds over the subjects, a table, and what stays of it.

The bench itself is a package of the checkout, beside `app`; a container image may be without it.
"""

import argparse
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from app.errors import SetupError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that can be chosen; what the names may be is checked later, since it takes the bench itself."""
    parser.add_argument("--part", metavar="A,B", default="", help="parts to measure; default: all but the soak")
    parser.add_argument("--subject", metavar="A,B", default="", help="whom to measure; default: all that can be had")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turns (default: 3)")
    parser.add_argument(
        "--tries", type=int, default=3, help="how often a run is begun until the load kept pace in it (default: 3)"
    )
    parser.add_argument("--minutes", type=float, default=0.0, help="length of a soak, which this asks for")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures and runs here")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, help="draw SVGs here")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="under a minute, in rounds of its own: CPU by the floor's, under a ceiling; for CI",
    )
    parser.add_argument("--update-docs", action="store_true", help="write docs/06-latency-tuning.md and its plots anew")
    parser.add_argument("--list", action="store_true", help="say which parts and subjects there are")


def bench(chosen: argparse.Namespace) -> int:
    """Run it. 0: measured (with --quick: and under the ceiling). Raises SetupError for what cannot be asked for."""
    if importlib.util.find_spec("bench") is None:
        raise SetupError(
            "expected the folder bench beside app, found none: run this from a checkout, not from an image"
        )
    from bench import leaving, report
    from bench.parts import PARTS
    from bench.quick import quick
    from bench.running import Bench, Wanted
    from bench.subjects import SUBJECTS
    from bench.surroundings import site
    from bench.targets import judge

    if chosen.list:
        print(
            "\n".join(
                [
                    *(f"part     {n:16} {about}" for n, about in PARTS.items()),
                    *(f"subject  {n:16} {s.about}" for n, s in SUBJECTS.items()),
                ]
            )
        )
        return 0
    for option, count in {"--rounds": chosen.rounds, "--tries": chosen.tries}.items():
        if count < 1:
            raise SetupError(f"{option}: expected 1 or more, got {count}")
    if chosen.minutes < 0:
        raise SetupError(f"--minutes: expected the length of a soak, got {chosen.minutes:g}")
    soak = ("soak",) if chosen.minutes else ()
    parts = _names("--part", chosen.part, PARTS) or tuple(name for name in PARTS if name != "soak")
    if "soak" in parts and not chosen.minutes:
        raise SetupError(
            "--part soak: expected --minutes with it, got none. Try: ./offhook bench --part soak --minutes 10"
        )
    subjects = _names("--subject", chosen.subject, SUBJECTS) or tuple(name for name in SUBJECTS if name != "echo")
    if chosen.quick:
        if chosen.part or chosen.minutes or chosen.update_docs:
            raise SetupError("--quick measures one thing: expected no --part, --minutes or --update-docs with it")
        subjects = ("fast", "floor", "echo")
    with site() as here:
        load = here.load()
        wanted = Wanted(tuple(dict.fromkeys(parts + soak)), subjects, chosen.rounds, chosen.minutes, chosen.tries)
        run = Bench(here, load, wanted)
        verdict = quick(run) if chosen.quick else None
        book = run.run() if verdict is None else run.book
        book.targets = [] if chosen.quick else judge(book)
        print(report.text(book))
        if verdict is not None:
            print(verdict)
        if chosen.json:
            leaving.write_json(book, chosen.json)
        pictures: list[str] = []
        if chosen.plots:
            pictures = leaving.draw(book, chosen.plots, here.folder)
        if chosen.update_docs:
            pictures = leaving.draw(book, leaving.PICTURES, here.folder)
            leaving.update_docs(book, pictures)
        for name in pictures:
            print(f"drew {(chosen.plots or leaving.PICTURES) / name}", file=sys.stderr)
    return 0 if verdict is None or verdict.passed else 1


def _names(option: str, given: str, known: Mapping[str, object]) -> tuple[str, ...]:
    """Names from a list by commas. Raises SetupError for one that is not known."""
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise SetupError(f"{option}: expected some of {', '.join(known)}; got {name!r}")
    return names
