"""Both doors: whole calls by the ASGI route, and which door a call came by is counted."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.calls.conversations import HOURS, TALK, spoken
from tests.calls.line import Line
from tests.calls.phone import phone, refused
from tests.calls.product import Product, new_call_sid, new_number, product, stream_url, verbs


@pytest.fixture(scope="module")
async def by_asgi() -> AsyncIterator[Product]:
    """The same app, without the fast door."""
    async with product(door="asgi") as it:
        yield it


@pytest.fixture(params=["fast", "asgi"])
def either(request: pytest.FixtureRequest) -> Product:
    it: Product = request.getfixturevalue("house" if request.param == "fast" else "by_asgi")
    return it


def counted(figures: dict[str, float], door: str) -> float:
    """How many finished calls came by a door."""
    return sum(n for name, n in figures.items() if name.startswith(f'offhook_calls_total{{door="{door}"'))


@pytest.mark.parametrize("door", ["fast", "asgi"])
async def test_a_whole_call_is_talked_barged_into_and_hung_up_by_either_door(
    door: str, house: Product, by_asgi: Product
) -> None:
    it = house if door == "fast" else by_asgi
    number = new_number()
    it.model.register(TALK, number=number)
    before = await it.figures()
    line = Line()
    call = await it.dial(line, number)
    await line.hears(800)
    line.say(spoken(HOURS))
    await line.hears_silence()
    await line.hears_more(1000)
    call.put_down()
    await call.finished()
    await it.over(call.call_sid)
    after = await it.figures()
    assert counted(after, door) - counted(before, door) == 1
    other = "asgi" if door == "fast" else "fast"
    assert counted(after, other) == counted(before, other)


async def test_an_upgrade_is_judged_alike_by_either_door(either: Product) -> None:
    call_sid = new_call_sid()
    url = stream_url(await either.rings(call_sid))
    assert await refused(either, url, "") == 403
    assert await refused(either, url + "x") == 403
    assert await refused(either, url.replace("/receptionist/", "/nonsense/")) == 404
    async with phone(either, url) as end:
        assert await refused(either, url) == 403, "a used ticket"
        await end.start(call_sid, account_sid="AC" + "0" * 32)
        assert (await end.closed())[0] == 1008
    await either.over(call_sid)


async def test_a_stream_on_a_connection_that_was_used_before_goes_by_asgi(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    house.model.register(TALK, number=number)
    url = stream_url(await house.rings(call_sid, number))
    before = counted(await house.figures(), "asgi")
    async with phone(house, url, late=True) as end:
        await end.start(call_sid)
        await end.hears(4000)
    await house.over(call_sid)
    assert counted(await house.figures(), "asgi") - before == 1


async def test_a_carrier_that_closes_its_socket_leaves_the_call_by_either_door(either: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    either.model.register(TALK, number=number)
    async with phone(either, stream_url(await either.rings(call_sid, number))) as end:
        await end.start(call_sid)
        await end.hears(1600)
    await either.closed(call_sid)
    assert verbs(await either.rings(call_sid, number, path="/twilio/next")) == ["Connect", "Redirect"]
    await either.over(call_sid)
    async with asyncio.timeout(10):
        await asyncio.gather(*(session.over.wait() for session in either.sessions_of(number)))
