"""Flows in the machine: where the caller's wishes and the answers of tools lead."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

import json
from typing import Any

import pytest

from app.core import effects as do
from app.core import events as ev
from app.core.record import CallRecord
from app.core.rows import ToolCall
from tests.core.flow_samples import chooses, enters, hotline, in_order, told
from tests.core.story import returned

# --- wishes ----------------------------------------------------------------------------------------------------------


def test_a_sure_wish_moves_with_its_tools_answer() -> None:
    call = hotline()
    chooses(call, "an order", 0.7)
    assert json.loads(call.did(do.AnswerTool).output) == {"result": "Taken: an order."}
    assert call.did_not(do.RunTool)
    enters(call, "order")
    assert [(row.name, row.status) for row in call.rows(ToolCall)] == [("choose", "ok")]


@pytest.mark.parametrize(("intent", "confidence"), [("an order", 0.69), ("the weather", 1.0)])
def test_an_unclear_wish_is_a_failure_and_asked_again(intent: str, confidence: float) -> None:
    call = hotline()
    chooses(call, intent, confidence)
    assert "Ask the caller again" in json.loads(call.did(do.AnswerTool).output)["error"]
    assert call.did(do.RequestResponse)
    assert call.did_not(do.OfferTools, do.AddText)
    assert (call.record.flow_state, call.record.flow_failures) == ("menu", 1)


@pytest.mark.parametrize("arguments", ["", "{}", "[]", '{"intent":"an order","confidence":2}', "\ud800", "[" * 9000])
def test_a_choice_that_is_none_is_the_models_fault_and_not_the_callers(arguments: str) -> None:
    call = hotline()
    call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", "choose", arguments))
    assert "Wrong arguments" in json.loads(call.did(do.AnswerTool).output)["error"]
    assert (call.record.flow_state, call.record.flow_failures) == ("menu", 0)


def test_a_megabyte_from_the_model_is_not_said_back_to_it() -> None:
    big = "x" * 1_000_000
    for name, arguments in (("choose", f'{{"{big}":1}}'), (big, "{}")):
        call = hotline()
        call.act(ev.ResponseStarted("r1"), ev.ToolCalled("r1", "t1", name, arguments))
        assert len(call.did(do.AnswerTool).output) < 600


def test_a_wish_for_a_person_is_told_and_then_dialled() -> None:
    call = hotline()
    chooses(call, "a person", 0.6)
    wish = call.did(do.PutThrough)
    assert (wish.to, wish.reason) == ("office", "a person")
    assert "put through to office" in told(call)[-1]
    assert call.did(do.RequestResponse)
    call.says("r2", ("a2", 800))
    assert not call.over
    call.waits(1000)
    assert call.over


# --- tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "state"), [('{"found":true,"n":7}', "known"), ('{"found":false}', "order")])
def test_a_tool_leads_on_if_its_answer_has_the_fields(answer: str, state: str) -> None:
    call = in_order()
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "find_order", '{"number":7}'))
    assert call.did(do.RunTool)
    call.tell(returned("t2", answer))
    call.tell(ev.ResponseDone("r2", "completed"))
    assert call.did(do.AnswerTool).output == answer
    assert call.record.flow_state == state
    assert call.did(do.RequestResponse)
    assert len(call.all(do.OfferTools)) == (state == "known")


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", '"found"'])
def test_an_answer_without_fields_leads_nowhere(answer: str) -> None:
    call = in_order()
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "find_order", "{}"), returned("t2", answer))
    assert call.record.flow_state == "order"


@pytest.mark.parametrize("status", ["refused", "error", "late"])
def test_a_tool_that_did_not_work_is_a_failure(status: Any) -> None:
    call = in_order()
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "find_order", "{}"))
    call.tell(ev.ToolReturned(call_id="t2", output='{"found":true}', status=status, ms=1))
    assert (call.record.flow_state, call.record.flow_failures) == ("order", 1)


def test_a_tool_of_a_state_that_was_left_is_refused_and_an_answer_that_comes_after_it_leads_nowhere() -> None:
    call = in_order()
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "find_order", '{"number":7}'))
    call.tell(ev.ToolCalled("r2", "t3", "correct", '{"what":"not an order"}'))
    assert call.record.flow_state == "menu"
    call.act(returned("t2", '{"found":true}'), ev.ToolCalled("r2", "t4", "find_order", '{"number":7}'))
    assert call.record.flow_state == "menu"
    assert call.record.flow_failures == 0
    assert call.did_not(do.RunTool, do.OfferTools)
    refusal = json.loads(call.all(do.AnswerTool)[-1].output)["error"]
    assert "no tool 'find_order' here" in refusal
    assert "put_through, choose" in refusal


def test_what_a_tool_wants_by_itself_comes_before_its_way() -> None:
    call = hotline(record=CallRecord(call_sid="CA1", mode="hotline", flow_state="known"))
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "send_back", "{}"), returned("t2", to="office"))
    assert call.did(do.PutThrough).to == "office"
    assert call.did_not(do.HangUp)
    assert call.record.flow_state == "known"


def test_a_tool_may_lead_to_the_end() -> None:
    call = hotline(record=CallRecord(call_sid="CA1", mode="hotline", flow_state="known"))
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "send_back", '{"order":7}'), returned("t2"))
    call.tell(ev.ResponseDone("r2", "completed"))
    assert call.did(do.HangUp)
    assert len(call.all(do.RequestResponse)) == 1
    call.says("r3", ("a3", 500))
    assert call.did_not(do.RequestResponse)
    call.waits(600)
    assert call.over


def test_a_flow_that_ends_with_a_tools_answer_has_it_said_though_there_was_a_word_before_the_tool() -> None:
    call = hotline(record=CallRecord(call_sid="CA1", mode="hotline", flow_state="known"))
    call.says("r2", ("a2", 500), done=False)
    call.act(ev.ToolCalled("r2", "t2", "send_back", '{"order":7}'), ev.ResponseDone("r2", "completed"), returned("t2"))
    assert call.did(do.HangUp)
    assert call.did(do.RequestResponse)
    call.says("r3", ("a3", 500))
    call.waits(1200)
    assert call.over


def test_keys_from_before_a_person_was_promised_cut_off_nothing() -> None:
    call = hotline()
    call.act(ev.KeyPressed("7"))
    call.act(
        ev.ResponseStarted("r2"),
        ev.ToolCalled("r2", "t2", "put_through", "{}"),
        ev.ResponseDone("r2", "completed"),
        returned("t2", to="office"),
    )
    call.says("r3", ("a3", 4000))
    call.waits(2000)
    assert call.did_not(do.ClearPlayback, do.RequestResponse)
    call.waits(3000)
    assert call.over
