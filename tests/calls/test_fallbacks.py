"""When the model, or the database, lets a call down: the caller hears something, and is never left alone."""

import asyncio

import pytest

from app.adapters.embedded_pg import EmbeddedPostgres
from app.clips import clip
from app.sim.model import ModelServer
from app.sim.model_faults import Faults
from app.sim.voices import core
from tests.calls.conversations import BYE, HOURS, OPEN, TALK, spoken, talks
from tests.calls.line import Line
from tests.calls.product import PERSON, Product, eventually, new_number, product

SECONDS = "3"
"""FIRST_AUDIO_SECONDS: short, but past the clip."""


async def _falls_back(house: Product, number: str, *, person: bool = True) -> bytes:
    """A call that the model lets down; returns what the caller heard on the stream."""
    line = Line()
    call = await house.dial(line, number)
    await call.finished()
    assert call.ended_by == "server"
    assert line.verbs == (
        ["Connect", "Say", "Dial", "Hangup"] if person else ["Connect", "Say", "Record", "Say", "Hangup"]
    )
    assert "sorry" in line.said[0].lower()
    assert ("after the tone" in line.said[0].lower()) is not person
    assert [entry.detail["to"] for entry in call.log.of("dial")] == [PERSON] * person
    assert call.log.codes() == []
    await house.closed(call.call_sid)
    row = await house.store.call(call.call_sid)
    assert row is not None
    assert row.ended_at is not None
    assert row.outcome == ("failed" if person else "missed")
    return b"".join(played.audio for played in call.played)


async def test_a_model_that_does_not_serve_leads_every_caller_to_a_person() -> None:
    """Wrong key, then silence, then nobody there at all: one server lives through all of it."""
    model = ModelServer()
    async with product(model=model, FIRST_AUDIO_SECONDS=SECONDS, SPARE_LINKS="0") as house:
        model.faults = Faults(refuse_key=True)
        await _falls_back(house, new_number())
        model.faults = Faults(hang=True)
        assert core(clip("one_moment")) in await _falls_back(house, new_number())
        model.faults = Faults()
        line = Line()
        call = await house.dial(line)
        await line.hears(500)
        await call.hang_up()
        await model.close()
        await _falls_back(house, new_number())
        assert (await house.http.get(house.url + "/readyz")).status_code == 200


async def test_a_model_that_refuses_dies_or_falls_silent_leads_that_caller_alone_to_a_person() -> None:
    faults = {
        "config": Faults(refuse_config=True),
        "silent": Faults(silent=True),
        "dies": Faults(die_after_ms=1500),
        "expires": Faults(expire_after_ms=1500),
        "fails": Faults(fails_with="server_error"),
        "quota": Faults(fails_with="insufficient_quota"),
    }
    async with (
        product(FIRST_AUDIO_SECONDS=SECONDS) as house,
        product(FIRST_AUDIO_SECONDS=SECONDS, HUMAN_TRANSFER_NUMBER="") as lonely,
    ):

        async def falls(name: str, where: Product) -> bytes:
            number = new_number()
            where.model.register(TALK, number=number, faults=faults[name])
            return await _falls_back(where, number, person=where is house)

        other = asyncio.create_task(_another_talk_goes_on(house))
        heard = await asyncio.gather(*(falls(name, where) for name in faults for where in (house, lonely)))
        await other
        by_name = dict(zip([name for name in faults for _ in range(2)], heard, strict=True))
        assert core(clip("one_moment")) in by_name["silent"]
        assert len(by_name["dies"]) > 4000, "the greeting until then"


async def _another_talk_goes_on(house: Product) -> None:
    call, line = await talks(house, new_number())
    assert line.verbs == ["Connect", "Hangup"]
    assert call.log.codes() == []


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    return EmbeddedPostgres(tmp_path_factory.mktemp("pg"), durable=True)


async def test_a_database_that_goes_away_in_a_call_is_not_noticed_by_the_caller_and_gets_its_rows_later(
    postgres: EmbeddedPostgres,
) -> None:
    url = postgres.start()
    try:
        async with product(DATABASE_URL=url) as house:
            number = new_number()
            house.model.register(TALK, number=number)
            line = Line()
            call = await house.dial(line, number)
            await line.hears(500)
            await house.engine.dispose()
            postgres.stop()
            await line.hears_silence()
            line.say(spoken(HOURS))
            await line.hears_more(1500)
            await line.hears_silence()
            line.say(spoken(BYE))
            await call.finished()
            assert line.verbs == ["Connect", "Hangup"]
            assert call.log.codes() == []
            assert postgres.start() == url
            await house.closed(call.call_sid)
            said = [turn.heard_text for turn in await house.store.turns(call.call_sid)]
            assert OPEN in said
            assert [tool.name for tool in await house.store.tool_calls(call.call_sid)] == ["opening_hours", "end_call"]

            async def written() -> bool:
                return (await house.figures())["offhook_journal_spooled"] == 0

            await eventually(written, "an empty journal")
    finally:
        postgres.stop()
