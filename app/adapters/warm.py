"""Prepared sessions: begun at the webhook, claimed at the stream's start, retired when nobody comes.

A call's session is opened while the carrier is still connecting the stream: the greeting is generated meanwhile, waits in the
session, and leaves the moment the stream starts.
"""

from collections.abc import Callable

from app.adapters.model_link import ModelSession, Opening
from app.core.record import CallInfo
from app.mode import Mode


class Warm:
    """Sessions by call. `make` builds one that has not begun to dial."""

    def __init__(self, make: Callable[[CallInfo, Mode, Opening | None], ModelSession]) -> None:
        self.make = make
        self.prepared: dict[str, ModelSession] = {}

    def prepare(self, info: CallInfo, mode: Mode, opening: Opening | None) -> None:
        """Begin a session for a call; one that was begun before is dropped. opening None: the mode's own."""
        self.retire(info.call_sid)
        session = self.make(info, mode, opening)
        self.prepared[info.call_sid] = session
        session.start()

    def claim(self, info: CallInfo, mode: Mode, opening: Opening | None) -> tuple[ModelSession, str]:
        """The call's session, and the path it came by. One that was lost meanwhile is replaced by a cold one."""
        session = self.prepared.pop(info.call_sid, None)
        if session is not None and session.state != "lost":
            return session, "prepared"
        cold = self.make(info, mode, opening)
        cold.start()
        return cold, "cold"

    def retire(self, call_sid: str) -> None:
        """Drop what was prepared for a call, if anything."""
        session = self.prepared.pop(call_sid, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """Drop everything."""
        for call_sid in list(self.prepared):
            self.retire(call_sid)
