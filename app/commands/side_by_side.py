"""Many rehearsals side by side: each script by each lane (a server with its model), a few at a time, in a fair order."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import msgspec

from app.adapters.store import CallStore
from app.sim.budgets import Budgets, exceeded
from app.sim.placing import Target
from app.sim.rehearsal import Watcher, rehearse
from app.sim.report import Report
from app.sim.script import Script

JOBS_A_CORE = 4
"""Calls that one core bears beside each other, server, carrier and model stand-in together, without the figures showing it."""
MOST_JOBS = 12


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One server. model: what it was started with; empty: nobody asked for one. store None: its books are out of reach."""

    model: str
    target: Target
    store: CallStore | None


def usual_jobs() -> int:
    """How many calls this machine bears at once."""
    return min(MOST_JOBS, JOBS_A_CORE * (os.cpu_count() or 1))


async def play(
    chosen: Mapping[str, Script],
    lanes: Sequence[Lane],
    *,
    today: date,
    mode: str,
    jobs: int,
    limits: Budgets,
    watcher: Callable[[Script], Watcher | None] = lambda script: None,
    done: Callable[[Report], object] = lambda report: None,
) -> list[Report]:
    """Every script in every lane: script by script, its lanes next to each other, so that no model has the quieter hour.

    Reports come back in that order; `done` is told of each as it ends. Raises SetupError.
    """
    free = asyncio.Semaphore(jobs)

    async def one(name: str, script: Script, lane: Lane) -> Report:
        async with free:
            report = await rehearse(
                name, script, lane.target, today=today, store=lane.store, watcher=watcher(script), mode=mode
            )
        report.model = lane.model
        report.over_budget = exceeded(script.budgets.over(limits), report.figures())
        done(report)
        return report

    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(one(name, script, lane)) for name, script in chosen.items() for lane in lanes]
    return [run.result() for run in runs]
