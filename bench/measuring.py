"""One measurement: a run of the load against a subject, with the subject's CPU and memory over the very same window."""

import contextlib
import sys
from collections.abc import Callable
from typing import Protocol

import msgspec

from app.errors import OffhookError, SetupError
from bench.load import CPU_SHARE, PACING_US, Keys, Load, NotMeasured, Result, lagged
from bench.usage import Usage

TRIES = 3


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

    @property
    def cpu_s(self) -> float:
        """The relay's, in the window."""
        return self.end.cpu_s - self.start.cpu_s


class Thrown(msgspec.Struct, frozen=True):
    """A run that was thrown away, and why."""

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
    tries: int = TRIES,
) -> Measured:
    """One run that counts; one in which the load lagged is thrown away, said so and repeated, three times in all.

    helpers: what else works on the load's core. Raises NotMeasured, SetupError.
    """
    why = ""
    before = target.usage()  # once: what a run that is thrown away took, the next one finds taken
    for attempt in range(1, tries + 1):
        measured, helped_s = _once(load, target, trial, before, postgres, helpers)
        measured = msgspec.structs.replace(measured, tries=attempt)
        others = helped_s / measured.result.window_s if measured.result.window_s else 0.0
        why = lagged(measured.result, others_share=others, cpu_share=CPU_SHARE, pacing_us=trial.pacing_us)
        if not why:
            return measured
        thrown.append(Thrown(name, trial.name, why))
        say(f"    thrown away: {name} {trial.name}: {why}")
    raise NotMeasured(f"the load lagged: {why}{f', {tries} times' if tries > 1 else ''}")


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

    def at(event: str) -> None:
        seen[event] = (target.usage(), postgres().cpu_s if postgres else 0.0, helpers().cpu_s if helpers else 0.0)

    def tick() -> None:
        if "window_start" in seen and "window_end" not in seen:
            with contextlib.suppress(SetupError):  # a relay that does not answer has its own figure to show it
                lags.append(target.metric("offhook_loop_lag_seconds") * 1000)

    keys = {**trial.keys, **target.keys(stream=trial.stream)}
    result = load.run(keys, at=at, tick=tick if trial.watch_lag else None, tick_seconds=0.5)
    if "window_start" not in seen or "window_end" not in seen:
        raise NotMeasured("the load named no window")
    if result.connected == 0:
        raise NotMeasured(f"no call got through{_first(result.protocol_errors)}")
    start, end = seen["window_start"], seen["window_end"]
    return Measured(result, before, start[0], end[0], end[1] - start[1], lags), end[2] - start[2]


def _first(errors: list[str]) -> str:
    return f": {errors[0]}" if errors else ""


def say(text: str) -> None:
    """Progress, for a person; the results go to stdout."""
    print(text, file=sys.stderr, flush=True)


def reason(wrong: OffhookError) -> str:
    """An error in one line of a table."""
    return " ".join(str(wrong).split())
