"""The parts of the bench: which subjects each one measures, by which runs, and which figures it reads from them."""

from collections.abc import Callable
from typing import Literal

import msgspec

from bench.load import Way
from bench.measuring import ROBUST_US, Measured, Trial

GREETING_MODEL_MS = 600
"""The model's first audio comes so long after it was asked."""
OPENS_MS = (300, 800, 1500)
"""When the carrier opens the stream, after the webhook's answer."""
MEMORY_CALLS = 200
LADDER = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 800, 1000, 1200, 1500, 2000)
LADDER_STEP = 10
LADDER_P99_US = 20_000.0
LADDER_KEYS: dict[str, str | int | float] = {"scenario": "steady", "ramp_per_s": 100, "warmup_s": 2, "window_s": 5}

Who = Literal["all", "ours", "converses", "fast"]


class Figure(msgspec.Struct, frozen=True):
    """One number to be read from a run. better: which way is good, for the table's ratios."""

    name: str
    unit: str
    read: Callable[[Measured], float | None]
    whole_only: bool = False
    robust: bool = False
    """A count of the whole window, or a median: it holds though some of the load's frames were late."""


class Cell(msgspec.Struct, frozen=True):
    """One run of a part, on which subjects, under which settings, and its figures."""

    part: str
    trial: Trial
    figures: tuple[Figure, ...]
    who: Who = "all"
    variant: str = ""
    """Name of the settings that differ: a subject is started anew for each variant."""


NO_SPARE = {"SPARE_LINKS": "0"}
VARIANTS: dict[str, dict[str, str]] = {
    "no spare links": NO_SPARE,
    "TLS": {},
    "TLS, no spare links": NO_SPARE,
    "memory": {},
}
"""Settings of ours that differ from a plain start. TLS gets its own from the run; memory is a start for that alone."""
OVER_TLS = ("TLS", "TLS, no spare links")
GROUPS: tuple[tuple[str, ...], ...] = (
    ("memory",),
    ("cpu", "latency", "lag"),
    ("ladder",),
    ("webhook", "greeting", "turn", "bargein"),
    ("tls",),
    ("startup",),
)
"""Parts that a subject is measured by before it is the next one's turn: what is compared lies minutes apart at most."""


def _steady(calls: int) -> Trial:
    return Trial(f"steady {calls}", {"scenario": "steady", "calls": calls})


def us_per_message(measured: Measured) -> float | None:
    """CPU of the relay by what it carried: frames up and deltas down."""
    carried = measured.result.messages.up + measured.result.messages.down
    return measured.cpu_s * 1e6 / carried if carried else None


def core_share(measured: Measured) -> float | None:
    """How busy the relay's core was by it, in percent."""
    return 100 * measured.cpu_s / measured.result.window_s if measured.result.window_s else None


def _postgres_share(measured: Measured) -> float | None:
    return 100 * measured.postgres_cpu_s / measured.result.window_s if measured.result.window_s else None


def missed(measured: Measured) -> str:
    """Why a run is not the one that was asked for, in a few words; empty if it is."""
    result = measured.result
    if result.connected < result.calls or result.failed:
        return f"only {result.connected - result.failed} of {result.calls} calls were carried to their end"
    return ""


def unfit(figure: Figure, measured: Measured, greeted: str) -> str:
    """Why a run does not give a figure, though it came to its end; empty if it does. greeted: the path of all its greetings."""
    if figure.name == FAULTS.name:
        return ""
    of_the_path = measured.paths.get(greeted, 0.0)
    if greeted and of_the_path < measured.result.greeting.n:
        return f"only {of_the_path:.0f} of {measured.result.greeting.n} calls were greeted by the path {greeted}"
    return missed(measured) or ("" if figure.robust else measured.late)


def _faults(measured: Measured) -> float:
    """Frames lost, reordered, doubled or heard by another call, both ways, and calls that failed."""
    ways = (measured.result.up, measured.result.down)
    return measured.result.failed + sum(w.lost + w.reordered + w.duplicated + w.crosstalk for w in ways)


def carried(measured: Measured) -> bool:
    """Whether all of its calls were carried as they should: nothing lost or mixed up, p99 under 20 ms each way."""
    result = measured.result
    late = max(result.up.p99_us, result.down.p99_us) >= LADDER_P99_US
    return result.connected == result.calls and _faults(measured) == 0 and not late


def _way(name: Literal["up", "down"], field: str) -> Figure:
    def read(measured: Measured) -> float | None:
        way: Way = getattr(measured.result, name)
        return float(getattr(way, field)) / 1000 if way.received else None

    return Figure(f"{name} {field.removesuffix('_us').replace('p999', 'p99.9')}", "ms", read, robust=field == "p50_us")


def _probe(probe: str, field: str, name: str, *, unit: str = "ms", less: float = 0.0) -> Figure:
    def read(measured: Measured) -> float | None:
        timed = getattr(measured.result, probe)
        return float(getattr(timed, field)) / 1000 - less if timed.n else None

    return Figure(name, unit, read, robust=field.endswith("p50_us"))


def per_call_kb(field: Literal["rss_kb", "pss_kb"]) -> Callable[[Measured], float | None]:
    """Memory at the end of the window less that before the first call, by call."""

    def read(measured: Measured) -> float | None:
        grown = getattr(measured.end, field) - getattr(measured.before, field)
        return grown / measured.result.connected if getattr(measured.end, field) else None

    return read


LATENCY = tuple(_way(way, field) for way in ("up", "down") for field in ("p50_us", "p99_us", "p999_us"))
CPU = (
    Figure("CPU per message", "us", us_per_message, robust=True),
    Figure("core used", "%", core_share, robust=True),
    Figure("Postgres besides", "% of a core", _postgres_share, whole_only=True, robust=True),
)
FAULTS = Figure("frames and calls lost or mixed up", "", _faults, robust=True)
MEMORY = (
    Figure("memory per call (RSS)", "kB", per_call_kb("rss_kb"), robust=True),
    Figure("memory per call (PSS)", "kB", per_call_kb("pss_kb"), robust=True),
)
GREETING = (
    _probe("greeting", "p50_us", "stream start to first audio, p50"),
    _probe("greeting", "p99_us", "stream start to first audio, p99"),
    _probe("greeting", "ours_p50_us", "of that ours, p50"),
    _probe("greeting", "ours_p99_us", "of that ours, p99"),
)


def _greeting(path: str, more: str = "", *, calls: int, stream: bool = True, open_after_ms: int = 100) -> Trial:
    keys: dict[str, str | int | float] = {"scenario": "greeting", "calls": calls, "repeat": 100}
    keys |= {"first_audio_ms": GREETING_MODEL_MS, "open_after_ms": open_after_ms}
    return Trial(f"greeting {path}{more}", keys, stream=stream, greeted=path)


def _idle(more: str = "", *, ramp_per_s: int = 100) -> Trial:
    keys: dict[str, str | int | float] = {"scenario": "idle", "calls": MEMORY_CALLS, "ramp_per_s": ramp_per_s}
    return Trial(f"idle {MEMORY_CALLS}{more}", {**keys, "warmup_s": 3, "window_s": 3}, pacing_us=ROBUST_US)


CELLS: tuple[Cell, ...] = (
    Cell("memory", _idle(), MEMORY, variant="memory"),
    Cell("cpu", _steady(150), (*CPU, FAULTS)),
    Cell("latency", _steady(50), (*LATENCY, FAULTS)),
    Cell("latency", _steady(150), LATENCY),
    Cell(
        "webhook",
        Trial("webhooks", {"scenario": "greeting", "calls": 10, "repeat": 200, "first_audio_ms": 50}),
        (_probe("webhook", "p50_us", "webhook p50"), _probe("webhook", "p99_us", "webhook p99")),
        who="ours",
    ),
    *(
        Cell(
            "greeting",
            _greeting("prepared", f", opened after {ms} ms", calls=20, stream=False, open_after_ms=ms),
            GREETING,
            who="ours",
        )
        for ms in OPENS_MS
    ),
    Cell("greeting", _greeting("spare", calls=2), GREETING, who="fast"),
    Cell("greeting", _greeting("cold", calls=4), GREETING, who="converses", variant="no spare links"),
    Cell(
        "turn",
        Trial("turns", {"scenario": "turn", "calls": 20, "window_s": 30, "reply_ms": 2000, "every_ms": 4000}),
        (
            _probe("turn", "p50_us", "turn less the model's time, p50"),
            _probe("turn", "p99_us", "turn less the model's time, p99"),
        ),
        who="converses",
    ),
    Cell(
        "bargein",
        Trial("barge-ins", {"scenario": "bargein", "calls": 20, "window_s": 30, "every_ms": 5000}),
        (
            _probe("bargein", "p50_us", "speech_started to clear, p50"),
            _probe("bargein", "p99_us", "speech_started to clear, p99"),
        ),
        who="converses",
    ),
    Cell("tls", _idle(" over TLS", ramp_per_s=20), MEMORY, who="fast", variant="TLS"),
    Cell(
        "tls",
        Trial("steady 150 over TLS", {"scenario": "steady", "calls": 150}),
        (*CPU, *LATENCY, FAULTS),
        who="fast",
        variant="TLS",
    ),
    Cell("tls", _greeting("cold", " over TLS", calls=2), GREETING, who="fast", variant="TLS, no spare links"),
    Cell(
        "lag",
        Trial("loop lag at 150", {"scenario": "steady", "calls": 150}, watch_lag=True),
        (
            Figure("loop lag, highest", "ms", lambda m: max(m.loop_lag_ms, default=None)),
            Figure(
                "loop lag, highest of 3 s, mean",
                "ms",
                lambda m: sum(m.loop_lag_ms) / len(m.loop_lag_ms) if m.loop_lag_ms else None,
            ),
        ),
        who="ours",
    ),
)

PARTS: dict[str, str] = {
    "cpu": "CPU per message at 150 calls",
    "ladder": "calls on one core with p99 under 20 ms and nothing lost",
    "latency": "added latency each way at 50 and 150 calls",
    "memory": "memory per call",
    "webhook": "the webhook's answer",
    "greeting": "stream start to first audio: prepared, spare, cold",
    "turn": "the caller's last word to the reply, less the model's time",
    "bargein": "speech_started to clear",
    "tls": "CPU, latency, memory and a cold greeting with TLS to the model",
    "lag": "how late the loop runs at 150 calls",
    "startup": "from start to ready",
    "soak": "memory and descriptors over --minutes",
}
