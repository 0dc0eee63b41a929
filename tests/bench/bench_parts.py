"""What tests of the bench share: a load that plays a script, a subject that is none, a book with figures."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.book import Book, Row
from bench.children import Child
from bench.load import Load
from bench.subjects import Subject
from bench.usage import Usage

SCRIPTED = Path(__file__).with_name("scripted_load.py")
GOOD = {"load": {"cpu_share": 0.2, "pacing_p99_us": 100}, "messages": {"up": 900, "down": 100}}
LATE = {"load": {"cpu_share": 0.2, "pacing_p99_us": 9000}}
ASLEEP = {"load": {"cpu_share": 0.2, "pacing_p99_us": 30_000}}
BUSY = {"load": {"cpu_share": 0.95, "pacing_p99_us": 100}}


@contextlib.contextmanager
def scripted(folder: Path, results: Sequence[dict[str, Any]]) -> Iterator[Load]:
    """A load whose runs give these results, one after the other."""
    script = folder / "results.jsonl"
    script.write_text("".join(json.dumps(result) + "\n" for result in results))
    child = Child("load", [sys.executable, str(SCRIPTED), str(script)], log=folder / "load.log")
    try:
        yield Load(child)
    finally:
        child.end()


def told(folder: Path) -> list[str]:
    """What the load was told."""
    return (folder / "results.told").read_text().splitlines()


class Idler:
    """A subject that uses one second of CPU between two looks, and has one more kB each time."""

    def __init__(self, lag_s: float = 0.001, subject: Subject | None = None) -> None:
        self.looks = 0
        self.lag_s = lag_s
        self.subject = subject

    def keys(self, *, stream: bool = False) -> dict[str, str]:
        return {"stream" if stream else "webhook": "nowhere"}

    def usage(self) -> Usage:
        self.looks += 1
        return Usage(float(self.looks), 1000.0 + self.looks, 0.0, 3, 1)

    def metric(self, name: str) -> float:
        return self.lag_s


def book(**figures: float | None) -> Book:
    """A book of one round. figures: subject__trial__figure=value, with _ for a blank."""
    made = Book(when="2026-11-21T00:00:00+00:00", command="./offhook bench", machine=FACTS, cores="one each", rounds=1)
    for name, value in figures.items():
        subject, trial, figure = name.split("__")
        row = Row("part", trial.replace("_", " "), figure.replace("_", " "), "ms", subject)
        made.put(row, 0, value, "" if value is not None else "it was tired")
    return made


FACTS = dict.fromkeys(
    (
        "processor", "cores", "memory", "system", "load average", "Python", "Offhook",
        "websockets", "uvloop", "hypercorn", "starlette", "msgspec",
    ),
    "some",
)  # fmt: skip
