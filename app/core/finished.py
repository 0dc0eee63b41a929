"""The row that says that a call is over for good: the last of all its rows."""

from datetime import datetime

from app.core.standing import Owned


class CallFinished(Owned, frozen=True, kw_only=True):
    """The call is over, and its last tool has come back: nothing more is written of it, and the business may be told.

    written: fields of the outcome that tools have written; nothing else may.
    """

    call_sid: str
    at: datetime
    written: tuple[str, ...] = ()
