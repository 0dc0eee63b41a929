"""The greeting's path and its milliseconds, for each way in which a call comes by its session; and what the books keep of it."""

import pytest

from app.adapters.store import Call
from app.sim.model_faults import Faults
from app.sim.model_session import Session
from tests.calls.conversations import TALK
from tests.calls.line import Line
from tests.calls.phone import phone
from tests.calls.product import Product, eventually, new_call_sid, new_number, product

BARE = "wss://bench.example/voice/ws/receptionist"
LATE_MS = 2600
"""Past the clip that asks for a moment."""


async def _answered(house: Product, number: str) -> Call:
    """A call by the webhook, hung up once the greeting is heard."""
    line = Line()
    call = await house.dial(line, number)
    await line.hears(500)
    await call.hang_up()
    return await _row(house, call.call_sid)


async def _bare(house: Product, number: str) -> Call:
    """A call by hand-written TwiML, whose stream nobody has prepared for."""
    call_sid = new_call_sid()
    async with phone(house, BARE) as end:
        await end.start(call_sid, customParameters={"From": number, "To": "+14155550199"})
        await end.hears()
    return await _row(house, call_sid)


async def _row(house: Product, call_sid: str) -> Call:
    await house.closed(call_sid)
    row = await house.store.call(call_sid)
    assert row is not None
    return row


async def _count(house: Product, path: str) -> float:
    return (await house.figures()).get(f'offhook_greeting_seconds_count{{path="{path}"}}', 0.0)


async def test_a_call_by_the_webhook_is_prepared_and_one_by_a_bare_stream_takes_a_spare_link(house: Product) -> None:
    before = {path: await _count(house, path) for path in ("prepared", "spare")}
    prepared, spare = await _answered(house, new_number()), await _bare(house, new_number())
    assert (prepared.greeting_path, spare.greeting_path) == ("prepared", "spare")
    for path, row in (("prepared", prepared), ("spare", spare)):
        assert await _count(house, path) == before[path] + 1
        assert row.greeting_ms is not None
        assert 0 <= row.greeting_ms < 2000
    assert spare.greeting_ms is not None
    assert spare.greeting_ms >= house.model.manner.first_audio_ms * 0.9, "nothing was generated before its stream began"


async def test_without_spare_links_it_is_cold_and_a_late_model_makes_it_a_fallback() -> None:
    async with product(SPARE_LINKS="0") as house:
        cold = await _bare(house, new_number())
        assert cold.greeting_path == "cold"
        late = new_number()
        house.model.register(TALK, number=late, faults=Faults(late_ms=LATE_MS))
        row = await _bare(house, late)
        assert row.greeting_path == "fallback"
        assert row.greeting_ms is not None
        assert 1900 <= row.greeting_ms < LATE_MS, "the clip, not the model's word that came after it"
        assert await _count(house, "fallback") == 1
        assert (await house.figures())["offhook_spare_links"] == 0


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_priming_is_heard_by_nobody_and_its_tokens_are_in_the_books(dialect: str) -> None:
    async with product(dialect=dialect, PRIME_MODEL="on") as house:
        number = new_number()
        row = await _answered(house, number)
        assert row.greeting_path == "prepared"
        (session,) = house.sessions_of(number)
        asked = [event for event in session.received if event["type"] == "response.create"]
        assert [event["event_id"] for event in asked] == ["prime", "opening"]
        assert [note["type"] for note in session.log if note["type"] in ("aside", "says")] == ["aside", "says"]
        turns = await house.store.turns(row.call_sid)
        assert [turn.who for turn in turns] == ["agent"]
        assert row.input_tokens is not None
        assert row.input_tokens >= 2 * _prompt_tokens(session), "the priming read the prompt as the greeting did"


async def test_the_cached_share_is_kept_with_the_call_and_counted_by_mode(house: Product) -> None:
    before = await house.figures()
    number = new_number()
    row = await _answered(house, number)
    (session,) = house.sessions_of(number)
    assert row.input_tokens is not None
    assert row.input_tokens >= _prompt_tokens(session)
    assert row.cached_tokens == row.input_audio_tokens == row.cached_audio_tokens == 0, "a first answer finds no cache"
    name = 'offhook_input_tokens_total{mode="receptionist"}'

    async def counted() -> bool:
        return (await house.figures()).get(name, 0.0) >= before.get(name, 0.0) + float(row.input_tokens or 0)

    await eventually(counted, "the call's tokens among the figures")
    assert 'offhook_cached_tokens_total{mode="receptionist"}' in await house.figures()


def _prompt_tokens(session: Session) -> int:
    """As the stand-in counts them."""
    return len(session.settings.instructions) // 4
