"""Which calls another house's voice speaks in, and which modes are told that they do not get theirs."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from app.adapters.tts_health import REST_SECONDS, TtsHealth
from app.adapters.tts_link import TtsServer
from app.calls.spoken_calls import SpokenCalls
from app.core.cost import cost_usd
from app.mode_sheet import look
from app.registry import check, find
from app.rules.elevenlabs import ElevenLabs, voice_faults
from app.rules.engines import ENGINES
from app.rules.prices import OURS, Prices
from app.settings import Settings, load

URL = "wss://model.example/v1/realtime"
VOICE = ElevenLabs(voice_id="21m00Tcm4TlvDq8ikWAM")


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load({"REALTIME_URL": URL, **environ}, root=tmp_path)


def calls(here: Settings) -> SpokenCalls:
    return SpokenCalls(here, find(here).modes)


def test_a_key_or_an_address_is_enough_and_https_is_understood(tmp_path: Path) -> None:
    for environ, address in (
        ({"ELEVENLABS_API_KEY": "k"}, "wss://api.elevenlabs.io/v1/text-to-speech/"),
        ({"ELEVENLABS_URL": "https://tts.example/"}, "wss://tts.example/v1/text-to-speech/"),
        ({"ELEVENLABS_URL": "ws://127.0.0.1:9"}, "ws://127.0.0.1:9/v1/text-to-speech/"),
    ):
        it = calls(settings(tmp_path, **environ))
        assert it.health is not None
        assert it.health.server.address(VOICE).startswith(address)
        with capture_logs() as logs:
            it.warn(ENGINES["openai"])
        assert logs == []


@pytest.mark.parametrize(
    ("environ", "engine", "why"),
    [({}, "openai", "no ELEVENLABS_API_KEY"), ({"ELEVENLABS_API_KEY": "k"}, "xai", "cannot answer in text alone")],
)
def test_a_voice_that_cannot_be_had_is_said_loudly_and_the_model_speaks_itself(
    tmp_path: Path, environ: dict[str, str], engine: Any, why: str
) -> None:
    (tmp_path / "offhook.toml").write_text('[calls]\ndefault_mode = "welcome"\n', encoding="utf-8")
    here = settings(tmp_path, REALTIME_ENGINE=engine, **environ)
    it, mode = calls(here), find(here).modes["welcome"]
    with capture_logs() as logs:
        it.warn(ENGINES[engine])
    ((line),) = logs
    assert (line["log_level"], line["mode"]) == ("warning", "welcome")
    assert why in line["why"]
    assert it.voice_of(mode, "CA1", ENGINES[engine]) is None
    sheet = look(mode, here)
    assert sheet.voice == ENGINES[engine].voice_for("marin")
    assert any(why in warning for warning in sheet.warnings)


def test_of_a_mode_that_no_number_leads_to_it_is_said_quietly(tmp_path: Path) -> None:
    it = calls(settings(tmp_path))
    with capture_logs() as logs:
        it.warn(ENGINES["openai"])
    assert [(line["log_level"], line["mode"]) for line in logs] == [("info", "welcome")]


def test_the_sheet_names_both_voices(tmp_path: Path) -> None:
    here = settings(tmp_path, ELEVENLABS_API_KEY="k")
    sheet = look(find(here).modes["welcome"], here)
    assert sheet.voice == "ElevenLabs 21m00Tcm4TlvDq8ikWAM (eleven_flash_v2_5), else marin"
    assert sheet.warnings == []


def test_a_call_that_lost_its_voice_does_not_ask_for_it_again_and_nobody_does_after_a_refusal() -> None:
    now = 100.0
    health = TtsHealth(TtsServer("ws://x"), lambda: now)
    health.failed("CA1", "stalled")
    assert (health.speaks("CA1"), health.speaks("CA2")) == (False, True)
    health.failed("CA2", "refused")
    assert not health.speaks("CA3")
    now += REST_SECONDS
    assert health.speaks("CA3")
    assert not health.speaks("CA2")


@pytest.mark.parametrize("voice", ["", "  ", None, 5, ElevenLabs(voice_id="?")])
def test_a_mode_whose_voice_is_none_is_refused_at_the_start(tmp_path: Path, voice: Any) -> None:
    here = settings(tmp_path)
    mode = msgspec.structs.replace(find(here).modes["welcome"], voice=voice)
    assert [fault for fault in check("welcome", mode, here.office) if "voice" in fault]
    assert voice_faults("marin") == []


def test_spoken_characters_are_paid_for_by_the_voice_s_model() -> None:
    def cost(model: str, prices: Prices = OURS) -> float:
        return cost_usd("gpt-realtime-1.5", {"speech": {"model": model, "characters": 500}}, prices)

    assert cost("eleven_flash_v2_5") == pytest.approx(0.03)
    assert cost("whose") == cost("eleven_multilingual_v2") == pytest.approx(0.06), "an unknown one is the dearest"
    assert cost("whose", Prices(speech={"whose": 0.01})) == pytest.approx(0.005)
    assert Prices(speech={"x": -1}).faults("offhook.toml") == [
        "offhook.toml: prices.speech.x: expected dollars from 0 to 10,000, got -1"
    ]
    for odd in (None, 5, {}, {"characters": "many"}, {"characters": -5}, {"model": 5, "characters": True}):
        assert cost_usd("gpt-realtime-1.5", {"speech": odd}) == 0.0
