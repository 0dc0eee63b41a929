"""Runs a call's tools beside the audio: arguments checked, a deadline on each, and an honest answer whatever happens."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from app import metrics
from app.core import effects as do
from app.core import events as ev
from app.errors import BusinessError, ToolError
from app.mode import CallContext, EndCall, Mode, Transfer

log = structlog.get_logger()

ANSWER_BYTES = 2000
"""A tool's answer is read by the model before it can speak: larger ones are refused."""
LATE = "There was no answer in time, and it is not known whether it was done. Say so; do not say that it is done."
BROKEN = "That did not work because of a fault on our side. Say so, and offer to take a message or a person."


class Toolbox:
    """The tools of one call. Nothing that a tool does reaches the caller as an exception."""

    def __init__(self, mode: Mode, context: Callable[[str], CallContext]) -> None:
        """context: makes what a tool knows of the call, given the idempotency key of this tool call."""
        self.tools = {tool.name: tool for tool in (*mode.first_turn, *mode.tools)}
        self.context = context
        self._done: Counter[str] = Counter()

    async def run(self, order: do.RunTool) -> ev.ToolReturned:
        """Check, run and time one tool. Never raises but when cancelled."""
        began = time.perf_counter()
        wants: Transfer | EndCall | None = None
        wish = f"{order.name}-{hashlib.sha256(order.arguments.encode()).hexdigest()[:16]}"
        try:
            answer = await self._run(order, f"{wish}-{self._done[wish]}")
            self._done[wish] += 1
            if isinstance(answer, Transfer | EndCall):
                wants = answer
            output, status = _encode(_words(answer)), "ok"
        except (ToolError, BusinessError) as refusal:
            words = str(refusal).encode("utf-8", "replace").decode()
            output, status = _encode({"error": words}), "refused"
        except TimeoutError:
            output, status = _encode({"error": LATE}), "late"
        except Exception:
            log.exception("a tool failed", tool=order.name)
            output, status = _encode({"error": BROKEN}), "error"
        seconds = time.perf_counter() - began
        metrics.tool_seconds.labels(order.name if order.name in self.tools else "unknown", status).observe(seconds)
        return ev.ToolReturned(
            call_id=order.call_id,
            output=output,
            status=status,  # type: ignore[arg-type]
            ms=round(seconds * 1000),
            transfer_to=wants.to if isinstance(wants, Transfer) else "",
            ends_call=isinstance(wants, EndCall),
            transfer_outcome=wants.outcome if isinstance(wants, Transfer) else {},
            reason=wants.reason if wants is not None else "",
        )

    async def _run(self, order: do.RunTool, key: str) -> Any:
        """key: the same for the same wish until it was done once, so that asking again after "no answer" does not do it twice."""
        tool = self.tools.get(order.name)
        if tool is None:
            raise ToolError(f"There is no tool {order.name!r}; there are: {', '.join(sorted(self.tools))}.")
        values = tool.check(order.arguments)
        context = self.context(key)
        async with asyncio.timeout(tool.deadline_seconds):
            answer = await tool.call(values, context)
        if isinstance(answer, Transfer):
            _check_desk(answer, context)
        if len(_encode(_words(answer))) > ANSWER_BYTES:
            raise ToolError("The tool ran, but its answer is too long to read out; ask for less.")
        return answer


def _check_desk(wish: Transfer, context: CallContext) -> None:
    """People are reached by the desks of offhook.toml alone, whatever was said on the phone."""
    desks = context.office.desks
    if wish.to not in desks:
        raise ToolError(f"There is no desk {wish.to!r}; there are: {', '.join(sorted(desks))}.")
    if not desks[wish.to].number:
        raise ToolError("Nobody can be put through to at the moment; offer to take a message.")


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
