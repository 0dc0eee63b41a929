"""`./offhook chaos`: a real call for every fault of the matrix, a table of what came of it; or a soak of many short calls."""

import argparse
import asyncio
import time
from collections.abc import Callable

import msgspec

from app.errors import SetupError

FLAT_CALLS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Everything that can be chosen."""
    parser.add_argument("--only", metavar="A,B", default="", help="faults or groups, by name; default: all")
    parser.add_argument("--quick", action="store_true", help="the short matrix: under a minute on 2 cores; for CI")
    parser.add_argument("--jobs", type=int, help="so many faults at a time (default: two a core)")
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows instead of the table")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument(
        "--calls", type=int, metavar="N", help=f"a soak of N short calls instead, one after many others ({FLAT_CALLS})"
    )
    return chaos


def chaos(chosen: argparse.Namespace) -> int:
    """Run it. 0 only if every fault was borne as it should be. Raises SetupError for what cannot be asked for."""
    from app.chaos import matrix, running
    from app.chaos.playing import Row

    if chosen.jobs is not None and chosen.jobs < 1:
        raise SetupError(f"--jobs: expected 1 or more, got {chosen.jobs}")
    if chosen.calls is not None:
        if chosen.calls < 1:
            raise SetupError(f"--calls: expected 1 or more, got {chosen.calls}")
        if chosen.only or chosen.quick or chosen.list:
            raise SetupError("--calls is a soak: expected no --only, --quick or --list with it")
        return _soak(chosen)
    names = [name.strip() for name in chosen.only.split(",") if name.strip()]
    faults = matrix.chosen(names, quick=chosen.quick)
    if not faults:
        raise SetupError(f"--only {chosen.only} --quick: expected a fault of the short matrix; none of these is in it")
    if chosen.list:
        for fault in faults:
            print(f"{fault.name:34} {fault.group:9} {fault.does}")
        return 0
    width = max(len(fault.name) for fault in faults)

    def done(row: Row) -> None:
        if not chosen.json:
            silence = "-" if row.silence_ms is None else f"{row.silence_ms}"
            verdict = (
                f"{'ok  ' if row.ok else 'FAIL'}  {row.fault:{width}}  {silence:>6} ms of silence  {row.seconds:5.1f} s"
            )
            print(f"{verdict}  {row.why}".rstrip(), flush=True)

    began = time.monotonic()
    try:
        rows = asyncio.run(running.run(faults, chosen.jobs or running.usual_jobs(), done))
    except* SetupError as wrong:
        raise running.first(wrong) from None
    bad = [row.fault for row in rows if not row.ok]
    if chosen.json:
        print(msgspec.json.encode(rows).decode())
    else:
        print(f"\n{len(rows) - len(bad)} of {len(rows)} ok, in {time.monotonic() - began:.0f} s", end="")
        print(f"; not: {', '.join(bad)}" if bad else "")
    return 1 if bad else 0


def _soak(chosen: argparse.Namespace) -> int:
    """Many short calls; 0 if all stayed flat and exact."""
    from app.chaos import soak

    def done(look: soak.Look) -> None:
        if not chosen.json:
            rows = " ".join(f"{name} {count}" for name, count in look.rows.items())
            print(
                f"{look.calls:>7} calls  {look.seconds:7.1f} s  {look.rss_kb / 1024:6.1f} MB  {look.tasks:>3} tasks  "
                f"{look.files:>3} descriptors  {rows}",
                flush=True,
            )

    looks = soak.run(chosen.calls, chosen.jobs or soak.AT_A_TIME, done)
    wrong = soak.judge(looks)
    if chosen.json:
        print(msgspec.json.encode({"ok": not wrong, "why": wrong, "looks": looks}).decode())
    else:
        print("\n".join(wrong) or "flat and exact")
        if not soak.settled(looks):
            print(
                "memory was not judged: calls that are over are remembered for minutes, and this was too short; take more"
            )
    return 1 if wrong else 0
