"""How a call stands, as a row that another process can go on from: what no other row of the books tells.

Turns, tools, transfers, consents and captured values have rows of their own. What is left is what comes next (and what a person who
is being dialled was told), how far the ladder was gone down, and the figures of the record that are written only at a call's end.
"""

from datetime import datetime
from typing import Any

import msgspec

from app.calls.live_call import LiveCall, Next
from app.core.record import CallRecord
from app.core.standing import Standing

FIGURES = (
    "model", "slowest_turn_ms", "cuts", "failed_tools", "turn_ms", "caller_turns", "agent_voiced", "flow_failures",
    "cost_usd", "greeting_path", "greeting_ms", "input_tokens", "cached_tokens", "input_audio_tokens", "cached_audio_tokens",
    "outcome",
)  # fmt: skip
"""Fields of `CallRecord`. Where the talk stands in its flow is a milestone, which is written at once."""


class State(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What `Standing.state` holds. Read leniently: another version of this code may have written it."""

    next: Next = Next("resume")
    apologised: bool = False
    by_keys: bool = False
    how: str = "abandoned"
    menu_dials: int = 0
    led_to_person: bool = False
    leaves_message: bool = False
    fields: dict[str, Any] = {}
    """What a call that we placed is about."""
    first_seq: int = 0
    tool_calls: int = 0
    record: dict[str, Any] = {}
    done: dict[str, int] | None = None
    """How often each wish was done, as `Toolbox.done` has it; None where another version did not say."""


def standing(call: LiveCall, owner: str, at: datetime) -> Standing:
    """The row of a call as it stands now. at: aware."""
    record = call.record
    state = State(
        next=call.next,
        apologised=call.apologised,
        by_keys=call.by_keys,
        how=call.how,
        menu_dials=call.menu_dials,
        led_to_person=call.led_to_person,
        leaves_message=call.leaves_message,
        fields=dict(call.info.fields),
        first_seq=record.first_seq + len(record.spoken),
        tool_calls=record.tool_calls,
        record={name: getattr(record, name) for name in FIGURES},
        done=record.done_before if call.toolbox is None else call.toolbox.done,
    )
    return Standing(
        call_sid=call.info.call_sid,
        epoch=record.epoch,
        at=at,
        owner=owner,
        streams=call.streams,
        tickets=call.tickets,
        state=msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(state, enc_hook=str), enc_hook=str)),
    )


def state_of(row: Standing) -> State:
    """What a row holds; what cannot be read is as at a call's beginning."""
    try:
        return msgspec.convert(row.state, State)
    except msgspec.ValidationError:
        return State()


def restore(call: LiveCall, row: Standing) -> None:
    """Put a call back to where another process had it."""
    state = state_of(row)
    call.streams, call.tickets = max(call.streams, row.streams), max(call.tickets, row.tickets)
    call.next, call.apologised, call.by_keys, call.how = state.next, state.apologised, state.by_keys, state.how
    call.menu_dials, call.led_to_person, call.leaves_message = (
        state.menu_dials,
        state.led_to_person,
        state.leaves_message,
    )
    if state.fields:
        call.info = msgspec.structs.replace(call.info, fields=state.fields)
    put_back(call.record, state)
    attempt = call.transfers.current
    if attempt is not None and state.next.step == "dial":
        attempt.outcome = state.next.outcome


def put_back(record: CallRecord, state: State) -> None:
    """The figures of a record, each if it has the type that it should have."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(CallRecord)}
    for name in FIGURES:
        if name in state.record:
            try:
                value = msgspec.convert(state.record[name], kinds[name])
            except msgspec.ValidationError:
                continue
            setattr(record, name, value)
    if state.done is not None:
        record.done_before = state.done
    record.first_seq = max(record.first_seq, state.first_seq)
    record.tool_calls = max(record.tool_calls, state.tool_calls)
