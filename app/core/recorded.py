"""The row of a recording that was made of a call."""

from datetime import datetime

import msgspec


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """The sound of one stream of a call, kept on disk. consent: `what` of the announcement by which the caller knew.

    path: relative to the data folder. start_ms: where on the call's time axis it begins. complete: nothing of it was lost.
    """

    call_sid: str
    path: str
    start_ms: int
    ms: int
    bytes: int
    complete: bool
    consent: str
    created_at: datetime
    deleted_at: datetime | None = None
