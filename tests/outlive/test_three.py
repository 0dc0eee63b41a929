"""Three servers of ours behind the HAProxy configuration that we hand out: calls spread, and each stream goes to who prepared it.

Then one is killed, one drains, and the last one alone has them all, as many as it takes.
"""

import asyncio
import os
import re
import signal
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import httpx

from app.adapters.data_folder import running_file
from app.commands.own_server import free_port
from app.settings import ROOT
from tests.calls.conversations import HOURS
from tests.calls.product import PERSON, eventually
from tests.outlive.proxy import Server, needs_haproxy
from tests.outlive.stage import Stage, Talk, stage

pytestmark = needs_haproxy

NAMES = ("one", "two", "three")
CALLS = 3
"""As many callers as one of them takes."""


def handed_out() -> str:
    """deploy/haproxy.cfg with a plain port of the test's own and places for its servers; it looks faster, and is smaller."""
    text = (ROOT / "deploy/haproxy.cfg").read_text().replace("{", "{{").replace("}", "}}")
    text, bound = re.subn(r"bind :443 .*", "bind 127.0.0.1:{port}", text)
    text, servers = re.subn(r"(\n    server \S+ +\S+)+", "\n{servers}", text)
    text, checks = re.subn(r"inter 1s", "inter 100ms", text)
    text, files = re.subn(r"maxconn \d+", "maxconn 500", text)
    assert (bound, servers, checks, files) == (1, 1, 1, 1)
    return text


async def test_streams_go_to_their_owners_and_no_machine_that_ends_cuts_a_call(tmp_path: Path) -> None:
    places = [Server(name, free_port()) for name in NAMES]
    async with (
        AsyncExitStack() as stack,
        stage(tmp_path, places, stack, config=handed_out(), MAX_CALLS=str(CALLS)) as (it, started),
    ):
        servers = dict(zip(NAMES, started, strict=True))
        talks = []
        for _ in range(CALLS):  # one by one: each goes to who has the fewest
            talks.append(await it.talk())
            await talks[-1].line.hears(100)
        assert Counter(map(owner, talks)) == Counter(NAMES), "one each"
        await asyncio.gather(*(talk.asks() for talk in talks))
        await asyncio.gather(*(eventually(partial(it.asked, talk), "the question in the books") for talk in talks))

        first = next(talk for talk in talks if owner(talk) == "one")
        os.kill(servers["one"][0].pid, signal.SIGKILL)
        await first.line.hears(300, stream=2)
        assert owner(first) in ("two", "three")
        assert [len(talk.call.streams) for talk in talks if talk is not first] == [1, 1], "nobody else noticed"

        running, data = servers["two"]
        os.kill(running.pid, signal.SIGTERM)
        await eventually(partial(_gone, data), "the end of the process that drains", 20)
        await asyncio.gather(*(talk.line.hears(300, stream=len(talk.call.streams)) for talk in talks))
        assert set(map(owner, talks)) == {"three"}, "all of them, the one that prepared their streams"

        await _one_more_is_put_through(it)
        await asyncio.gather(*(talk.call.hang_up() for talk in talks))
        await asyncio.gather(*(eventually(partial(_over, it, talk), "the end in the books") for talk in talks))
        for talk in talks:
            await _told_once(it, talk)
        for name, (_, data) in servers.items():
            log = (data / "serve.log").read_text(errors="replace")
            assert "a stream of another process" not in log, f"{name} got a stream whose session waited elsewhere"
            assert "is not known to go on" not in log, "a call cut by a deploy"
            assert "Traceback" not in log
        await _figures_are_not_for_the_world(it)


def owner(talk: Talk) -> str:
    """The process that the newest ticket of a call names."""
    documents = "".join(str(asked.detail.get("body", "")) for asked in talk.call.log.of("webhook"))
    return str(re.findall(r"/voice/ws/\w+/([^.]+)\.", documents)[-1])


async def _gone(data: Path) -> bool:
    return not running_file(data).exists()


async def _over(it: Stage, talk: Talk) -> bool:
    row = await it.store.call(talk.call.call_sid)
    return row is not None and row.ended_at is not None


async def _told_once(it: Stage, talk: Talk) -> None:
    """The books of three processes have the call as one, greeted by a session that was waiting for it."""
    turns = await it.store.turns(talk.call.call_sid)
    assert [turn.generated_text for turn in turns if turn.who == "caller"] == [HOURS]
    assert await it.count("SELECT count(*) FROM tool_calls WHERE call_sid = :sid", talk) == 1
    assert await it.count("SELECT count(*) FROM calls WHERE call_sid = :sid AND greeting_path = 'prepared'", talk) == 1


async def _one_more_is_put_through(it: Stage) -> None:
    talk = await it.talk()
    await talk.line.until(lambda: bool(talk.line.dialled), "a person, as all lines are busy")
    await talk.call.hang_up()
    assert not talk.call.streams
    assert PERSON in str(talk.call.log)


async def _figures_are_not_for_the_world(it: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(it.url + "/metrics")).status_code == 403
        assert (await http.get(it.url + "/readyz")).status_code == 200
