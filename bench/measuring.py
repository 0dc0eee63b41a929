"""One measurement: a run of the load against a subject, with the subject's CPU and memory over the very same window."""

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from app.errors import OffhookError, SetupError
from bench.load import CPU_SHARE, PACING_US, Keys, Load, NotMeasured, Result, lagged
from bench.usage import Usage

TRIES = 3
SETTLED_SHARE = 0.03
"""Of a core: a relay that uses less than this has done with the calls before."""
SETTLE_SECONDS = 30.0
LOOK_SECONDS = 0.5
LAG_WINDOW_SECONDS = 3.0
"""The gauge holds the worst of so long: what it says earlier is of the time before the window."""
PATHS = ("prepared", "spare", "cold", "fallback")
"""How a greeting may come: labels of `offhook_greeting_seconds`."""
ROBUST_US = 20_000.0
"""So late a hundredth of the load's frames may be where that changes nothing: for counts of the whole window, and for medians."""


class Trial(msgspec.Struct, frozen=True):
    """What the load is to do. `keys` are its own words."""

    name: str
    keys: dict[str, str | int | float]
    stream: bool = False
    """Dial the stream without a webhook."""
    watch_lag: bool = False
    """Read the loop's lag meanwhile, which costs the relay a little."""
    pacing_us: float = PACING_US
    """How late the load may send its frames; a count of CPU forgives more than a latency."""
    greeted: str = ""
    """By which path ours has to greet in it; that it did is read from its metrics."""


class Measured(msgspec.Struct, frozen=True):
    """One run that counts: what the load saw, and what the relay used in its window."""

    result: Result
    before: Usage
    """Before the first call of the run."""
    start: Usage
    end: Usage
    postgres_cpu_s: float = 0
    loop_lag_ms: list[float] = []
    tries: int = 1
    late: str = ""
    """Why only counts and medians hold; empty if the load kept pace."""
    paths: dict[str, float] = {}
    """How many calls were greeted by which path, where the trial asks."""

    @property
    def cpu_s(self) -> float:
        """The relay's, in the window."""
        return self.end.cpu_s - self.start.cpu_s


class Thrown(msgspec.Struct, frozen=True):
    """A run that was thrown away, or all of it but counts and medians, and why."""

    subject: str
    trial: str
    why: str


class Target(Protocol):
    """A subject that answers, as far as a measurement needs it."""

    def keys(self, *, stream: bool = False) -> Keys:
        """How the load dials it."""
        ...

    def usage(self) -> Usage:
        """What it has used so far."""
        ...

    def metric(self, name: str) -> float:
        """One of its metrics."""
        ...


def measure(
    load: Load,
    name: str,
    target: Target,
    trial: Trial,
    *,
    thrown: list[Thrown],
    postgres: Callable[[], Usage] | None = None,
    helpers: Callable[[], Usage] | None = None,
    settle: Callable[[Target], None] = lambda target: None,
    tries: int = TRIES,
) -> Measured:
    """One run that counts; one in which the load lagged is thrown away, said so and repeated, up to `tries` in all.

    Of the last one counts and medians are kept, if it was no later than ROBUST_US. helpers: what else works on the load's
    core. settle: waits until the relay has done with the calls before. Raises NotMeasured, SetupError.
    """
    why = ""
    kept: Measured | None = None
    before: Usage | None = None
    for attempt in range(1, tries + 1):
        settle(target)
        before = before or target.usage()  # once: what a run that is thrown away took, the next one finds taken
        measured, helped_s = _once(load, target, trial, before, postgres, helpers)
        measured = msgspec.structs.replace(measured, tries=attempt)
        others = helped_s / measured.result.window_s if measured.result.window_s else 0.0
        why = lagged(measured.result, others_share=others, cpu_share=CPU_SHARE, pacing_us=trial.pacing_us)
        if not why:
            return measured
        thrown.append(Thrown(name, trial.name, why))
        say(f"    thrown away: {name} {trial.name}: {why}")
        if not lagged(measured.result, others_share=others, cpu_share=CPU_SHARE, pacing_us=ROBUST_US):
            kept = msgspec.structs.replace(measured, late=f"the load lagged: {why}")
    if kept is not None:
        return kept
    raise NotMeasured(f"the load lagged: {why}{f', {tries} times' if tries > 1 else ''}")


def settle(target: Target) -> None:
    """Wait until the relay is quiet: what it still writes down of the calls before is no part of the next run's figures.

    Half a minute at most: a peer may have something to do at all times, and then that is a part of them.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    before, at = target.usage().cpu_s, time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        now, cpu_s = time.monotonic(), target.usage().cpu_s
        if cpu_s - before < SETTLED_SHARE * (now - at):
            return
        before, at = cpu_s, now


def _once(
    load: Load,
    target: Target,
    trial: Trial,
    before: Usage,
    postgres: Callable[[], Usage] | None,
    helpers: Callable[[], Usage] | None,
) -> tuple[Measured, float]:
    """One run, whatever it is worth, and the seconds of CPU that helpers used in its window."""
    seen: dict[str, tuple[Usage, float, float]] = {}
    lags: list[float] = []
    begins = 0.0

    def at(event: str) -> None:
        nonlocal begins
        begins = begins or time.monotonic()
        seen[event] = (target.usage(), postgres().cpu_s if postgres else 0.0, helpers().cpu_s if helpers else 0.0)

    def tick() -> None:
        if begins and time.monotonic() - begins >= LAG_WINDOW_SECONDS and "window_end" not in seen:
            with contextlib.suppress(SetupError):  # a relay that does not answer has its own figure to show it
                lags.append(target.metric("offhook_loop_lag_seconds") * 1000)

    keys = {**trial.keys, **target.keys(stream=trial.stream)}
    paths = _paths(target) if trial.greeted else {}
    result = load.run(keys, at=at, tick=tick if trial.watch_lag else None, tick_seconds=0.5)
    if "window_start" not in seen or "window_end" not in seen:
        raise NotMeasured("the load named no window")
    if result.connected == 0:
        raise NotMeasured(f"no call got through{_first(result.protocol_errors)}")
    start, end = seen["window_start"], seen["window_end"]
    measured = Measured(result, before, start[0], end[0], end[1] - start[1], lags)
    if trial.greeted:
        after = _paths(target)
        measured = msgspec.structs.replace(measured, paths={path: after[path] - paths[path] for path in PATHS})
    return measured, end[2] - start[2]


def _paths(target: Target) -> dict[str, float]:
    """How many calls it has greeted by each path; nothing where it does not tell."""
    found = dict.fromkeys(PATHS, 0.0)
    with contextlib.suppress(SetupError):
        return {path: target.metric(f'offhook_greeting_seconds_count{{path="{path}"}}') for path in PATHS}
    return found


def _first(errors: list[str]) -> str:
    return f": {errors[0]}" if errors else ""


def say(text: str) -> None:
    """Progress, for a person; the results go to stdout."""
    print(text, file=sys.stderr, flush=True)


def reason(wrong: OffhookError) -> str:
    """An error in one line of a table."""
    return " ".join(str(wrong).split())
