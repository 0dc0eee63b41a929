"""The targets, each judged by what was measured in this very run and by nothing else."""

from collections.abc import Iterator

import msgspec

from bench.arithmetic import Spread
from bench.book import Book, Verdict
from bench.parts import GREETING_MODEL_MS, MEMORY_CALLS, OPENS_MS
from bench.subjects import SUBJECTS

US = "fast"
FLOOR = "floor"
TWIN = "sample"
PEERS = tuple(subject.name for subject in SUBJECTS.values() if subject.peer)


class Bound(msgspec.Struct, frozen=True):
    """A figure of ours that must not be above `most`. less: what is taken off first, the model's own time."""

    what: str
    trial: str
    figure: str
    most: float
    unit: str
    less: float = 0.0


class Ratio(msgspec.Struct, frozen=True):
    """Ours by another's, round by round; at most, or at least, `bound`."""

    what: str
    trial: str
    figure: str
    other: str
    bound: float
    at_least: bool = False


TARGETS: tuple[Bound | Ratio, ...] = (
    Ratio("CPU per message by the floor's, 150 calls", "steady 150", "CPU per message", FLOOR, 1.6),
    Ratio("the same, stretch", "steady 150", "CPU per message", FLOOR, 1.35),
    Ratio("CPU per message by the sample twin's, 150 calls", "steady 150", "CPU per message", TWIN, 0.65),
    Ratio("calls on one core by the sample twin's", "ladder", "calls on one core", TWIN, 1.6, at_least=True),
    Ratio("the same, stretch", "ladder", "calls on one core", TWIN, 2.5, at_least=True),
    Bound("p99 added at 150 calls, up", "steady 150", "up p99", 0.3, "ms"),
    Bound("p99 added at 150 calls, down", "steady 150", "down p99", 0.3, "ms"),
    *(
        Bound(
            f"greeting prepared, opened after {ms} ms: ours, p99",
            f"greeting prepared, opened after {ms} ms",
            "of that ours, p99",
            5.0,
            "ms",
        )
        for ms in OPENS_MS
    ),
    Bound(
        "greeting cold: less the model's time, handshakes in it, p99",
        "greeting cold",
        "stream start to first audio, p99",
        10.0,
        "ms",
        less=GREETING_MODEL_MS,
    ),
    Bound("turn: ours, p99", "turns", "turn less the model's time, p99", 5.0, "ms"),
    Bound("barge-in: speech_started to clear, p99", "barge-ins", "speech_started to clear, p99", 1.0, "ms"),
    Bound("webhook, p50", "webhooks", "webhook p50", 3.0, "ms"),
    Bound("memory per call", f"idle {MEMORY_CALLS}", "memory per call (RSS)", 64.0, "kB"),
    Bound("memory per call with TLS", f"idle {MEMORY_CALLS} over TLS", "memory per call (RSS)", 150.0, "kB"),
)


def judge(book: Book) -> list[Verdict]:
    """Every target by this book."""
    return [*_listed(book), *_below_every_peer(book)]


def _listed(book: Book) -> Iterator[Verdict]:
    for target in TARGETS:
        match target:
            case Bound():
                yield _bound(book, target)
            case Ratio():
                yield _ratio(book, target)


def _bound(book: Book, target: Bound) -> Verdict:
    row = book.row(target.trial, target.figure, US)
    text = f"<= {target.most:g} {target.unit}"
    if row is None or row.spread is None:
        return Verdict(target.what, text, "", "not measured", book.missing(target.trial, target.figure, US))
    whole, less = row.spread, target.less
    taken = Spread(whole.median - less, whole.low - less, whole.high - less, whole.rounds)
    return Verdict(target.what, text, show(taken, target.unit), _met(taken.median <= target.most))


def _ratio(book: Book, target: Ratio) -> Verdict:
    found = book.ratio(target.trial, target.figure, US, target.other)
    text = f"{'>=' if target.at_least else '<='} {target.bound:g}x"
    if found is None:
        measured = book.median(target.trial, target.figure, US) is not None
        why = book.missing(target.trial, target.figure, target.other if measured else US)
        return Verdict(target.what, text, "", "not measured", why)
    met = found.median >= target.bound if target.at_least else found.median <= target.bound
    return Verdict(target.what, text, show(found, "x"), _met(met))


def _below_every_peer(book: Book) -> Iterator[Verdict]:
    """p99 at 150 calls, each way. Peers that were not measured are named: the verdict is about the others alone."""
    for way in ("up", "down"):
        what, trial, figure = f"p99 added at 150 calls, {way}, by every peer's", "steady 150", f"{way} p99"
        ours = book.median(trial, figure, US)
        theirs = {peer: value for peer in PEERS if (value := book.median(trial, figure, peer)) is not None}
        if ours is None or not theirs:
            who = US if ours is None else PEERS[0]
            yield Verdict(what, "below each", "", "not measured", book.missing(trial, figure, who))
            continue
        absent = [peer for peer in PEERS if peer not in theirs]
        lowest = min(theirs, key=lambda peer: theirs[peer])
        measured = f"{ours:.2f} ms; lowest peer {lowest}: {theirs[lowest]:.2f} ms"
        why = f"without {', '.join(absent)}, not measured" if absent else ""
        yield Verdict(what, "below each", measured, _met(ours < theirs[lowest]), why)


def _met(met: bool) -> str:
    return "met" if met else "not met"


def show(found: Spread, unit: str = "") -> str:
    """A median with its spread: `1.31x [1.28-1.35]`."""
    mark = unit if unit in ("x", "%") else f" {unit}" if unit else ""
    if found.rounds == 1:
        return f"{number(found.median)}{mark} [1 round]"
    return f"{number(found.median)}{mark} [{number(found.low)}-{number(found.high)}]"


def number(value: float) -> str:
    """Three digits that count; whole above a thousand."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"
