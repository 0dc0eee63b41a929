"""Upgrades and starts at the running product: one ticket, one socket, one call; everything else is turned away."""

import asyncio

from app.sim.carrier_quirks import Quirks
from tests.calls.conversations import TALK
from tests.calls.foreign import sign
from tests.calls.line import Line
from tests.calls.phone import SOCKETS, phone, refused
from tests.calls.product import Product, eventually, new_call_sid, new_number, product, stream_url, verbs

BARE = f"{SOCKETS}/voice/ws/receptionist"


async def test_an_upgrade_without_its_proof_is_refused_and_spends_no_ticket(house: Product) -> None:
    call_sid = new_call_sid()
    url = stream_url(await house.rings(call_sid))
    assert await refused(house, url, "") == 403
    assert await refused(house, url, "bm8=") == 403
    assert await refused(house, url, sign(url.replace("wss:", "https:"), {})) == 403
    assert await refused(house, url + "x") == 403, "a ticket that nobody was given"
    assert await refused(house, url.replace("/receptionist/", "/nonsense/")) == 404
    assert await refused(house, url.replace("/receptionist/", "/nonsense/"), "") == 404
    assert await refused(house, url + "/more") == 404
    assert await refused(house, SOCKETS + "/voice/ws/") == 404
    assert await refused(house, BARE, "") == 403
    async with phone(house, url) as end:
        assert await refused(house, url) == 403, "a used ticket"
        await end.start(call_sid)
        await end.hears()
        assert await refused(house, url) == 403, "a second socket"
    assert await refused(house, url) == 403
    await house.over(call_sid)


async def test_a_signature_over_the_documented_variants_is_good(house: Product) -> None:
    for variant in ("/", ":443", ":443/"):
        call_sid = new_call_sid()
        url = stream_url(await house.rings(call_sid))
        signed = url.replace("bench.example", "bench.example" + variant.rstrip("/")) + ("/" * variant.endswith("/"))
        async with phone(house, url, sign(signed, {})) as end:
            await end.start(call_sid)
            await end.hears()
        await house.over(call_sid)


async def test_a_start_that_is_not_the_ticket_s_is_closed_with_1008(house: Product) -> None:
    stranger = "CA" + "f" * 32
    for call_sid, started in (
        (new_call_sid(), {"call_sid": stranger}),
        (new_call_sid(), {"account_sid": "AC" + "0" * 32}),
        (new_call_sid(), {"mediaFormat": {"encoding": "audio/l16", "sampleRate": 8000, "channels": 1}}),
        (new_call_sid(), {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}}),
    ):
        number = new_number()
        url = stream_url(await house.rings(call_sid, number))
        async with phone(house, url) as end:
            await end.start(**{"call_sid": call_sid, **started})  # type: ignore[arg-type]
            assert (await end.closed())[0] == 1008, started
            assert end.heard == b""
        async with asyncio.timeout(5):
            await asyncio.gather(*(session.over.wait() for session in house.sessions_of(number)))
        assert verbs(await house.rings(call_sid, number, path="/twilio/next")) == ["Connect", "Redirect"]
        await house.over(call_sid)
    assert not await house.known(stranger)


async def test_a_caller_whose_starts_never_fit_reaches_a_person(house: Product) -> None:
    line = Line()
    call = await house.dial(line, quirks=Quirks(start_call_sid="CA" + "e" * 32))
    await call.finished()
    assert len(call.streams) == 4
    assert line.verbs[-3:] == ["Say", "Dial", "Hangup"]
    assert sum(line.heard_on) == 0


async def test_a_caller_whose_upgrades_are_all_refused_reaches_a_person_and_is_on_record(house: Product) -> None:
    """A proxy that passes webhooks and no WebSockets: the carrier asks what is next, with its ticket unspent, again and again."""
    line = Line()
    call = await house.dial(line, quirks=Quirks(upgrade_signature="wrong"))
    await call.finished()
    assert line.verbs == ["Connect", "Connect", "Connect", "Say", "Dial", "Hangup"]

    async def closed() -> bool:
        row = await house.store.call(call.call_sid)
        return row is not None and (row.outcome, row.ended_at is None) == ("failed", False)

    await eventually(closed, "the end of a call that never had a stream, in the books")


async def test_a_bare_stream_is_answered_on_a_spare_link_and_only_once(house: Product) -> None:
    call_sid, number = new_call_sid(), new_number()
    parameters = {"From": number, "To": "+14155550199"}
    async with phone(house, BARE) as end, phone(house, BARE) as second, phone(house, BARE) as foreign:
        await end.start(call_sid, customParameters=parameters)
        await end.hears()
        await second.start(call_sid, customParameters=parameters)
        assert (await second.closed())[0] == 1008
        await foreign.start(new_call_sid(), account_sid="AC" + "0" * 32)
        assert (await foreign.closed())[0] == 1008
        assert end.open
        await end.hears(9600, in_all=True)
    await house.closed(call_sid)
    row = await house.store.call(call_sid)
    assert row is not None
    assert (row.from_number, row.greeting_path) == (number, "spare")
    assert len(house.sessions_of(number)) == 1
    await house.over(call_sid)
    async with phone(house, BARE) as late:
        await late.start(call_sid)
        assert (await late.closed())[0] == 1008, "that call is over"


async def test_nothing_is_spent_on_a_bare_socket_before_its_start(house: Product) -> None:
    before = len(house.model.sessions)
    async with phone(house, BARE) as end:
        await end.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        await end.send({"event": "start", "start": {"callSid": "nonsense"}})
        await end.send('{"event":"start"')
        await end.start("not a sid")
        assert (await end.closed())[0] == 1008
    assert len(house.model.sessions) == before


async def test_a_socket_that_never_starts_and_a_stream_that_falls_silent_are_closed() -> None:
    async with product() as house:
        late, dead, number = new_call_sid(), new_call_sid(), new_number()
        house.model.register(TALK, number=number)
        late_url = stream_url(await house.rings(late))
        dead_url = stream_url(await house.rings(dead, number))
        async with phone(house, late_url) as silent, phone(house, BARE) as bare, phone(house, dead_url) as stream:
            await stream.start(dead, silence=False)
            assert (await silent.closed())[0] == 1008
            assert (await bare.closed())[0] == 1008
            assert stream.open
            assert (await stream.closed())[0] == 1001
            assert len(stream.heard) > 8000, "the greeting was sent meanwhile"
        await house.closed(dead)
        assert verbs(await house.rings(dead, number, path="/twilio/next")) != []
        await house.over(late, dead)
