"""Runs a call's tools beside the audio: arguments checked, a deadline on each, and an honest answer whatever happens.

A toolbox lives as long as its call, over all the call's streams. An ordinary tool ends with the stream that called it. What
works in the background, and what the caller agreed to have written, is carried through to its deadline; `report` is told.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from app import metrics
from app.adapters.in_time import in_time
from app.captures.ledger import CaptureLedger
from app.core import effects as do
from app.core import events as ev
from app.core.agreement import Agreements, wish
from app.errors import AskFirst, BusinessError, ToolError
from app.mode import CallContext, EndCall, Mode, Tool, Transfer
from app.mode_sheet import every_tool

log = structlog.get_logger()

LATE = "There was no answer in time, and it is not known whether it was done. Say so; do not say that it is done."
BROKEN = "That did not work because of a fault on our side. Say so, and offer to take a message or a person."
TOO_LONG = "The tool ran, but its answer is too long to read out; ask for less."
MISSED = (
    "This came back after the stream had ended that asked for it, so the caller was NOT put through to {desk}. If they still want "
    "it, ask for it again."
)
NOT_ENDED = "This came back after the stream had ended that asked for it. The caller is back, and the call goes on."
ERROR_CHARACTERS = 1500
"""Of a refusal: as much as the model may be told at once."""
WORKING = (
    "It is being done and takes a while. Say so in one short sentence and go on with the talk. Do not say that it is done, and "
    "do not call it again: you are told as soon as it has come back."
)


class Order(msgspec.Struct, frozen=True):
    """A tool call that may run: arguments checked, and the caller asked where that is due."""

    tool: Tool
    values: dict[str, Any]
    context: CallContext
    wanted: str
    """What it is for, as `agreement.wish` has it."""


class Toolbox:
    """The tools of one call. Nothing that a tool does reaches the caller as an exception."""

    def __init__(
        self, mode: Mode, context: Callable[[str], CallContext], captures: CaptureLedger | None = None
    ) -> None:
        """context: makes what a tool knows of the call, given the idempotency key of this tool call."""
        self.captures = captures or CaptureLedger("", keep=lambda row: None)
        self.tools = every_tool(mode)
        self.context = context
        self.report: Callable[[ev.Event], object] = _unheard
        """Takes what happens besides an answer (ToolSlow, ToolFinished). The relay of the call's newest stream sets it."""
        self.closed: Callable[[Transfer], object] = _unseen
        """Told of a transfer that is refused because its desk is outside its hours."""
        self.settled: Callable[[], object] = lambda: None
        """Called after a ToolFinished was reported: the outcome may have grown. The switchboard sets it."""
        self.agreements = Agreements()
        self._done: Counter[str] = Counter()
        self.done_before: Mapping[str, int] = {}
        """How often each wish was done in a process before this one, by `_short`: the same again is another one by now, and gets
        another key. By a tool's name where that process did not say which wishes they were."""
        self._kept: set[asyncio.Task[ev.ToolReturned]] = set()
        """What runs on even if its stream ends; of that, `_background` is what nobody waits for."""
        self._background: set[asyncio.Task[ev.ToolReturned]] = set()

    async def run(self, order: do.RunTool) -> ev.ToolReturned:
        """Check, run and time one tool. Never raises but when cancelled."""
        began = time.perf_counter()
        try:
            ready = self._check(order)
        except ToolError as refusal:
            refused = self._returned(order, began, {"error": _clean(refusal)}, "refused")
            return msgspec.structs.replace(refused, asks=isinstance(refusal, AskFirst))
        except Exception:
            log.exception("a tool failed", tool=order.name)
            return self._returned(order, began, {"error": BROKEN}, "error")
        if ready.tool.background:
            work = self._keep(order, ready, began)
            self._background.add(work)
            work.add_done_callback(self._background.discard)
            work.add_done_callback(self._finished(order))
            return ev.ToolReturned(
                call_id=order.call_id, output=_encode({"status": "working", "note": WORKING}), status="working", ms=0
            )
        reminder = self._remind(order, ready.tool)
        try:
            if not ready.tool.writes:
                return await self._carry_out(order, ready, began)
            work = self._keep(order, ready, began)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:  # the stream is over; half a write helps nobody
                work.add_done_callback(self._finished(order))
                raise
        finally:
            if reminder is not None:
                reminder.cancel()

    def stop(self) -> None:
        """This process ends: what works in the background is given up, and reported as such; a write is carried through."""
        for work in self._background:
            work.cancel()

    @property
    def at_work(self) -> bool:
        """Whether anything runs that outlives streams."""
        return bool(self._kept)

    async def rest(self) -> None:
        """Wait for what outlives streams: until the last deadline of a write, at most, after `stop`."""
        while self._kept:
            await asyncio.wait(self._kept)

    # --- before it runs ---------------------------------------------------------------------------------------------

    def _check(self, order: do.RunTool) -> Order:
        """Raises ToolError for what must not run (yet)."""
        tool = self.tools.get(order.name)
        if tool is None:
            raise ToolError(f"There is no tool {order.name[:80]!r}; there are: {', '.join(sorted(self.tools))}.")
        turns = self.context("").caller_turns
        values = tool.check(order.arguments)
        try:
            values = self.captures.settle(tool.name, tool.captures, values, self.context(""))
        except AskFirst:
            self.agreements.read_back[tool.name] = (turns, self.captures.asked(tool.captures))
            raise
        wanted = wish(tool.name, values)
        if tool.writes:
            self.agreements.demand(tool.name, wanted, values, turns)
        return Order(tool, values, self.context(self._key(tool, wanted)), wanted)

    def _key(self, tool: Tool, wanted: str) -> str:
        """The same for the same wish until it was done once, so that asking again after "no answer" does not do it twice."""
        short = _short(tool.name, wanted)
        return f"{short}-{self._done[short] + self.done_before.get(short, self.done_before.get(tool.name, 0))}"

    @property
    def done(self) -> dict[str, int]:
        """How often each wish was done in this call, over all its processes: `done_before` of the next one."""
        return dict(self._done + Counter(self.done_before))

    def _remind(self, order: do.RunTool, tool: Tool) -> asyncio.TimerHandle | None:
        """Tell once that a tool is slow, if it has a sentence for that."""
        if not tool.filler:
            return None
        slow = ev.ToolSlow(call_id=order.call_id, sentence=tool.filler, after_ms=tool.filler_after_ms)

        def tell() -> None:
            metrics.tool_slow_total.labels(tool.name).inc()
            self.report(slow)

        return asyncio.get_running_loop().call_later(tool.filler_after_ms / 1000, tell)

    # --- running ----------------------------------------------------------------------------------------------------

    async def _carry_out(self, order: do.RunTool, ready: Order, began: float) -> ev.ToolReturned:
        try:
            answer = await self._call(ready)
            output = _encode(_words(answer))
        except (ToolError, BusinessError) as refusal:
            return self._returned(order, began, {"error": _clean(refusal)}, "refused")
        except TimeoutError:
            return self._returned(order, began, {"error": LATE}, "late")
        except Exception:
            log.exception("a tool failed", tool=order.name)
            return self._returned(order, began, {"error": BROKEN}, "error")
        self._done[_short(order.name, ready.wanted)] += 1
        self.agreements.fulfilled(order.name, ready.wanted)
        return self._returned(order, began, output, "ok", answer if isinstance(answer, Transfer | EndCall) else None)

    async def _call(self, ready: Order) -> Any:
        tool = ready.tool
        # Not `asyncio.timeout`: it waits while what was given up takes leave, of a Postgres that hangs for two seconds.
        answer = await in_time(tool.deadline_seconds, tool.call(ready.values, ready.context))
        if isinstance(answer, Transfer):
            _check_desk(answer, ready.context, self.closed)
        if len(_encode(_words(answer)).encode()) > tool.answer_bytes:
            raise ToolError(TOO_LONG)
        return answer

    def _returned(
        self,
        order: do.RunTool,
        began: float,
        told: dict[str, str] | str,
        status: ev.ToolStatus,
        wants: Transfer | EndCall | None = None,
    ) -> ev.ToolReturned:
        seconds = time.perf_counter() - began
        metrics.tool_seconds.labels(order.name if order.name in self.tools else "unknown", status).observe(seconds)
        return ev.ToolReturned(
            call_id=order.call_id,
            output=told if isinstance(told, str) else _encode(told),
            status=status,
            ms=round(seconds * 1000),
            transfer_to=wants.to if isinstance(wants, Transfer) else "",
            ends_call=isinstance(wants, EndCall),
            transfer_outcome=wants.outcome if isinstance(wants, Transfer) else {},
            transfer_warm=wants.warm if isinstance(wants, Transfer) else None,
            transfer_caller=wants.caller_name if isinstance(wants, Transfer) else "",
            transfer_promised=wants.promised if isinstance(wants, Transfer) else "",
            reason=wants.reason if wants is not None else "",
        )

    # --- what outlives a stream -------------------------------------------------------------------------------------

    def _keep(self, order: do.RunTool, ready: Order, began: float) -> "asyncio.Task[ev.ToolReturned]":
        work = asyncio.get_running_loop().create_task(self._carry_out(order, ready, began))
        self._kept.add(work)
        work.add_done_callback(self._kept.discard)
        return work

    def _finished(self, order: do.RunTool) -> Callable[["asyncio.Task[ev.ToolReturned]"], None]:
        """Report what came of work that nobody waits for."""

        def tell(work: "asyncio.Task[ev.ToolReturned]") -> None:
            if work.cancelled():
                given_up = ev.ToolFinished(call_id=order.call_id, output=_encode({"error": LATE}), status="late", ms=0)
                self.report(given_up)
                return
            done = work.result()
            output = done.output
            if done.transfer_to or done.ends_call:  # nobody carries it out any more
                output = _encode({"result": MISSED.format(desk=done.transfer_to) if done.transfer_to else NOT_ENDED})
            self.report(ev.ToolFinished(call_id=done.call_id, output=output, status=done.status, ms=done.ms))
            self.settled()

        return tell


def _short(tool: str, wanted: str) -> str:
    """A wish in so few characters that a key can hold it."""
    return f"{tool}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"


def _unheard(event: ev.Event) -> None:
    log.warning("nobody takes what a tool brings", event_kind=type(event).__name__)


def _unseen(wish: Transfer) -> None:
    log.info("a desk is closed", desk=wish.to)


def _check_desk(wish: Transfer, context: CallContext, closed: Callable[[Transfer], object]) -> None:
    """People are reached by the desks of offhook.toml alone, whatever was said on the phone."""
    desks = context.office.desks
    if wish.to not in desks:
        raise ToolError(f"There is no desk {wish.to!r}; there are: {', '.join(sorted(desks))}.")
    if not desks[wish.to].number:
        raise ToolError("Nobody can be put through to at the moment; offer to take a message.")
    office, desk = context.office, desks[wish.to]
    if not office.desk_open(desk, context.now):
        closed(wish)
        opens = office.desk_opens(desk, context.now)
        raise ToolError(
            f"The desk {wish.to!r} is closed; it opens on {opens:%A} at {opens:%H:%M}. Tell the caller, and offer to take a "
            "message or a call-back."
        )


def _clean(refusal: Exception) -> str:
    """An error's sentence as any JSON can hold it, no longer than the model should read."""
    return str(refusal).encode("utf-8", "replace").decode()[:ERROR_CHARACTERS]


def _words(answer: Any) -> Any:
    """What the model reads of an answer."""
    match answer:
        case Transfer(to=desk):
            return {
                "result": f"The caller is being put through to {desk}. If you have not said so yet, say it in one short sentence."
            }
        case EndCall():
            return {"result": "The call ends now. If you have not said goodbye yet, do it in one short sentence."}
        case str():
            return {"result": answer}
    return answer


def _encode(answer: Any) -> str:
    return msgspec.json.encode(answer).decode()
