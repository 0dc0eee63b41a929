"""What a running server says of itself to `./offhook status` and `stop`, and where they ask it."""

import msgspec

PATH = "/own/status"


class HowItStands(msgspec.Struct, frozen=True, kw_only=True):
    """A server at this moment."""

    live: int
    """Calls that are not over."""
    max_calls: int
    draining: bool
    drain_seconds: float
    again: bool = False
    """It starts anew once it has drained."""
    waiting: int
    """Rows that Postgres has not taken yet."""
    database: str
    model: str
    modes: dict[str, str]
    """The version stamp of each, as calls get it that begin now."""
