"""The house's jobs: one that breaks is told of at once, and takes no other with it."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from app import house_jobs
from tests.house.samples import make_settings

WORK = ("tidy", "build_missing", "care_for_recordings", "keep_counting")


async def goes_on(*given: object) -> None:
    """Until it is cancelled."""
    await asyncio.Event().wait()


async def breaks() -> None:
    """At once."""
    raise KeyError("what nobody thought of")


async def test_a_job_that_breaks_is_told_of_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WORK:
        monkeypatch.setattr(house_jobs, name, goes_on)
    board = cast(Any, SimpleNamespace(watch_spending=goes_on, keep_all=breaks))
    with capture_logs() as logs:
        jobs = house_jobs.start_jobs(make_settings(), cast(Any, None), "", board, goes_on())
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert [job.get_name() for job in jobs if job.done()] == ["standings"]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    (told,) = logs
    assert (told["log_level"], told["job"]) == ("error", "standings"), "and none for those that were cancelled"
    assert isinstance(told["exc_info"], KeyError)
