"""Sessions with engines of every kind, over real sockets: addresses, keys, dialects, codecs, voices, and what is learnt of them."""

from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from app.adapters.afterword import ask
from app.adapters.endpoint import Endpoint, Known
from app.adapters.model_link import ModelSession
from app.adapters.opening import Opening
from app.errors import ModelRefused
from app.mode import SemanticVad
from app.rules.engines import ENGINES
from app.wire.audio import decoded_size
from app.wire.dialects import SessionPlan
from app.wire.realtime import AudioDelta
from tests.adapters.sessions import PLAN, Ear, model_server, session, talked, until
from tests.calls.conversations import GREETING

KEY = "not a real key"
WANTED = msgspec.structs.replace(PLAN, turn_detection=SemanticVad(), transcription_model="gpt-live-transcribe")
LINES = ["session.update", "conversation.item.create", "response.create"]


def at(endpoint: Endpoint, path: str, **more: Any) -> Endpoint:
    """The same server by another of its doors."""
    return Endpoint(url=endpoint.url.replace("/v1/realtime", path), key=KEY, **more)


async def greeted(
    endpoint: Endpoint, known: Known, plan: SessionPlan = WANTED, **more: Any
) -> tuple[ModelSession, Ear]:
    it = session(endpoint, known, plan=plan, **more)
    it.start()
    return it, await talked(it)


@pytest.mark.parametrize(
    ("engine", "path", "dialect"),
    [
        ("openai", "/v1/realtime", "ga"),
        ("azure", "/openai/v1/realtime", "ga"),
        ("azure-preview", "/openai/realtime?api-version=2025-04-01-preview&deployment=desk", "flat"),
        ("xai", "/v1/realtime", "hybrid"),
        ("other", "/v1/realtime", "hybrid"),
    ],
)
async def test_an_engine_is_greeted_at_its_door_with_its_key_in_its_dialect(
    engine: Any, path: str, dialect: Any
) -> None:
    async with model_server(dialect=dialect, api_key=KEY) as (server, plain):
        plan = WANTED
        if engine == "other":  # nothing is known of it: it is asked for what the mode wants, which must be what it has
            plan = msgspec.structs.replace(PLAN, voice="Leo")
        known = Known()
        for _ in range(2):
            it, ear = await greeted(at(plain, path, engine=ENGINES[engine]), known, plan)
            assert (it.dialect.name, it.engine.name) == (dialect, engine)
            assert "error" not in ear.types
            (there,) = server.live
            assert [event["type"] for event in there.received] == LINES, "the second time nothing is asked first"
            assert there.model == ("desk" if "deployment" in path else "gpt-realtime-1.5")
            it.close()
            await until(lambda: not server.live)


@pytest.mark.parametrize("auth", ["bearer", "api-key"])
async def test_a_key_in_the_wrong_header_is_refused_and_says_so(auth: Any) -> None:
    async with model_server(api_key=KEY) as (_, plain):
        path = "/openai/v1/realtime" if auth == "bearer" else "/v1/realtime"
        it, ear = session(at(plain, path, auth=auth)), Ear()
        it.start()
        it.attach(ear)
        await ear.until(lambda: bool(ear.lost))
        assert "the key is wrong" in ear.lost


@pytest.mark.parametrize(
    ("dialect", "codec"), [("ga", None), ("hybrid", None), ("flat", None), ("hybrid", "pcm16_16k")]
)
async def test_a_server_without_u_law_is_asked_once_and_then_spoken_to_in_pcm(dialect: Any, codec: Any) -> None:
    async with model_server(dialect=dialect, audio="pcm16_16k" if codec else "pcm16") as (server, plain):
        engine = ENGINES["xai" if dialect == "hybrid" else "other"]
        known = Known()
        for attempt in range(2):
            it, ear = await greeted(at(plain, "/v1/realtime", engine=engine, codec=codec), known, PLAN)
            (there,) = server.live
            updates = [event for event in there.received if event["type"] == "session.update"]
            assert len(updates) == (2 if attempt == 0 and codec is None else 1)
            speech = [it.wire.parse(msgspec.json.encode(event)) for event in ear.events]
            heard = sum(decoded_size(one.delta) for one in speech if isinstance(one, AudioDelta))
            assert heard == len(server.repertoire.say(GREETING, "agent")), "milliseconds are milliseconds"
            it.close()
            await until(lambda: not server.live)


@pytest.mark.parametrize("dialect", ["ga", "flat", "hybrid"])
async def test_a_voice_that_is_refused_falls_back_and_is_told_of_once(dialect: Any) -> None:
    async with model_server(dialect=dialect) as (server, plain):
        known, plan = Known(), msgspec.structs.replace(PLAN, voice="nobody")
        endpoint = at(plain, "/v1/realtime", engine=ENGINES["xai" if dialect == "hybrid" else "other"])
        with capture_logs() as logs:
            for attempt in range(3):
                it, _ = await greeted(endpoint, known, plan)
                (there,) = server.live
                assert there.settings.voice == endpoint.profile.voice
                assert len([event for event in there.received if event["type"] == "session.update"]) == 2 - bool(
                    attempt
                )
                it.close()
                await until(lambda: not server.live)
        told = [line for line in logs if line["event"] == "the engine does not have a mode's voice"]
        assert [(line["wanted"], line["speaks"]) for line in told] == [("nobody", endpoint.profile.voice)]


async def test_what_was_learnt_of_a_server_is_forgotten_when_it_refuses() -> None:
    known, plan = Known(), msgspec.structs.replace(PLAN, voice="nobody")
    took = msgspec.structs.replace(plan, voice="alloy", hears="pcm16_24k", speaks="pcm16_24k")
    known.took("ws://x", "ga", took, asked=plan)
    assert known.fitted("ws://x", plan) == took
    assert known.takes("ws://x", known.fitted("ws://x", plan))
    assert known.fitted("ws://y", plan) == plan
    known.forget("ws://x")
    assert known.fitted("ws://x", plan) == plan


async def test_nothing_is_primed_where_nothing_is_answered_out_of_band() -> None:
    async with model_server(dialect="hybrid") as (server, plain):
        it = session(at(plain, "/v1/realtime", engine=ENGINES["xai"]), plan=PLAN)
        it.start(primes=True)
        await talked(it)
        (there,) = server.live
        assert [event["type"] for event in there.received] == LINES
        it.close()


async def test_a_server_that_nobody_named_and_that_proves_to_speak_the_hybrid_dialect_is_asked_nothing_out_of_band() -> (
    None
):
    async with model_server(dialect="hybrid") as (server, plain):
        plan = msgspec.structs.replace(PLAN, voice="Leo")
        it = session(plain, plan=plan)
        assert it.engine.out_of_band, "as far as was known before"
        it.start(primes=True)
        await talked(it)
        (there,) = server.live
        assert '"none"' not in str(there.received).replace("'", '"')
        it.close()
        with pytest.raises(ModelRefused):
            await ask(session(plain, plan=plan), "Say what it came to.", "caller: Hello.")
        assert not any(event["type"] == "response.create" for event in server.sessions[-1].received)


async def test_several_endpoints_of_one_process_are_each_their_own() -> None:
    async with model_server(dialect="ga") as (_, first), model_server(dialect="hybrid", audio="pcm16") as (_, second):
        known = Known()
        one, _ = await greeted(at(first, "/v1/realtime"), known, PLAN)
        two, _ = await greeted(
            at(second, "/v1/realtime", engine=ENGINES["xai"]), known, PLAN, opening=Opening(text="Hello.")
        )
        assert (one.dialect.name, two.dialect.name) == ("ga", "hybrid")
        assert one.wire.parse is not two.wire.parse
        one.close()
        two.close()
