"""Ids of traces: those of a call follow from its SID, so that every process and every backend names them alike.

A CallSid is `CA` and 128 random bits, as a trace's id is: the trace of a call is found by its SID without the `CA`. A span's id
follows from the SID and what the span is of, so that what happens within it can name it before it is over.
"""

import hashlib
import re
from contextvars import ContextVar

_BITS = re.compile(r"CA([0-9a-fA-F]{32})")
_parent: ContextVar[str] = ContextVar("traceparent", default="")


def trace_id(call_sid: str) -> str:
    """32 hex digits, not all of them 0."""
    found = _BITS.fullmatch(call_sid)
    if found is not None and int(found[1], 16):
        return found[1].lower()
    return hashlib.sha256(call_sid.encode()).hexdigest()[:32]


def span_id(call_sid: str, what: str) -> str:
    """16 hex digits. what: as `app.core.trace_tree.Node` has it."""
    return hashlib.sha256(f"{call_sid} {what}".encode()).hexdigest()[:16]


def enter(call_sid: str, what: str) -> None:
    """What this task does from now on, and what begins in it, is part of this span."""
    _parent.set(f"00-{trace_id(call_sid)}-{span_id(call_sid, what)}-01")


def traceparent() -> str:
    """The header of a request that is made now; empty where no span is known. Source: W3C Trace Context, `traceparent`."""
    return _parent.get()
