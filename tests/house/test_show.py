"""`./offhook show`: what the model will get, and what it costs, for people and for machines."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app import prompts, tokens
from app.commands.show import show
from app.errors import SetupError
from app.mode import Mode, ServerVad
from app.mode_sheet import look
from app.settings import load
from modes.receptionist import mode
from tests.house.samples import make_settings


def test_the_first_turn_costs_less_than_the_whole() -> None:
    costs = look(mode, make_settings()).tokens
    tools = [tokens.count_tool(tool.wire()) for tool in mode.tools]
    first = [tokens.count_tool(tool.wire()) for tool in mode.first_turn]
    assert costs.prompt < costs.first_turn < costs.all_tools
    assert costs.first_turn == costs.prompt + sum(first)
    assert costs.all_tools == costs.prompt + sum(tools)


def test_without_a_first_turn_set_all_tools_are_offered_at_once() -> None:
    costs = look(msgspec.structs.replace(mode, first_turn=()), make_settings()).tokens
    assert costs.first_turn == costs.all_tools


def test_machines_get_one_json_object_with_everything() -> None:
    shown = json.loads(show("receptionist", as_json=True))
    assert shown["name"] == "receptionist"
    assert shown["tokens"]["prompt"] == tokens.count(shown["prompt"])
    assert [tool["name"] for tool in shown["tools"]] == [tool.name for tool in mode.tools]
    assert [tool["name"] for tool in shown["tools"] if tool["first_turn"]] == [tool.name for tool in mode.first_turn]
    assert all(tool["tokens"] > 0 and tool["parameters"]["type"] == "object" for tool in shown["tools"])
    assert shown["listening"]["first_turn"]["eagerness"] == "high"
    assert shown["listening"]["later_turns"]["eagerness"] == "medium"
    assert shown["warnings"] == []


def test_people_read_the_counts_and_every_tool(capsys: pytest.CaptureFixture[str]) -> None:
    text = show("receptionist")
    costs = look(mode, load()).tokens
    assert (
        f"prompt {costs.prompt}, with the first turn's tools {costs.first_turn}, with all tools {costs.all_tools}"
        in text
    )
    assert "semantic_vad (eagerness high), then semantic_vad (eagerness medium)" in text
    assert all(f"tool {tool.name} (" in text for tool in mode.tools)
    assert capsys.readouterr().err == ""


def test_the_engine_is_shown_with_what_becomes_of_the_mode_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_URL", "wss://api.x.ai/v1/realtime")
    shown = json.loads(show("receptionist", as_json=True))
    assert (shown["engine"]["name"], shown["engine"]["dialect"], shown["voice"]) == ("xai", "hybrid", "eve")
    assert "truncate" in shown["engine"]["lacks"]
    assert shown["listening"]["first_turn"]["type"] == "server_vad"
    assert "engine xai: dialect hybrid" in show("receptionist")
    monkeypatch.setenv("REALTIME_AUDIO", "pcm16_16k")
    monkeypatch.setenv("REALTIME_ENGINE", "openai")
    shown = json.loads(show("receptionist", as_json=True))
    assert (shown["engine"]["hears"], shown["engine"]["speaks"], shown["voice"]) == ("pcm16_16k", "pcm16_24k", "marin")
    assert shown["engine"]["lacks"] == []


def test_an_unknown_mode_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SetupError, match=r"one of .*receptionist.*, got 'nobody'"):
        show("nobody")


@pytest.fixture
def sized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Mode]:
    """Makes a mode whose whole prompt has just so many tokens."""
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    monkeypatch.setattr(prompts, "_environment", prompts._environment.__wrapped__)
    (tmp_path / "house.md").write_text("end")

    def make(size: int) -> Mode:
        (tmp_path / "sized.md").write_text("go" + " go" * (size - 3))  # and a blank line, and the house's one word
        return Mode(name="sized", prompt="sized.md", tools=[])

    return make


def test_a_prompt_as_long_as_the_reference_is_not_warned_of_and_one_token_more_is(sized: Callable[[int], Mode]) -> None:
    just = look(sized(478), make_settings())
    assert (just.tokens.prompt, just.warnings) == (478, [])
    over = look(sized(479), make_settings())
    assert over.tokens.prompt == 479
    (warning,) = over.warnings
    assert "479 tokens, above the 478" in warning


def test_a_warning_is_on_stderr_and_in_both_forms(
    sized: Callable[[int], Mode], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = sized(479)
    monkeypatch.setattr(
        "app.registry.find", lambda settings: type("Found", (), {"modes": {"sized": long}, "settings": settings})
    )
    assert "WARNING: mode 'sized': its prompt is 479 tokens" in show("sized")
    assert "offhook show: warning: mode 'sized': its prompt is 479 tokens" in capsys.readouterr().err
    assert json.loads(show("sized", as_json=True))["warnings"][0].startswith("mode 'sized': its prompt is 479")


def test_reasoning_shows_as_it_is_sent_and_warns_where_it_is_not() -> None:
    thinking = msgspec.structs.replace(mode, reasoning="low", turn_detection=ServerVad(threshold=0.65))
    sent = look(thinking, make_settings(realtime_model="gpt-realtime-2.1"))
    assert (sent.reasoning, sent.warnings) == ("low", [])
    assert sent.listening.later_turns["threshold"] == 0.65
    not_sent = look(thinking, make_settings(realtime_model="gpt-realtime-1.5"))
    assert not_sent.reasoning == ""
    assert "gpt-realtime-1.5 does not reason" in not_sent.warnings[0]
