"""The load, from outside: one process that plays the carrier and the model, told by lines, answering in lines of JSON."""

import time
from collections.abc import Callable, Mapping

import msgspec

from app.errors import OffhookError, SetupError
from bench.children import Child

READY_SECONDS = 15.0
SLACK_SECONDS = 45.0
"""What a run may take on top of what it was told to."""
CPU_SHARE = 0.85
PACING_US = 2_000.0


class NotMeasured(OffhookError):
    """There is no figure for this cell, and why."""


class Way(msgspec.Struct, frozen=True):
    """Frames of one direction in the window: counts, and microseconds from one end to the other."""

    sent: int = 0
    received: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    crosstalk: int = 0
    p50_us: float = 0
    p99_us: float = 0
    p999_us: float = 0
    max_us: float = 0


class Probe(msgspec.Struct, frozen=True):
    """Something that was timed n times. The `ours` figures are less what the model itself took; greeting alone has them."""

    n: int = 0
    p50_us: float = 0
    p99_us: float = 0
    ours_p50_us: float = 0
    ours_p99_us: float = 0
    dialled_before_start: int = 0


class Messages(msgspec.Struct, frozen=True):
    """What the relay had to carry in the window: frames up, deltas down."""

    up: int = 0
    down: int = 0


class Own(msgspec.Struct, frozen=True):
    """How the load itself did."""

    cpu_s: float = 0
    cpu_share: float = 0
    pacing_p99_us: float = 0
    pacing_max_us: float = 0


class Result(msgspec.Struct, frozen=True):
    """One run as the load saw it."""

    scenario: str
    calls: int
    connected: int = 0
    failed: int = 0
    window_s: float = 0
    up: Way = Way()
    down: Way = Way()
    messages: Messages = Messages()
    first_of_reply: Probe = Probe()
    webhook: Probe = Probe()
    greeting: Probe = Probe()
    turn: Probe = Probe()
    bargein: Probe = Probe()
    load: Own = Own()
    protocol_errors: list[str] = []
    model_sockets_peak: int = 0


Keys = Mapping[str, str | int | float]
"""What a run is told; the names are the load's own."""


class Load:
    """A load that runs. One run at a time."""

    def __init__(self, child: Child) -> None:
        """Waits until it listens. Raises SetupError."""
        self.child = child
        port = child.wait_for("ready", READY_SECONDS).get("model_port")
        if not isinstance(port, int):
            raise SetupError(f"expected the load to tell its model's port, got {port!r}")
        self.model_port = port
        self._runs_until = 0.0
        """A run was begun whose end has not been read; it comes by then. 0: none."""

    def run(
        self,
        keys: Keys,
        *,
        at: Callable[[str], None] = lambda event: None,
        tick: Callable[[], None] | None = None,
        tick_seconds: float = 1.0,
    ) -> Result:
        """One run. at: called when the measured window starts and ends. tick: called so often meanwhile.

        Raises NotMeasured if it could not start, SetupError if the load is gone or says nothing any more.
        """
        if self._runs_until:
            self._end_the_last()
        self.child.tell("run " + " ".join(f"{name}={value}" for name, value in keys.items()))
        deadline = self._runs_until = time.monotonic() + self._seconds(keys)
        while (left := deadline - time.monotonic()) > 0:
            said = self.child.event(min(left, tick_seconds) if tick else left)
            match said:
                case None:
                    if tick is not None:
                        tick()
                case {"event": "window_start" | "window_end" as event}:
                    at(event)
                case {"event": "result"}:
                    self._runs_until = 0.0
                    return msgspec.convert(said, Result)
                case {"event": "failed", "why": why}:
                    self._runs_until = 0.0
                    raise NotMeasured(str(why))
        raise SetupError(self.child.gone("expected the result of a run"))

    def _end_the_last(self) -> None:
        """Read past what is left of a run that was given up on: none of it may be taken for the next one's.

        Its relay may be gone since: then its calls fail, and that takes a moment.
        """
        until = max(self._runs_until, time.monotonic() + SLACK_SECONDS)
        while (left := until - time.monotonic()) > 0:
            match self.child.event(left):
                case {"event": "result" | "failed"}:
                    self._runs_until = 0.0
                    return
        raise SetupError(self.child.gone("expected the end of the run before"))

    @staticmethod
    def _seconds(keys: Keys) -> float:
        """How long a run may take at most."""
        calls = float(keys.get("calls", 50))
        own = float(keys.get("warmup_s", 2)) + float(keys.get("window_s", 10))
        waits = float(keys.get("open_after_ms", 100)) + float(keys.get("first_audio_ms", 200)) + 1_000
        in_turn = float(keys.get("repeat", 1)) / max(1.0, calls) * waits / 1000 * 4
        return calls / float(keys.get("ramp_per_s", 50)) + own + in_turn + SLACK_SECONDS


def lagged(
    result: Result, *, others_share: float = 0.0, cpu_share: float = CPU_SHARE, pacing_us: float = PACING_US
) -> str:
    """Why a run says nothing about the relay, in a few words; empty if it does. others_share: of the load's core, by helpers."""
    share = result.load.cpu_share + others_share
    if share > cpu_share:
        return f"the load used {share:.0%} of its core (at most {cpu_share:.0%})"
    if result.load.pacing_p99_us > pacing_us:
        return f"the load sent its frames {result.load.pacing_p99_us / 1000:.1f} ms late (p99; at most {pacing_us / 1000:g} ms)"
    return ""
