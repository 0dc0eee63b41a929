"""When the model fails in mid-call: the caller keeps the line, and what they heard and what the books hold is whole."""

import asyncio
from pathlib import Path

from app.clips import clip
from app.settings import ROOT
from app.sim.model import ModelServer
from app.sim.model_faults import Faults
from app.sim.voices import core
from tests.calls.conversations import BYE, GREETING, HOURS, OPEN, TALK, spoken
from tests.calls.line import Line
from tests.calls.product import Product, new_number, product

INTERRUPTED = core(clip("interrupted"))


async def _talks(house: Product, faults: Faults) -> tuple[str, bytes, list[str]]:
    """A caller asks for the hours, hears them to the end whatever happens, and says goodbye: (call_sid, what was heard, verbs)."""
    number = new_number()
    house.model.register(TALK, number=number, faults=faults)
    line = Line()
    call = await house.dial(line, number)
    await line.hears(2000)
    await line.hears_silence()
    line.say(spoken(HOURS))
    await line.hears_more(2500)
    await line.hears_silence(1000)
    line.say(spoken(BYE))
    await call.finished()
    assert call.log.codes() == []
    await house.closed(call.call_sid)
    return call.call_sid, b"".join(played.audio for played in call.played), line.verbs


async def _agent_words(house: Product, call_sid: str) -> list[str]:
    return [turn.heard_text for turn in await house.store.turns(call_sid) if turn.who == "agent" and turn.heard_text]


async def _moments(house: Product, call_sid: str) -> list[str]:
    return [moment.name for moment in await house.store.milestones(call_sid)]


BREAKS = {
    "mid-word": Faults(breaks_in="word", breaks_at=2, sessions=1),
    "mid-word, closed 1011": Faults(breaks_in="word", breaks_at=2, breaks_by="1011", sessions=1),
    "tool call": Faults(breaks_in="call", sessions=1),
    "tool runs": Faults(breaks_in="tool", sessions=1),
    "stall": Faults(breaks_in="answer", breaks_at=2, breaks_by="stall", sessions=1),
    "half-open": Faults(breaks_in="answer", breaks_at=2, breaks_by="deaf", sessions=1),
    "expires at a pause": Faults(expire_after_ms=7000, sessions=1),
    "expires": Faults(breaks_in="tool", breaks_by="session_expired", sessions=1),
}


async def test_a_talk_goes_on_where_it_was_whatever_takes_its_session() -> None:
    async with product(MODEL_STALL_SECONDS="2") as house:
        found = dict(
            zip(BREAKS, await asyncio.gather(*(_talks(house, fault) for fault in BREAKS.values())), strict=True)
        )
        assert len(found) == len(BREAKS)
        for name, (call_sid, heard, verbs) in found.items():
            assert verbs == ["Connect", "Hangup"], name
            words = " ".join(await _agent_words(house, call_sid))
            assert words.startswith(GREETING), f"{name}: {words}"
            assert OPEN.split(", ")[1] in words, f"{name}: {words}"
            lines = [turn.generated_text for turn in await house.store.turns(call_sid) if turn.who == "caller"]
            assert lines == [HOURS, BYE], name
            tools = [tool.name for tool in await house.store.tool_calls(call_sid)]
            assert tools == ["opening_hours", "end_call"], name
            moments = await _moments(house, call_sid)
            assert (moments.count("model_lost"), moments.count("model_reconnected")) == (1, 1), f"{name}: {moments}"
            row = await house.store.call(call_sid)
            assert row is not None
            assert (row.outcome, row.reconnects) == ("completed", 1), name
            assert row.longest_gap_ms is not None
            assert row.longest_gap_ms <= 1500, name
            if name in ("stall", "half-open"):
                assert INTERRUPTED in heard or core(clip("one_moment")) in heard, name
            if name == "expires at a pause":
                assert INTERRUPTED not in heard
                assert f"{GREETING} {OPEN}" in words
        figures = await house.figures()
        by_cause = {
            name: value for name, value in figures.items() if name.startswith("offhook_model_reconnects_total{")
        }
        assert sum(by_cause.values()) == len(BREAKS), by_cause


def _business(folder: Path, url: str) -> str:
    """The checkout's business, with a second engine."""
    own = (ROOT / "offhook.toml").read_text(encoding="utf-8")
    engine = f'[[fallback_engine]]\nname = "second"\nurl = "{url}"\nmodel = "gpt-realtime-2.1"\n'
    (folder / "offhook.toml").write_text(f"{own}\n{engine}", encoding="utf-8")
    return str(folder)


async def test_a_second_engine_takes_over_where_the_first_has_no_quota_or_is_not_there(tmp_path: Path) -> None:
    """In mid-call; then at the webhook, before the caller hears a thing; then without asking the broken one at all."""
    second = ModelServer()
    url = await second.start()
    try:
        async with product(door="asgi", SPARE_LINKS="0", BUSINESS_FOLDER=_business(tmp_path, url)) as house:
            quota = Faults(breaks_in="answer", breaks_at=2, breaks_by="insufficient_quota")
            second.register(TALK, number=(number := new_number()), faults=Faults())
            house.model.register(TALK, number=number, faults=quota)
            line = Line()
            call = await house.dial(line, number)
            await line.hears(2000)
            await line.hears_silence()
            line.say(spoken(HOURS))
            await line.hears_more(2500)
            await call.hang_up()
            await house.closed(call.call_sid)
            assert "engine_switched" in await _moments(house, call.call_sid)
            assert " ".join(await _agent_words(house, call.call_sid)).startswith(f"{GREETING} We are open")
            row = await house.store.call(call.call_sid)
            assert row is not None
            assert row.model == "gpt-realtime-2.1"
            figures = await house.figures()
            assert figures['offhook_model_reconnects_total{cause="refused",rung="next"}'] == 1
            assert figures['offhook_model_server_broken{server="main"}'] == 1

            before = len(house.model.sessions)
            second.register(TALK, number=(number := new_number()), faults=Faults())
            line = Line()
            call = await house.dial(line, number)
            await line.hears(2000)
            await call.hang_up()
            await house.closed(call.call_sid)
            assert len(house.model.sessions) == before, "a broken server is gone past"
            row = await house.store.call(call.call_sid)
            assert row is not None
            assert row.greeting_path == "prepared"
    finally:
        await second.close()


async def test_a_first_engine_that_refuses_at_the_webhook_is_not_noticed(tmp_path: Path) -> None:
    first, second = ModelServer(faults=Faults(refuse_status=429)), ModelServer()
    url = await second.start()
    try:
        async with product(
            model=first, door="asgi", SPARE_LINKS="0", BUSINESS_FOLDER=_business(tmp_path, url)
        ) as house:
            second.register(TALK, number=(number := new_number()), faults=Faults())
            line = Line()
            call = await house.dial(line, number)
            await line.hears(2000)
            await call.hang_up()
            await house.closed(call.call_sid)
            moments = await _moments(house, call.call_sid)
            assert "first_audio_sent" in moments
            assert "model_lost" not in moments
            row = await house.store.call(call.call_sid)
            assert row is not None
            assert (row.greeting_path, row.model) == ("prepared", "gpt-realtime-2.1")
            assert "a model server fails" in house.log()
    finally:
        await second.close()
