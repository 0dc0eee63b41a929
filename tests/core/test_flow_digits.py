"""Flows in the machine: digits that are typed, and the tool that they are given to."""

# `did` fails by itself; its assert is for the reader.
# mypy: disable-error-code="truthy-bool"

from app.core import effects as do
from app.core import events as ev
from app.core.rows import ToolCall
from tests.core.flow_samples import enters, in_order, presses, told
from tests.core.story import returned

# --- digits ----------------------------------------------------------------------------------------------------------


def test_digits_up_to_the_pound_key_go_to_the_tool_and_its_answer_to_the_model() -> None:
    call = in_order()
    call.says("r2", ("a2", 3000))
    presses(call, "4711#")
    assert call.did(do.ClearPlayback)
    order = call.did(do.RunTool)
    assert (order.name, order.arguments) == ("find_order", '{"number":4711}')
    assert told(call, "user") == ["(The caller pressed 4 7 1 1 # on the keypad.)"]
    assert call.did_not(do.RequestResponse)
    call.act(returned(order.call_id, '{"found":true}'))
    assert call.did_not(do.AnswerTool)
    assert told(call, "user") == ['(It was given to the tool find_order, which answers: {"found":true})']
    enters(call, "known")
    assert [(row.name, row.arguments) for row in call.rows(ToolCall)] == [("find_order", '{"number":4711}')] * 2, (
        "begun and back"
    )


def test_as_many_digits_as_may_be_need_no_end_and_a_long_pause_is_one() -> None:
    call = in_order()
    presses(call, "123456")
    assert call.did(do.RunTool).arguments == '{"number":123456}'
    slow = in_order()
    presses(slow, "47")
    slow.waits(4900)
    assert slow.did_not(do.RunTool)
    slow.act(ev.KeyPressed("1"))
    slow.waits(5100)
    assert slow.did(do.RunTool).arguments == '{"number":471}'


def test_the_pause_that_ends_digits_begins_when_the_caller_is_done_speaking() -> None:
    call = in_order()
    presses(call, "47")
    call.waits(3000)
    call.act(ev.CallerSpoke("u1"))
    call.waits(12_000)
    assert call.did_not(do.RunTool)
    call.act(ev.CallerStopped("u1"), ev.CallerTurnTaken("u1"))
    call.says("r2", ("a2", 500))
    call.waits(4900)
    assert call.did_not(do.RunTool)
    presses(call, "1")
    call.waits(5100)
    assert call.did(do.RunTool).arguments == '{"number":471}'


def test_the_end_key_ends_digits_while_the_caller_speaks() -> None:
    call = in_order()
    presses(call, "47")
    call.act(ev.CallerSpoke("u1"))
    presses(call, "#")
    assert call.did(do.RunTool).arguments == '{"number":47}'


def test_a_key_that_is_a_way_does_not_wait_for_silence() -> None:
    call = in_order()
    call.act(ev.CallerSpoke("u1"))
    presses(call, "0")
    call.waits(1600)
    assert call.did(do.PutThrough).to == "office"


def test_one_digit_that_is_a_way_is_taken_if_no_other_follows() -> None:
    call = in_order()
    presses(call, "0")
    assert call.did_not(do.PutThrough)
    call.waits(1600)
    assert call.did(do.PutThrough).to == "office"
    ended = in_order()
    presses(ended, "0#")
    assert ended.did(do.PutThrough)
    number = in_order()
    presses(number, "01#")
    assert number.did(do.RunTool).arguments == '{"number":1}'


def test_an_end_without_digits_and_a_key_beside_them_are_failures() -> None:
    call = in_order()
    presses(call, "#")
    assert told(call, "user") == ["(The caller pressed # on the keypad.)"]
    assert "a number ended by #" in told(call)[0]
    presses(call, "*")
    call.waits(2000)
    assert call.record.flow_failures == 2
    assert call.did_not(do.RunTool)


def test_a_tool_that_refuses_what_was_typed_is_a_failure() -> None:
    call = in_order()
    presses(call, "9#")
    order = call.did(do.RunTool)
    call.act(ev.ToolReturned(call_id=order.call_id, output='{"error":"no such order"}', status="refused", ms=1))
    assert "no such order" in told(call, "user")[0]
    assert call.did(do.RequestResponse)
    assert (call.record.flow_state, call.record.flow_failures) == ("order", 1)


def test_half_a_number_is_forgotten_when_the_talk_moves_on() -> None:
    call = in_order()
    presses(call, "47")
    call.act(ev.ResponseStarted("r2"), ev.ToolCalled("r2", "t2", "correct", '{"what":"no"}'))
    call.tell(ev.ResponseDone("r2", "completed"))
    call.waits(8000)
    assert call.did_not(do.RunTool)
    assert (call.record.flow_state, call.record.flow_failures) == ("menu", 0)


def test_half_a_number_and_another_key_is_no_number() -> None:
    call = in_order()
    presses(call, "41*")
    call.waits(8000)
    assert call.did_not(do.RunTool)
    assert told(call, "user") == ["(The caller pressed * on the keypad.)"]
    assert call.record.flow_failures == 1
