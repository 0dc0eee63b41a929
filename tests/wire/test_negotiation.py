"""Negotiation: from the server's first word to a session that is ours, or to a clear no."""

import json
from typing import Any

import msgspec
import pytest

from app.core import events as ev
from app.errors import ModelRefused
from app.rules.engines import ENGINES, DialectName, Engine
from app.wire import realtime
from app.wire.dialects import FLAT, GA, HYBRID, Dialect
from app.wire.negotiation import Negotiation
from tests.wire.samples import FLAT_CREATED, GA_CREATED, HYBRID_CREATED, TINY_CREATED, make_plan

OURS = "configure-1"
GA_READY: dict[str, Any] = {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}
FLAT_READY: dict[str, Any] = {"output_audio_format": "g711_ulaw", "modalities": ["audio", "text"]}


class Talk:
    """A server's side of a negotiation, message by message."""

    def __init__(
        self, forced: DialectName | None = None, engine: Engine | None = None, *, presumed: bool = False
    ) -> None:
        self.negotiation = Negotiation(make_plan(), forced, engine=engine, presumed=presumed)

    def says(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        answer = self.negotiation.receive(realtime.parse(json.dumps({"type": kind, **fields})))
        return [json.loads(command) for command in answer]

    def complains(self, code: str, param: str | None = None, event_id: str | None = OURS) -> list[dict[str, Any]]:
        error = {"type": "invalid_request_error", "code": code, "message": "no", "param": param, "event_id": event_id}
        return self.says("error", error=error)


def configured(answer: list[dict[str, Any]], dialect: Dialect, attempt: int = 1) -> bool:
    """Whether the answer is one whole configuration in this dialect."""
    return answer == [
        {"type": "session.update", "event_id": f"configure-{attempt}", "session": dialect.session(make_plan())}
    ]


@pytest.mark.parametrize(
    ("created", "dialect", "updated"),
    [
        (GA_CREATED, GA, GA_READY),
        (FLAT_CREATED, FLAT, FLAT_READY),
        (HYBRID_CREATED, HYBRID, {"audio": GA_READY["audio"], "voice": "eve"}),
        (TINY_CREATED, GA, {}),
        ({}, GA, TINY_CREATED),
    ],
)
def test_a_server_is_configured_in_the_dialect_it_shows(
    created: dict[str, Any], dialect: Dialect, updated: dict[str, Any]
) -> None:
    talk = Talk()
    assert configured(talk.says("session.created", session=created), dialect)
    assert not talk.negotiation.ready
    assert talk.says("rate_limits.updated") == []
    assert talk.says("session.updated", session=updated) == []
    assert talk.negotiation.ready
    assert talk.negotiation.dialect is dialect


@pytest.mark.parametrize(
    ("created", "code", "param", "second"),
    [
        (GA_CREATED, "unknown_parameter", "session.type", FLAT),
        (TINY_CREATED, "unknown_parameter", "session.type", FLAT),
        (TINY_CREATED, "unknown_parameter", "session.output_modalities", FLAT),
        (TINY_CREATED, "unknown_parameter", "session.audio", FLAT),
        (TINY_CREATED, "unknown_parameter", None, FLAT),
        (FLAT_CREATED, "missing_required_parameter", "session.type", GA),
        (FLAT_CREATED, "unknown_parameter", "session.voice", GA),
        (FLAT_CREATED, "unknown_parameter", "session.modalities", GA),
        (FLAT_CREATED, "unknown_parameter", "session.input_audio_format", GA),
        (FLAT_CREATED, "unknown_parameter", "session.turn_detection", GA),
        (HYBRID_CREATED, "unknown_parameter", "session.voice", GA),
        (HYBRID_CREATED, "missing_required_parameter", "session.type", GA),
        (HYBRID_CREATED, "unknown_parameter", "session.audio", FLAT),
        (TINY_CREATED, "unknown_parameter", "session.audio.output.voice", HYBRID),
    ],
)
def test_a_refused_shape_is_tried_once_in_the_other_dialect(
    created: dict[str, Any], code: str, param: str | None, second: Dialect
) -> None:
    talk = Talk()
    talk.says("session.created", session=created)
    assert configured(talk.complains(code, param), second, attempt=2)
    assert not talk.negotiation.ready
    talk.says("session.updated", session={})
    assert talk.negotiation.ready
    assert talk.negotiation.dialect is second


def test_an_error_that_names_no_event_is_taken_as_an_answer_to_ours() -> None:
    talk = Talk()
    talk.says("session.created", session=TINY_CREATED)
    assert configured(talk.complains("unknown_parameter", "session.type", event_id=None), FLAT, attempt=2)


@pytest.mark.parametrize("param", ["session.type", "session.modalities", "session.voice", None])
def test_a_second_refusal_is_the_end(param: str | None) -> None:
    talk = Talk()
    talk.says("session.created", session=TINY_CREATED)
    talk.complains("unknown_parameter", "session.type")
    with pytest.raises(ModelRefused, match="unknown_parameter"):
        talk.complains("unknown_parameter", param, event_id="configure-2")
    assert not talk.negotiation.ready


@pytest.mark.parametrize(
    ("code", "param"),
    [
        ("invalid_api_key", None),
        ("insufficient_quota", None),
        ("model_not_found", None),
        ("session_expired", None),
        ("", None),
        ("invalid_value", "session.tools[0].name"),
        ("unknown_parameter", "session.tools[0].parameters.x"),
        ("invalid_value", "session.instructions"),
        ("beta_api_shape_disabled", None),
    ],
)
@pytest.mark.parametrize("created", [GA_CREATED, FLAT_CREATED, TINY_CREATED])
def test_a_refusal_for_anything_but_the_shape_is_the_end_and_says_why(
    created: dict[str, Any], code: str, param: str | None
) -> None:
    talk = Talk()
    talk.says("session.created", session=created)
    with pytest.raises(ModelRefused) as refused:
        talk.complains(code, param)
    assert (code or "invalid_request_error") in str(refused.value)
    assert (param or "") in str(refused.value)
    assert not talk.negotiation.ready


def test_an_error_before_anything_was_asked_is_the_end() -> None:
    with pytest.raises(ModelRefused, match="beta_api_shape_disabled"):
        Talk().complains("beta_api_shape_disabled", event_id=None)


@pytest.mark.parametrize(("forced", "created"), [("flat", GA_CREATED), ("ga", FLAT_CREATED), ("flat", TINY_CREATED)])
def test_a_forced_dialect_is_neither_detected_nor_retried(forced: DialectName, created: dict[str, Any]) -> None:
    dialect = {"ga": GA, "flat": FLAT}[forced]
    talk = Talk(forced)
    assert configured(talk.says("session.created", session=created), dialect)
    with pytest.raises(ModelRefused):
        talk.complains("unknown_parameter", "session.type")
    assert talk.negotiation.dialect is dialect


def test_a_server_that_opens_with_its_conversation_is_configured_when_the_caller_says_so() -> None:
    talk = Talk()
    assert talk.says("conversation.created", conversation={"id": "conv_1"}) == []
    answer = [json.loads(command) for command in talk.negotiation.first_frame_unknown()]
    assert configured(answer, GA)
    assert talk.negotiation.first_frame_unknown() == [], "once only"
    assert talk.says("session.created", session=FLAT_CREATED) == [], "late: it is asked already"
    assert configured(talk.complains("unknown_parameter", "session.type"), FLAT, attempt=2)
    talk.says("session.updated", session=FLAT_READY)
    assert talk.negotiation.ready


def test_a_session_that_is_created_twice_is_configured_once() -> None:
    talk = Talk()
    talk.says("session.created", session=GA_CREATED)
    assert talk.says("session.created", session=GA_CREATED) == []


def test_an_update_that_nobody_asked_for_makes_nothing_ready() -> None:
    talk = Talk()
    assert talk.says("session.updated", session=GA_READY) == []
    assert not talk.negotiation.ready


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcma", "audio/opus"])
def test_a_nested_session_that_speaks_another_format_is_refused(kind: str) -> None:
    talk = Talk()
    talk.says("session.created", session=GA_CREATED)
    with pytest.raises(ModelRefused, match=kind):
        talk.says("session.updated", session={"type": "realtime", "audio": {"output": {"format": {"type": kind}}}})
    assert not talk.negotiation.ready


@pytest.mark.parametrize("kind", ["pcm16", "g711_alaw"])
def test_a_flat_session_that_speaks_another_format_is_refused(kind: str) -> None:
    talk = Talk()
    talk.says("session.created", session=FLAT_CREATED)
    with pytest.raises(ModelRefused, match=kind):
        talk.says("session.updated", session={**FLAT_CREATED, "output_audio_format": kind})
    assert not talk.negotiation.ready


@pytest.mark.parametrize("echo", [{}, {"audio": None}, {"audio": "pcmu"}, {"output_audio_format": None}, TINY_CREATED])
def test_an_echo_of_its_own_kind_proves_nothing_and_is_taken(echo: dict[str, Any]) -> None:
    talk = Talk()
    talk.says("session.created", session=GA_CREATED)
    talk.says("session.updated", session=echo)
    assert talk.negotiation.ready


def test_talk_of_other_things_is_no_answer() -> None:
    negotiation = Talk().negotiation
    assert negotiation.receive(None) == []
    assert negotiation.receive(ev.CallerSpoke("item_1")) == []
    assert not negotiation.ready


# --- what else is asked for -------------------------------------------------------------------------------------------

PLACES = {
    GA: ("session.audio.output.voice", "session.audio.input.format.type"),
    FLAT: ("session.voice", "session.input_audio_format"),
    HYBRID: ("session.voice", "session.audio.output.format.type"),
}
CREATED = {GA: GA_CREATED, FLAT: FLAT_CREATED, HYBRID: HYBRID_CREATED}
DIALECTS = pytest.mark.parametrize("dialect", [GA, FLAT, HYBRID], ids=lambda dialect: dialect.name)


@DIALECTS
@pytest.mark.parametrize("forced", [True, False])
def test_a_voice_that_is_refused_is_the_engine_s_own_instead_and_that_once(dialect: Dialect, forced: bool) -> None:
    talk = Talk(dialect.name if forced else None, ENGINES["xai"])
    talk.says("session.created", session=CREATED[dialect])
    (update,) = talk.complains("invalid_value", PLACES[dialect][0])
    assert (talk.negotiation.plan.voice, talk.negotiation.dialect) == ("eve", dialect)
    assert update["event_id"] == "configure-2"
    assert "eve" in json.dumps(update)
    with pytest.raises(ModelRefused, match="invalid_value"):
        talk.complains("invalid_value", PLACES[dialect][0], event_id="configure-2")


@DIALECTS
def test_u_law_that_is_refused_is_pcm_instead_and_that_once(dialect: Dialect) -> None:
    talk = Talk(engine=ENGINES["other"])
    talk.says("session.created", session=CREATED[dialect])
    (update,) = talk.complains("invalid_value", PLACES[dialect][1])
    assert update["session"] == dialect.session(
        msgspec.structs.replace(make_plan(), hears="pcm16_24k", speaks="pcm16_24k")
    )
    with pytest.raises(ModelRefused, match="invalid_value"):
        talk.complains("invalid_value", PLACES[dialect][1], event_id="configure-2")


def test_a_server_that_keeps_to_pcm_is_asked_for_pcm() -> None:
    talk = Talk(engine=ENGINES["other"])
    talk.says("session.created", session=GA_CREATED)
    (update,) = talk.says("session.updated", session=GA_CREATED)
    assert not talk.negotiation.ready
    assert update["session"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    talk.says("session.updated", session=update["session"])
    assert talk.negotiation.ready
    assert (talk.negotiation.plan.hears, talk.negotiation.plan.speaks) == ("pcm16_24k", "pcm16_24k")


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_server_with_pcm_of_another_rate_is_refused(rate: int) -> None:
    talk = Talk(engine=ENGINES["other"])
    talk.says("session.created", session=GA_CREATED)
    talk.says("session.updated", session=GA_CREATED)
    with pytest.raises(ModelRefused, match=f"audio/pcm at {rate}"):
        talk.says("session.updated", session={"audio": {"output": {"format": {"type": "audio/pcm", "rate": rate}}}})


def test_an_engine_whose_codec_is_set_is_asked_for_no_other() -> None:
    talk = Talk(engine=ENGINES["qwen"])
    talk.says("session.created", session=GA_CREATED)
    with pytest.raises(ModelRefused):
        talk.complains("invalid_value", "session.audio.input.format.type")


@pytest.mark.parametrize("param", ["session.type", "session.audio.output.voice", "session.audio.input.format"])
def test_what_was_presumed_is_not_asked_otherwise_for_more_was_sent_behind_it(param: str) -> None:
    talk = Talk(engine=ENGINES["other"], presumed=True)
    talk.says("session.created", session=GA_CREATED)
    with pytest.raises(ModelRefused):
        talk.complains("invalid_value", param)


def test_an_engine_that_does_not_say_is_spoken_to_in_its_own_dialect() -> None:
    negotiation = Negotiation(make_plan(), engine=ENGINES["xai"])
    (command,) = negotiation.first_frame_unknown()
    assert json.loads(command)["session"] == HYBRID.session(make_plan())


def test_voice_codec_and_shape_may_all_be_refused_in_one_session() -> None:
    talk = Talk(engine=ENGINES["other"])
    talk.says("session.created", session=TINY_CREATED)
    talk.complains("unknown_parameter", "session.type")
    talk.complains("invalid_value", "session.voice", event_id="configure-2")
    (last,) = talk.complains("invalid_value", "session.output_audio_format", event_id="configure-3")
    assert (last["session"]["voice"], last["session"]["output_audio_format"]) == ("alloy", "pcm16")
    talk.says("session.updated", session=last["session"])
    assert talk.negotiation.ready
