"""What the business is told of a finished call: the message's types, and how one is read out of the books.

The types are the contract with other people's programs, docs/webhooks.md has them with an example: fields are added, never
renamed or taken away; what would break a reader is another `version`.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import CallStore
from app.adapters.tables import call_outcomes, calls, responses
from app.core.rows import Outcome, Response, ToolCall, Turn

ABANDONED = "abandoned"
"""How a call ended that never had a stream."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `text`: what was heard of it, by the caller's ear; times are ms since the call's first stream started."""

    who: Literal["caller", "agent", "house"]
    text: str
    start_ms: int
    end_ms: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call. `arguments` and `result` are JSON, or text where what came was none."""

    name: str
    arguments: Any
    result: Any
    status: Literal["ok", "refused", "error", "late", "working"]
    ms: int


class PutThrough(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to put the caller through to a person."""

    desk: str
    reason: str
    result: str
    started_at: datetime
    ended_at: datetime | None


class LeftMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller left. `url` is the carrier's: with .wav or .mp3 behind it the sound itself, by the account's login."""

    at: datetime
    url: str
    seconds: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the call, as its mode's outcome type has it. `completed`: fields that the model gave after the call."""

    kind: str
    fields: dict[str, Any]
    valid: bool
    completed: tuple[str, ...] = ()


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. None: not known, or there was none."""

    cost_usd: float | None
    model: str | None
    greeting_path: str | None
    greeting_ms: int | None
    turn_ms: tuple[int, ...]
    """Every wait from where the caller stopped to the first sound of the answer."""
    slowest_turn_ms: int | None
    cuts: int | None
    failed_tools: int | None


class FinishedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A finished call."""

    call_sid: str
    link: str
    """The call's page in the console; behind its login."""
    mode: str
    direction: str
    from_number: str
    """Empty: withheld."""
    to_number: str
    started_at: datetime
    ended_at: datetime
    """The end of the talk; a person may have talked on with the caller after it."""
    finished_at: datetime
    """When the call was over for the carrier, and its last tool had come back."""
    outcome: str
    """How it ended: completed, transferred, abandoned, lost, ..."""
    result: Result | None
    transcript: list[Said]
    tools: list[Done]
    transfers: list[PutThrough]
    voicemails: list[LeftMessage]
    missed: str | None
    """Why nobody could talk to the caller, neither the agent nor a person; None: somebody did."""
    figures: Figures


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a delivery."""

    type: Literal["call.finished"] = "call.finished"
    version: Literal[1] = 1
    timestamp: datetime
    """When what is told of happened."""
    data: FinishedCall


async def read(
    books: CallStore, call_sid: str, *, finished_at: datetime, public_url: str
) -> tuple[FinishedCall | None, Outcome | None] | None:
    """A call as the books have it, with its outcome's row as it stands there; None if they do not know it.

    Without the call itself where it goes on after all: another process took it up after this one had thought it over.
    """
    call = await books.call(call_sid)
    if call is None:
        return None
    streams = [row.at for row in await books.milestones(call_sid) if row.name == "stream_started"]
    if streams and (call.ended_at is None or max(streams) > call.ended_at):
        return None, None
    outcome, missed = await books.outcome(call_sid), await books.missed(call_sid)
    told = FinishedCall(
        call_sid=call_sid,
        link=f"{public_url}/calls/{call_sid}",
        mode=call.mode,
        direction=call.direction,
        from_number=call.from_number,
        to_number=call.to_number,
        started_at=call.started_at,
        ended_at=call.ended_at or finished_at,
        finished_at=finished_at,
        outcome=call.outcome or ABANDONED,
        result=None if outcome is None else result_of(outcome),
        transcript=[_said(turn) for turn in await books.turns(call_sid) if turn.heard_text],
        tools=[_done(tool) for tool in await books.tool_calls(call_sid)],
        transfers=[
            PutThrough(
                desk=row.desk, reason=row.reason, result=row.result, started_at=row.started_at, ended_at=row.ended_at
            )
            for row in await books.transfers(call_sid)
        ],
        voicemails=[
            LeftMessage(at=row.at, url=row.url, seconds=row.seconds) for row in await books.voicemails(call_sid)
        ],
        missed=None if missed is None else missed.why,
        figures=Figures(
            cost_usd=call.cost_usd,
            model=call.model,
            greeting_path=call.greeting_path,
            greeting_ms=call.greeting_ms,
            turn_ms=call.turn_ms or (),
            slowest_turn_ms=call.slowest_turn_ms,
            cuts=call.cuts,
            failed_tools=call.failed_tools,
        ),
    )
    return told, outcome


def result_of(outcome: Outcome, completed: tuple[str, ...] = ()) -> Result:
    """An outcome's row as it is told."""
    return Result(kind=outcome.kind, fields=outcome.fields, valid=outcome.valid, completed=completed)


def body(call: FinishedCall) -> str:
    """The message of a finished call, as it is signed and sent."""
    return msgspec.json.encode(Message(timestamp=call.finished_at, data=call)).decode()


def _said(turn: Turn) -> Said:
    return Said(who=turn.who, text=turn.heard_text, start_ms=turn.start_ms, end_ms=turn.end_ms)


def _done(tool: ToolCall) -> Done:
    return Done(
        name=tool.name, arguments=_json(tool.arguments), result=_json(tool.result), status=tool.status, ms=tool.ms
    )


def _json(text: str) -> Any:
    """What a tool was given or gave: as it is on the wire, it is JSON in a text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


async def write_afterword(connection: AsyncConnection, outcome: Outcome | None, response: Response) -> None:
    """Keep what was asked after the call: the outcome, where it grew, and what it cost, which is the call's.

    As by one owner more: the rows of the last one may come once more, off the disk of a process that died as it had written them.
    """
    if outcome is not None:
        values = msgspec.structs.asdict(outcome)
        put = insert(call_outcomes).values(values)
        later = {**values, "epoch": call_outcomes.c.epoch + 1}
        await connection.execute(put.on_conflict_do_update(index_elements=["call_sid"], set_=later))
    figures = {"cost_usd": func.coalesce(calls.c.cost_usd, 0) + response.cost_usd, "epoch": calls.c.epoch + 1}
    await connection.execute(update(calls).where(calls.c.call_sid == response.call_sid).values(figures))
    await connection.execute(insert(responses).values(msgspec.structs.asdict(response)).on_conflict_do_nothing())


def schema() -> dict[str, Any]:
    """The JSON Schema of the message of a finished call."""
    return msgspec.json.schema(Message)
