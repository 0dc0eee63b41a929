"""How the console writes figures, times and telephone numbers: the filters of its templates."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from app.rules.office import E164

WITHHELD = "number withheld"


def masked(number: str) -> str:
    """A caller's number as pages show it that many people may see: enough to tell calls apart, too little to call back."""
    if not number:
        return WITHHELD
    if not E164.fullmatch(number):
        return "not a number"
    return f"{number[:3]}•••{number[-3:]}" if len(number) >= 10 else f"{number[:2]}•••{number[-2:]}"


def usd(dollars: float | None) -> str:
    """Dollars as money that is small: $0.0042, $0.13, $12.40."""
    if dollars is None:
        return "–"
    return f"${dollars:.4f}" if 0 < dollars < 0.01 else f"${dollars:,.2f}"


def ms(value: float | None) -> str:
    """Milliseconds: 240 ms, 1.35 s."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def lasting(seconds: float | None) -> str:
    """How long something took or takes: 0:07, 12:30, 1:02:03."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Clock:
    """Points in time on the operator's clock. All take aware datetimes. zone: asked anew each time, as a reload may change it."""

    def __init__(self, zone: Callable[[], ZoneInfo]) -> None:
        self.zone = zone

    def moment(self, at: datetime | None) -> str:
        """Day and time of day: 2026-11-21 16:05:09."""
        return "–" if at is None else at.astimezone(self.zone()).strftime("%Y-%m-%d %H:%M:%S")

    def day(self, at: datetime | None) -> str:
        """The day: 2026-11-21."""
        return "–" if at is None else at.astimezone(self.zone()).strftime("%Y-%m-%d")

    def clock(self, at: datetime | None) -> str:
        """The time of day: 16:05:09."""
        return "–" if at is None else at.astimezone(self.zone()).strftime("%H:%M:%S")


def way_back(target: str) -> str:
    """Where to go after a login: a path of our own with its query, or `/` for anything else."""
    ours = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if ours and target.partition("?")[0] not in ("/login", "/logout") else "/"


def page_of(url: str) -> str:
    """The path and query of a whole URL of ours, to come back to; `/` if it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    return way_back((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
