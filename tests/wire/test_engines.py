"""Engines: which one is at an address, what a plan becomes there, and what is not sent to it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core import effects as do
from app.errors import PeerError
from app.mode import SemanticVad, ServerVad
from app.rules.engines import ENGINES, OPENAI_VOICES, Engine, EngineName, engine_at, profile
from app.wire import realtime
from app.wire.audio import decoded_size, encoded
from app.wire.dialects import DIALECTS, HYBRID, SessionPlan
from app.wire.engine_wire import RealtimeWire
from app.wire.g711 import FromPcm, ToPcm
from app.wire.realtime import AudioDelta
from tests.wire.samples import TOOL, make_plan

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("wss://api.openai.com/v1/realtime", "openai"),
        ("wss://us.api.openai.com/v1/realtime", "openai"),
        ("wss://desk.openai.azure.com/openai/v1/realtime?model=desk", "azure"),
        ("wss://DESK.OpenAI.Azure.com/openai/v1/realtime", "azure"),
        ("wss://desk.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=desk", "azure-preview"),
        ("wss://api.x.ai/v1/realtime", "xai"),
        ("wss://w1.ap-southeast-1.maas.aliyuncs.com/api-ws/v1/realtime?model=m", "qwen"),
        ("ws://127.0.0.1:8765/v1/realtime", "other"),
        ("wss://api.openai.com.example/v1/realtime", "other"),
        ("wss://notapi.x.ai/v1/realtime", "other"),
        ("wss://openai.azure.com/openai/v1/realtime", "other"),
    ],
)
def test_an_engine_is_known_by_its_address(url: str, name: str) -> None:
    assert engine_at(url).name == name


def test_the_operator_s_word_goes_before_the_engine_s() -> None:
    azure = "wss://desk.openai.azure.com/openai/v1/realtime"
    assert profile(azure).auth == "api-key"
    assert profile(azure, auth="bearer").auth == "bearer"
    assert profile(azure, ENGINES["xai"]).name == "xai"
    fixed = profile("ws://127.0.0.1/", codec="pcm16_16k")
    assert (fixed.hears, fixed.speaks, fixed.any_codec) == ("pcm16_16k", "pcm16_24k", False)
    plain = profile("wss://w1.aliyuncs.com/", codec="pcmu")
    assert (plain.hears, plain.speaks) == ("pcmu", "pcmu")


def plan_at(name: EngineName, **more: Any) -> SessionPlan:
    return make_plan(reasoning="low", noise_reduction="far_field", **more).fitted(ENGINES[name])


def test_openai_gets_all_that_a_mode_wants() -> None:
    assert plan_at("openai") == make_plan(reasoning="low", noise_reduction="far_field")


def test_an_engine_is_asked_for_nothing_that_it_lacks() -> None:
    plan = plan_at("xai")
    assert (plan.voice, plan.transcription_model) == ("eve", "grok-transcribe")
    assert (plan.reasoning, plan.noise_reduction) == ("", "none")
    assert plan.turn_detection == ServerVad(silence_duration_ms=400)
    assert (plan.hears, plan.speaks) == ("pcmu", "pcmu")
    plan = plan_at("qwen")
    assert (plan.hears, plan.speaks, plan.voice) == ("pcm16_16k", "pcm16_24k", "Cherry")
    tools = DIALECTS["flat"].session(plan)["tools"]
    assert tools == [{"type": "function", "function": {key: value for key, value in TOOL.items() if key != "type"}}]


def test_a_voice_of_the_engine_s_own_is_kept_as_is_no_transcription_at_all() -> None:
    plan = plan_at("xai", voice="Rex", transcription_model="", turn_detection=ServerVad(threshold=0.65))
    assert (plan.voice, plan.transcription_model, plan.turn_detection) == ("Rex", "", ServerVad(threshold=0.65))
    assert plan_at("azure-preview", transcription_model="gpt-4o-transcribe").transcription_model == "gpt-4o-transcribe"


# --- what is sent -----------------------------------------------------------------------------------------------------


def sent(engine: Engine, effect: do.Effect) -> list[Any]:
    return [json.loads(command) for command in RealtimeWire(HYBRID, engine).commands(effect)]


def test_what_an_engine_cannot_forget_is_not_asked_of_it() -> None:
    for effect in (do.Truncate("item_1", 0, 100), do.DeleteItem("item_1")):
        assert sent(ENGINES["xai"], effect) == []
        assert len(sent(ENGINES["openai"], effect)) == 1
    assert sent(ENGINES["xai"], do.CancelResponse("resp_1")) == [{"type": "response.cancel", "response_id": "resp_1"}]


def test_a_sentence_is_read_out_without_what_the_engine_refuses() -> None:
    (command,) = sent(ENGINES["xai"], do.RequestResponse("filler-1", "One moment please."))
    assert command["response"] == {"instructions": realtime.READ_OUT.format(sentence="One moment please.")}
    (command,) = sent(ENGINES["openai"], do.RequestResponse("filler-1", "One moment please."))
    assert command["response"].keys() == {"instructions", "input", "tool_choice"}


def test_tools_are_offered_with_the_turn_detection_that_the_engine_has() -> None:
    (command,) = RealtimeWire(HYBRID, ENGINES["xai"]).offer([TOOL], SemanticVad(eagerness="low"), "offer")
    session = json.loads(command)["session"]
    assert (session["tools"], session["turn_detection"]["silence_duration_ms"]) == ([TOOL], 650)
    (command,) = RealtimeWire(HYBRID, ENGINES["qwen"]).offer([TOOL], None, "offer")
    assert json.loads(command)["session"] == {"tools": [{"type": "function", "function": {"name": TOOL["name"]} | {
        key: value for key, value in TOOL.items() if key not in ("type", "name")}}]}  # fmt: skip


# --- the lane ---------------------------------------------------------------------------------------------------------


def test_an_engine_with_u_law_is_spoken_to_by_the_very_functions_that_speak_u_law() -> None:
    wire = RealtimeWire(DIALECTS["ga"], ENGINES["openai"])
    assert wire.append is realtime.append_audio
    assert wire.parse is realtime.parse


@pytest.mark.parametrize(("codec", "rate"), [("pcm16_24k", 24000), ("pcm16_16k", 16000)])
def test_the_caller_s_speech_goes_out_as_one_stream_of_pcm(codec: Any, rate: Any) -> None:
    wire, stream = RealtimeWire(DIALECTS["ga"], hears=codec), ToPcm(rate)
    for frame in (bytes(range(160)), bytes(range(96, 256)), b"\x10" * 7):
        assert wire.append(encoded(frame)) == realtime.append_audio(encoded(stream.push(frame)))


def delta(pcm: bytes, response: str = "r1", item: str = "i1") -> bytes:
    body = {"type": "response.output_audio.delta", "response_id": response, "item_id": item, "content_index": 0}
    return json.dumps(body).encode()[:-1] + b',"delta":%b}' % encoded(pcm)


def test_the_agent_s_speech_comes_in_as_one_stream_of_u_law() -> None:
    wire, stream = RealtimeWire(DIALECTS["ga"], speaks="pcm16_24k"), FromPcm()
    for pcm in (bytes(range(240)) * 20, b"\x01\x02\x03", b"\x04\x05\x06" * 5, b""):
        assert wire.parse(delta(pcm)) == AudioDelta("r1", "i1", encoded(stream.push(pcm)))
    assert wire.parse(b'{"type":"response.done","response":{"id":"r1"}}') == realtime.parse(
        b'{"type":"response.done","response":{"id":"r1"}}'
    )


def test_milliseconds_of_an_item_are_those_that_the_engine_sent() -> None:
    wire = RealtimeWire(DIALECTS["ga"], speaks="pcm16_24k")
    for n, size in enumerate((47_999, 48_001, 1)):
        got = wire.parse(delta(b"\x22" * size, item=f"i{n}"))
        assert isinstance(got, AudioDelta)
        assert decoded_size(got.delta) == size // 6, "nothing of one item counts for another"


def test_a_response_begins_without_what_is_left_of_the_one_before() -> None:
    loud, silent = b"\x00\x40" * 2400, bytes(4800)
    wire = RealtimeWire(DIALECTS["ga"], speaks="pcm16_24k")
    wire.parse(delta(loud))
    within, anew = wire.parse(delta(silent)), wire.parse(delta(silent, response="r2"))
    assert isinstance(within, AudioDelta)
    assert isinstance(anew, AudioDelta)
    assert within.delta != anew.delta == encoded(b"\xff" * 800)


@pytest.mark.parametrize("text", [b'"====AAAA"', b'"AA=="', b'"A*=="'])
def test_audio_that_is_none_is_the_peer_s_fault(text: bytes) -> None:
    wire = RealtimeWire(DIALECTS["ga"], hears="pcm16_24k", speaks="pcm16_24k")
    if text != b'"AA=="':
        with pytest.raises(PeerError):
            wire.append(text)
        with pytest.raises(PeerError):
            wire.parse(delta(b"").replace(b'"delta":""', b'"delta":' + text))
    else:
        assert decoded_size(json.dumps(json.loads(wire.append(text))["audio"]).encode()) == 6


# --- the page ---------------------------------------------------------------------------------------------------------

ROWS: dict[str, Callable[[Engine], Any]] = {
    "dialect, unless detected": lambda e: [e.dialect or "ga"],
    "key is sent as": lambda e: [e.auth],
    "caller's speech": lambda e: [e.hears],
    "agent's speech": lambda e: [e.speaks],
    "PCM where u-law is refused": lambda e: e.any_codec,
    "truncate and delete": lambda e: e.truncates,
    "stops by itself at a barge-in": lambda e: e.interrupts,
    "turn detection by meaning": lambda e: e.semantic_vad,
    "answers out of band": lambda e: e.out_of_band,
    "tools and input for one response": lambda e: e.response_tools,
    "answers in text alone": lambda e: e.text_answers,
    "noise reduction": lambda e: e.noise_reduction,
    "reasoning": lambda e: e.reasoning,
    "transcription": lambda e: list(e.transcribers) or "as set",
    "OpenAI's voices": lambda e: not set(OPENAI_VOICES) & set(e.lacks_voices),
    "voice to fall back to": lambda e: [e.voice],
    "tools within `function`": lambda e: e.nested_tools,
    "minutes of a session": lambda e: str(e.session_minutes),
}


def table(page: str, head: str) -> dict[str, dict[str, str]]:
    """A table of a page by row and column. head: how its first line begins."""
    lines = (DOCS / page).read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(head))
    columns = [cell.strip(" `") for cell in lines[at].strip("|").split("|")][1:]
    rows: dict[str, dict[str, str]] = {}
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = dict(zip(columns, cells, strict=True))
    return rows


def test_the_page_s_table_of_engines_is_the_one_in_the_code() -> None:
    rows = table("engines.md", "| | `openai` |")
    assert rows.keys() == ROWS.keys()
    for name, value in ROWS.items():
        for engine in ENGINES.values():
            cell, now = rows[name][engine.name], value(engine)
            said = re.findall(r"`([^`]+)`", cell) if isinstance(now, list) else cell
            assert said == (("no", "yes")[now] if isinstance(now, bool) else now), (name, engine.name)


SENT = {
    "caller's codec": "audio/pcmu g711_ulaw",
    "agent's codec": "audio/pcmu g711_ulaw",
    "turn detection": "server_vad",
    "transcription": "a transcriber",
    "noise reduction, if any": "far_field",
    "reasoning, if any": "xhigh",
    "voice": "a voice",
    "prompt": "a prompt",
    "tools": "a tool",
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_page_s_table_of_dialects_is_what_they_send(name: Any) -> None:
    rows = table("02-session-config.md", "| | `ga` |")
    plan = SessionPlan(
        instructions="a prompt",
        tools=[{"type": "function", "name": "a tool"}],
        voice="a voice",
        turn_detection=ServerVad(),
        transcription_model="a transcriber",
        reasoning="xhigh",
        noise_reduction="far_field",
    )
    places = dict(_places(DIALECTS[name].session(plan), ""))
    for row, value in SENT.items():
        there = {place for place, found in places.items() if found in value.split(" ") or found == value}
        if "codec" in row:
            there = {place for place in there if ("input" in place) == ("caller" in row)}
        said = re.match(r"`([^`:]+)", rows[row][name])
        if said is None:
            assert there == set(), (row, "is sent, and the page does not say so")
        else:
            assert len(there) == 1, (row, there)
            assert there.pop().startswith(said[1]), row
    assert rows["an assistant's text"][name] == f"`{DIALECTS[name].agent_text}`"


def _places(value: Any, at: str) -> list[tuple[str, Any]]:
    """Every word of a configuration, by where it stands."""
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in _places(part, f"{at}.{key}".strip("."))]
    if isinstance(value, list):
        return [found for part in value for found in _places(part, at)]
    return [(at, value)]
