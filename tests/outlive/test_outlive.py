"""Two servers of ours behind a real proxy, one Postgres outside of both: calls outlive kill -9, SIGTERM and a frozen process.

The proxy leads each request of the carrier's to the next server, so that a call's webhook, its stream and what follows are mostly
not of one process: streams are served cold, and what a process does not know it reads in the books.
"""

import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.adapters.data_folder import Running, running_file
from app.commands.own_server import free_port
from tests.calls.conversations import HOURS
from tests.calls.foreign import sign
from tests.calls.product import PUBLIC, eventually
from tests.outlive.proxy import Server, needs_haproxy
from tests.outlive.stage import Stage, Talk, stage, start

pytestmark = needs_haproxy

FROZEN_SECONDS = 5.0


async def test_calls_outlive_the_processes_that_they_began_in(tmp_path: Path) -> None:
    """A rolling restart of the rude and of the polite kind, with calls in progress throughout: none is cut, and rows are exact."""
    places = [Server("", free_port()), Server("", free_port())]
    async with AsyncExitStack() as stack, stage(tmp_path, places, stack) as (it, servers):
        (first, _), (second, second_data) = servers
        killed = await it.talks(3)
        await _used_tickets_are_refused_everywhere(killed[0], places)
        await _a_kill_cuts_nobody_off(it, killed, first)
        third, third_data = await start(stack, places[0], it.common)
        handed = await it.talks(3)
        await _a_frozen_process_goes_on_where_it_was(handed, third)
        await _a_deploy_cuts_nobody_off(it, handed, second, second_data)
        for data in (second_data, third_data):
            assert "Traceback" not in (data / "serve.log").read_text(errors="replace")


async def _used_tickets_are_refused_everywhere(talk: Talk, places: list[Server]) -> None:
    (asked,) = talk.call.log.of("webhook")
    url = re.search(r'url="([^"]+)"', asked.detail["body"])
    assert url is not None
    path = url[1].removeprefix(PUBLIC.replace("https", "wss"))
    for place in places:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(
                f"ws://127.0.0.1:{place.port}{path}",
                additional_headers={"x-twilio-signature": sign(url[1], {})},
                proxy=None,
            ):
                pass
        assert refused.value.response.status_code == 403, "a used ticket"


async def _a_kill_cuts_nobody_off(it: Stage, talks: list[Talk], server: Running) -> None:
    os.kill(server.pid, signal.SIGKILL)
    before = [len(talk.call.streams) for talk in talks]
    resumed = [talk.line.until(partial(_resumed, talk), "a second stream") for talk in talks]
    done, others = await asyncio.wait(map(asyncio.ensure_future, resumed), return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(others, timeout=1.0)  # whoever was in the other process does not notice
    for waits in others:
        waits.cancel()
    assert all(waits.exception() is None for waits in done)
    streams = [len(talk.call.streams) for talk in talks]
    await asyncio.gather(*(talk.is_talked_to(stream) for talk, stream in zip(talks, streams, strict=True)))
    assert before == [1, 1, 1]
    assert any(stream == 2 for stream in streams), "somebody was in the process that was killed"
    for talk in talks:
        assert len(talk.call.streams) <= 2
        await it.exact(talk, [HOURS], "caller_left")
        if len(talk.call.streams) == 2:
            assert "interrupted" in it.told(talk)
            assert HOURS in it.told(talk), "what was said before"
            assert (
                await it.count("SELECT count(*) FROM milestones WHERE call_sid = :sid AND name = 'taken_up'", talk) >= 1
            )


async def _a_deploy_cuts_nobody_off(it: Stage, talks: list[Talk], server: Running, data: Path) -> None:
    os.kill(server.pid, signal.SIGTERM)

    async def gone() -> bool:
        return not running_file(data).exists()

    await eventually(gone, "the end of the process that drains", 20)
    await asyncio.gather(*(talk.is_talked_to(len(talk.call.streams), frozen=FROZEN_SECONDS) for talk in talks))
    for talk in talks:
        await it.exact(talk, [HOURS], "caller_left")
        assert len(talk.call.streams) <= 2
    handed = [line for line in _log(data).splitlines() if "a call is handed over" in line]
    settled = [line for line in _log(data).splitlines() if "a call goes on" in line]
    assert handed, "somebody was in the process that was stopped"
    assert len(settled) == len(handed)
    assert all(re.search(r"\bto\b\W+process\b", line) for line in settled), settled
    assert "is not known to go on" not in _log(data), "calls cut by a deploy"


def _resumed(talk: Talk) -> bool:
    return len(talk.line.heard_on) == 2


def _log(data: Path) -> str:
    return (data / "serve.log").read_text(errors="replace")


async def _a_frozen_process_goes_on_where_it_was(talks: list[Talk], server: Running) -> None:
    before = [talk.line.heard_on[-1] for talk in talks]
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_SECONDS)  # what is frozen sets no event
    finally:
        os.kill(server.pid, signal.SIGCONT)
    for talk, heard in zip(talks, before, strict=True):
        await talk.line.until(partial(_heard, talk, heard), "the rest of the answer")
        assert len(talk.call.streams) == 1


def _heard(talk: Talk, frames: int) -> bool:
    return talk.line.heard_on[-1] > frames
