"""What befalls one call again and again: processes that die one after the other, and a Postgres that hangs as its stream comes.

Servers of ours behind HAProxy, one Postgres outside of both.
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

from app.commands.own_server import free_port
from app.sim.carrier import Carrier
from tests.adapters.pg_trouble import hung
from tests.calls.conversations import HOURS, TALK
from tests.calls.foreign import ACCOUNT, TOKEN, sign
from tests.calls.line import Line
from tests.calls.product import FAST, OURS, PUBLIC, eventually, new_number
from tests.outlive.proxy import CONFIG, Server, needs_haproxy, proxy
from tests.outlive.stage import HEARD_AGAIN_MS, Stage, Talk, stage, start
from tests.outlive.test_three import _over, handed_out, owner

pytestmark = needs_haproxy

NAMES = ("one", "two", "three")
"""One to be killed, one that takes the call up, and one that starts again meanwhile."""
RESUMED = 3


async def test_a_call_goes_on_whatever_befalls_it_and_at_last_with_a_person(tmp_path: Path) -> None:
    places = {name: Server(name, free_port()) for name in NAMES}
    async with (
        AsyncExitStack() as stack,
        stage(tmp_path, list(places.values()), stack, config=handed_out()) as (it, started),
    ):
        servers = dict(zip(places, started, strict=True))
        await _a_postgres_that_hangs_silences_nobody(it, stack, list(places.values()), tmp_path)
        (talk,) = await it.talks(1)
        for again in range(RESUMED):
            victim = owner(talk)
            running, data = servers[victim]
            os.kill(running.pid, signal.SIGKILL)
            await talk.line.hears(300, stream=again + 2)
            assert owner(talk) != victim
            assert "Apologise" in it.told(talk)
            if again < RESUMED - 1:  # five processes are enough
                servers[victim] = await start(stack, places[victim], it.common, data)
        os.kill(servers[owner(talk)][0].pid, signal.SIGKILL)
        await talk.line.until(lambda: bool(talk.line.dialled), "a person, after the third time")
        await talk.call.hang_up()
        assert len(talk.call.streams) == 1 + RESUMED
        await _told_once(it, talk)


async def _told_once(it: Stage, talk: Talk) -> None:
    """The rows of five processes, some of which came off their disks after others had the call, are one call's."""
    await eventually(partial(_over, it, talk), "the end in the books")
    turns = await it.store.turns(talk.call.call_sid)
    assert [turn.generated_text for turn in turns if turn.who == "caller"] == [HOURS]
    assert [turn.start_ms for turn in turns] == sorted(turn.start_ms for turn in turns)
    assert await it.count("SELECT count(*) FROM calls WHERE call_sid = :sid", talk) == 1

    async def counted() -> bool:
        return await it.count("SELECT epoch FROM call_states WHERE call_sid = :sid", talk) == 2 + RESUMED

    await eventually(counted, "the word of the last of five owners in the books")


# --- a Postgres that hangs ----------------------------------------------------------------------------------------------


async def _a_postgres_that_hangs_silences_nobody(
    it: Stage, stack: AsyncExitStack, places: list[Server], folder: Path
) -> None:
    """It takes connections, and answers nothing, from before the calls come."""
    (folder / "in-turn").mkdir()
    in_turn = await stack.enter_async_context(proxy(folder / "in-turn", places, CONFIG))
    elsewhere = Carrier(auth_token=TOKEN, account_sid=ACCOUNT, public_url=PUBLIC, connect_to=in_turn, verb_speed=FAST)
    stack.push_async_callback(elsewhere.close)
    with hung(it.common["DATABASE_URL"]):
        owned, strange = await asyncio.gather(it.talk(), _talk(it, elsewhere))
        await owned.line.hears(300)
        await _is_refused_everywhere(owned, places)
        await strange.line.until(lambda: bool(strange.call.hearing.stretches), "somebody who speaks to them")
    assert len(owned.call.streams) == 1, "whose ticket came to its owner is talked to"
    assert owned.call.hearing.stretches[0].start_ms < HEARD_AGAIN_MS
    refused = [entry for entry in strange.call.log.of("error") if entry.detail.get("http_status") == 403]
    assert refused, "a ticket that may have been used opens nothing"
    assert strange.call.hearing.stretches[0].start_ms < HEARD_AGAIN_MS, "nor does the caller wait for long"
    await asyncio.gather(owned.call.hang_up(), strange.call.hang_up())
    for talk in (owned, strange):
        await eventually(partial(_kept, it, talk), "the call in the books, once they answer again")
    await eventually(partial(_over, it, owned), "the end in the books")
    await eventually(partial(_claimed, it, owned), "the ticket's owner to have it written down that it was used")


async def _talk(it: Stage, carrier: Carrier) -> Talk:
    number, line = new_number(), Line()
    it.model.register(TALK, number=number)
    return Talk(number, line, await carrier.dial(from_number=number, to_number=OURS, line=line))


async def _is_refused_everywhere(talk: Talk, places: list[Server]) -> None:
    """A ticket that is in use: by its owner, which remembers it, and by the other, which cannot know."""
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
        assert refused.value.response.status_code == 403


async def _claimed(it: Stage, talk: Talk) -> bool:
    return (
        await it.count(f"SELECT count(*) FROM used_tickets WHERE used_by LIKE '{owner(talk)}.%' AND :sid <> ''", talk)
        > 0
    )


async def _kept(it: Stage, talk: Talk) -> bool:
    return await it.store.call(talk.call.call_sid) is not None
