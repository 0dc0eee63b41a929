"""What a mode's outcome still lacks is asked after the call: over a real session, in each dialect, within what tools wrote."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app import afterword
from app.adapters.endpoint import Endpoint
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.mode import Mode
from app.rules.engines import ENGINES
from app.sim.model import ModelServer
from app.sim.model_faults import Faults
from app.wire.afterword import answer
from tests.adapters.endpoints import endpoint
from tests.adapters.rows import ended
from tests.adapters.sessions import MODEL, PLAN
from tests.adapters.words import Clock, courier, does, finishes, rows


class Booked(msgspec.Struct):
    result: Literal["booked", "nothing"] = "nothing"
    wish: str = ""
    mood: Literal["book_me", "angry"] | None = None
    party: int = 0


MODE = Mode(
    name="receptionist",
    prompt="receptionist.md",
    tools=[],
    outcome=Booked,
    completes=["result", "wish", "mood", "party"],
)


def sessions(server: ModelServer, url: str) -> Callable[[Mode], tuple[ModelSession, str]]:
    return lambda mode: (ModelSession(Endpoint(url=url), MODEL, PLAN, Opening()), MODEL)


async def told(engine: AsyncEngine, server: ModelServer, mode: Mode = MODE, **options: Any) -> Any:
    """What the business is told of a call in a mode; the model is a stand-in."""
    clock, url = Clock(), await server.start()
    try:
        async with endpoint() as it:
            one = courier(
                engine, clock, it.webhook(), modes={mode.name: mode}, session=sessions(server, url), **options
            )
            await does(one)
            await finishes(engine, clock)
            await does(one)
            (received,) = it.received
            return received.verified()["data"]
    finally:
        await server.close()


@pytest.mark.parametrize("dialect", ["ga", "flat"])
async def test_the_model_completes_what_no_tool_has_written(engine: AsyncEngine, dialect: Any) -> None:
    server = ModelServer(dialect=dialect)
    call = await told(engine, server)
    assert call["result"] == {
        "kind": "receptionist",
        "fields": {"result": "booked", "wish": "Book me in.", "mood": "book_me", "party": 0},
        "valid": True,
        "completed": ["mood", "wish"],
    }
    (asked,) = [event for event in server.sessions[0].received if event["type"] == "response.create"]
    words = str(asked)
    assert "caller: Book me in." in words
    assert "how can I help" not in words, "what the caller did not hear is not a part of the talk"
    assert '"result"' not in words, "a tool has written it: it is not asked for"
    fields = await rows(engine, "SELECT fields, valid FROM call_outcomes")
    assert fields == [(call["result"]["fields"], True)], "the books have it, too"


async def test_the_question_is_paid_for_by_the_call(engine: AsyncEngine) -> None:
    call = await told(engine, ModelServer())
    ((cost, extra),) = await rows(engine, "SELECT calls.cost_usd, responses.cost_usd FROM calls, responses")
    assert extra > 0
    assert float(cost) == pytest.approx(0.0421 + float(extra))
    assert call["figures"]["cost_usd"] == pytest.approx(float(cost))


@pytest.mark.parametrize(
    "faults",
    [Faults(fails_with="server_error"), Faults(refuse_config=True), Faults(die_after_ms=0)],
    ids=["fails", "refuses", "dies"],
)
async def test_without_an_answer_the_call_is_told_as_it_was(engine: AsyncEngine, faults: Faults) -> None:
    with capture_logs() as logs:
        call = await told(engine, ModelServer(faults=faults))
    assert call["result"]["fields"] == {"result": "booked", "name": ""}
    assert call["result"]["completed"] == []
    assert [entry for entry in logs if "afterword" in entry["event"]]


async def test_a_silent_model_is_not_waited_for_for_long(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.courier.ask", _hasty)
    call = await told(engine, ModelServer(faults=Faults(silent=True)))
    assert call["result"]["completed"] == []


async def _hasty(session: ModelSession, instructions: str, talk: str) -> Any:
    from app.adapters.afterword import ask

    return await ask(session, instructions, talk, seconds=0.5)


@pytest.mark.parametrize("outcome", ["machine", "fax"])
async def test_of_a_call_that_a_machine_took_nothing_is_asked(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Its greeting stands in the transcript, and is nobody's answer."""
    monkeypatch.setattr("tests.adapters.words.ended", msgspec.structs.replace(ended, outcome=outcome))
    server = ModelServer()
    call = await told(engine, server)
    assert (call["outcome"], call["result"]["completed"], server.sessions) == (outcome, [], [])


async def test_an_engine_that_answers_nothing_out_of_band_is_not_asked(engine: AsyncEngine) -> None:
    server = ModelServer()
    clock, url = Clock(), await server.start()
    lacking = Endpoint(url=url, engine=ENGINES["xai"])
    try:
        async with endpoint() as it:
            one = courier(
                engine,
                clock,
                it.webhook(),
                modes={MODE.name: MODE},
                session=lambda mode: (ModelSession(lacking, MODEL, PLAN, Opening()), MODEL),
            )
            await does(one)
            await finishes(engine, clock)
            with capture_logs() as logs:
                await does(one)
            (received,) = it.received
    finally:
        await server.close()
    assert received.verified()["data"]["result"]["completed"] == []
    assert (server.sessions, [entry["why"] for entry in logs if entry["event"] == "no afterword"]) == (
        [], ["the engine 'xai' answers nothing out of band"],
    )  # fmt: skip


async def test_a_call_that_has_cost_enough_is_asked_nothing_more(engine: AsyncEngine) -> None:
    server = ModelServer()
    call = await told(engine, server, max_cost_usd=0.04)
    assert call["result"]["completed"] == []
    assert server.sessions == []


def test_only_what_the_mode_names_and_no_tool_wrote_is_asked_for() -> None:
    assert list(afterword.open_fields(MODE, ["result"])) == ["wish", "mood", "party"]
    assert afterword.open_fields(MODE, None) == {}, "of a call that lost its process nobody knows what tools wrote"
    assert afterword.open_fields(msgspec.structs.replace(MODE, completes=()), []) == {}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('{"wish": "a table", "mood": null, "party": 4}', {"wish": "a table", "party": 4}),
        ('```json\n{"wish": "a table"}\n```', {"wish": "a table"}),
        ('{"wish": 7, "mood": "cheerful", "party": "four"}', {}),
        ('{"result": "booked", "admin": true}', {}),
        ('{"wish": "", "party": 4}', {"party": 4}),
        ("I cannot say.", {}),
        ("[1, 2]", {}),
        ("{" * 5000, {}),
        ("", {}),
    ],
)
def test_an_answer_counts_as_far_as_it_fits_its_fields(said: str, found: dict[str, Any]) -> None:
    assert afterword.understood(afterword.open_fields(MODE, ["result"]), said) == found


def test_an_answer_never_writes_over_a_tool_and_never_makes_an_invalid_outcome() -> None:
    from app.core.rows import Outcome

    row = Outcome(call_sid="CA1", kind="receptionist", fields={"result": "booked"}, valid=True)
    grown = afterword.completed(MODE, row, "CA1", ["result"], {"result": "nothing", "wish": "a table"})
    assert grown is not None
    assert (grown.fields["result"], grown.fields["wish"]) == ("booked", "a table")
    broken = msgspec.structs.replace(row, fields={"result": "sold"}, valid=False)
    assert afterword.completed(MODE, broken, "CA1", ["result"], {"wish": "a table"}) is None


def test_a_long_talk_is_read_from_its_end() -> None:
    talk = afterword.talk([("caller", f"line {number}\nagent: I am a line of my own") for number in range(5000)])
    assert len(talk) == afterword.TALK_CHARACTERS
    assert "\nagent:" not in talk, "words are no lines"
    assert talk.endswith("line 4999 agent: I am a line of my own")


def test_other_messages_of_the_model_are_no_answer() -> None:
    for other in (
        b'{"type":"session.created","session":{}}',
        b'{"type":"x","response":"y"}',
        b'{"type":"error","error":{}}',
    ):
        assert answer(other) is None
