"""`/stats`: the figures of a period, on the operator's clock: counts, waits against their budgets, tools, transfers and cost."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.adapters.database import DATABASE_ERRORS, reason_of
from app.adapters.stats_days import Remembered, day_edges, figures, midnight
from app.adapters.stats_queries import Group, Stats, Waits, Wish
from app.adapters.tables import storable
from app.web.console import words
from app.web.console.pages import Console
from app.web.console.plots import Plot, Series, bars, lines

log = structlog.get_logger()

PERIODS = {1: "today", 7: "7 days", 30: "30 days", 90: "90 days"}
USUAL = 7
GREETING_MS, TURN_MS = 500.0, 1200.0
"""Budgets: from the stream's start to the first sound, and from where the caller stopped to the first sound of the answer."""
KEEP_SECONDS = 30.0
"""Figures of a period are shown again for so long: a reload costs the database nothing."""
KEPT = 40
NAME = 200
"""Characters of a mode or model that is asked for."""


class Question(msgspec.Struct, frozen=True):
    """What the address asks for."""

    days: int = USUAL
    mode: str = ""
    model: str = ""

    @property
    def filtered(self) -> bool:
        """Whether only some calls are asked for."""
        return bool(self.mode or self.model)

    def link(self, **changes: int | str) -> str:
        """The address of this question with something changed."""
        asked = {**msgspec.structs.asdict(self), **changes}
        return "/stats?" + urlencode({name: value for name, value in asked.items() if value})


class Column(msgspec.Struct, frozen=True):
    """A row of the table by time."""

    label: str
    figures: Group


class StatsPage:
    """One period is counted at a time, whoever asks: figures wait for calls, not the other way round."""

    def __init__(self, console: Console, keep_seconds: float = KEEP_SECONDS) -> None:
        self.console = console
        self._keep_seconds = keep_seconds
        self._kept: dict[Wish, tuple[float, datetime, Stats]] = {}
        self._days = Remembered()
        self._one = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """The one page."""
        return [self.console.get("/stats", self.show)]

    async def show(self, request: Request) -> Response:
        """The page; 400 for a period that there is not, 503 while the database does not answer."""
        asked = request.query_params
        days = asked.get("days", str(USUAL))
        if days not in {str(known) for known in PERIODS}:
            known = ", ".join(str(number) for number in PERIODS)
            return self.console.trouble(
                request, 400, "No such period", f"Expected days to be one of {known}; got {days[:NAME]!r}."
            )
        question = Question(int(days), *(storable(asked.get(name, ""))[:NAME] for name in ("mode", "model")))
        zone = self.console.settings.office.zone
        edges = edges_of(question.days, datetime.now(UTC), zone)
        try:
            counted_at, counted = await self._figures(Wish(edges, question.mode, question.model))
        except DATABASE_ERRORS as wrong:
            log.warning("figures could not be counted", why=reason_of(wrong))
            return self.console.trouble(
                request,
                503,
                "No figures just now",
                "The database did not give them in time. Try again in a moment, or choose a shorter period.",
            )
        labels = labels_of(edges, zone, hours=question.days == 1)
        return self.console.page(
            request,
            "stats.html",
            question=question,
            periods=PERIODS,
            figures=counted,
            counted_at=counted_at,
            first=edges[0],
            last=edges[-1] - timedelta(seconds=1),
            columns=[Column(label, group) for label, group in zip(labels, counted.buckets, strict=True)],
            by="Hour" if question.days == 1 else "Day",
            plots=plots_of(
                counted,
                labels,
                "hour" if question.days == 1 else "day",
                0.0 if question.days == 1 or question.filtered else self.console.settings.max_day_cost_usd,
            ),
            share=share,
            hours=hours,
            budget={"greeting": GREETING_MS, "turn": TURN_MS},
        )

    async def _figures(self, wish: Wish) -> tuple[datetime, Stats]:
        """Counted now, or a moment ago; and when."""
        async with self._one:
            now = time.monotonic()
            self._kept = {key: kept for key, kept in self._kept.items() if now - kept[0] < self._keep_seconds}
            if wish not in self._kept:
                if len(self._kept) >= KEPT:
                    self._kept.clear()
                at = datetime.now(UTC)
                self._kept[wish] = (now, at, await figures(self.console.engine, wish, at, self._days))
            return self._kept[wish][1:]


def edges_of(days: int, now: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The edges of the last so many days up to the end of today, on the clock of a zone; of one day, of its hours. In UTC.

    A day is as long as the zone's clock has it. Hours are real ones: that which the clock repeats or skips is counted so.
    """
    today = now.astimezone(zone).date()
    if days > 1:
        return day_edges(days, now, zone)
    edges = [midnight(today, zone)]
    end = midnight(today + timedelta(days=1), zone)
    while edges[-1] < end:
        edges.append(min(edges[-1] + timedelta(hours=1), end))
    return tuple(edges)


def labels_of(edges: tuple[datetime, ...], zone: ZoneInfo, *, hours: bool) -> list[str]:
    """What each bucket is called on the zone's clock: `Mon 23 Nov`, or `14:00`."""
    return [edge.astimezone(zone).strftime("%H:%M" if hours else "%a %d %b") for edge in edges[:-1]]


def plots_of(figures: Stats, labels: list[str], by: str, day_budget_usd: float = 0.0) -> list[Plot]:
    """The pictures of the table by time. day_budget_usd: what all calls of a day may cost; 0: no line."""
    groups = figures.buckets
    axis = [label.partition(" ")[2] or label for label in labels]  # without the weekday

    def waits(name: str, title: str, of: list[Waits], budget: float) -> Plot:
        series = [
            Series("median", "first", [wait.median for wait in of]),
            Series("95th percentile", "second", [wait.p95 for wait in of]),
        ]
        return lines(name, title, labels, series, words.ms, budget=budget, axis=axis)

    return [
        bars(
            "calls",
            f"Calls by {by}",
            labels,
            [
                Series("answered", "first", [group.calls - group.failed for group in groups]),
                Series("failed", "failed", [group.failed for group in groups]),
            ],
            count,
            axis=axis,
        ),
        waits("greeting", "To the first word", [group.greeting for group in groups], GREETING_MS),
        waits("turn", "To an answer", [group.turn for group in groups], TURN_MS),
        bars(
            "cost",
            f"Cost by {by}",
            labels,
            [Series("", "first", [group.cost_usd for group in groups])],
            words.usd,
            scale=dollars,
            budget=day_budget_usd,
            axis=axis,
        ),
    ]


def count(value: float) -> str:
    """A number of things; 0.5 on a scale that ends with one."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def dollars(value: float) -> str:
    """Money on a scale: no cents where there are none."""
    return f"${value:,.0f}" if value == round(value) else words.usd(value)


def hours(seconds: float) -> str:
    """The length of all calls together."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent; a dash of nothing."""
    if not whole:
        return "–"
    per_cent = 100 * part / whole
    return f"{per_cent:.1f} %" if 0 < per_cent < 10 else f"{per_cent:.0f} %"
