"""A house's jobs beside its calls: they run while it is open, need nobody, and are cancelled when the calls are over."""

import asyncio
from collections.abc import Coroutine

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.late_indexes import build_missing
from app.adapters.stats_days import keep_counting
from app.calls.switchboard import Switchboard
from app.jobs.recording_care import care_for_recordings
from app.jobs.tidying import tidy
from app.settings import Settings

log = structlog.get_logger()


def start_jobs(
    settings: Settings,
    engine: AsyncEngine,
    database_url: str,
    board: Switchboard,
    courier: Coroutine[object, object, object],
) -> list[asyncio.Task[object]]:
    """Start them. courier: who tells others of finished calls."""
    jobs: dict[str, Coroutine[object, object, object]] = {
        "spending": board.watch_spending(),
        "retention": tidy(engine, settings.retention),
        "standings": board.keep_all(),
        "late indexes": build_missing(database_url),
        "recordings": care_for_recordings(engine, settings.data, settings.recording),
        "sums of days": keep_counting(engine, settings.office.zone),
        "courier": courier,
    }
    tasks = [asyncio.create_task(job, name=name) for name, job in jobs.items()]
    for task in tasks:
        task.add_done_callback(_tell_of_fault)
    return tasks


def _tell_of_fault(job: asyncio.Task[object]) -> None:
    """A job that broke is not begun again before the next start: somebody has to know, and nobody awaits it until then."""
    if not job.cancelled() and (wrong := job.exception()) is not None:
        log.error("a fault of ours ended a job of the house", job=job.get_name(), exc_info=wrong)
