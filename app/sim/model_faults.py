"""What can be wrong with a model's server: switches of the stand-in, for the whole server or for one call."""

from typing import Annotated, Literal

import msgspec

Place = Literal["answer", "word", "call", "tool"]
Break = Literal[
    "torn",
    "stall",
    "deaf",
    "garbage",
    "1001",
    "1011",
    "4000",
    "session_expired",
    "insufficient_quota",
    "server_error",
    "invalid_api_key",
]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All off by default. `refuse_key` and `hang` show before a caller is known, so they are the whole server's only."""

    refuse_key: bool = False
    """401 at the upgrade."""
    hang: bool = False
    """Takes the connection and never says a word."""
    refuse_config: bool = False
    """Answers every `session.update` with an error."""
    silent: bool = False
    """Takes the configuration, but no response ever gets beyond `response.created`."""
    transcription_fails: bool = False
    """The caller's words are understood, but never written down."""
    no_tools: bool = False
    """Calls no tool, whatever the script says."""
    fails_with: str = ""
    """Every response fails with this error code: "server_error", "insufficient_quota", "rate_limit_exceeded"."""
    late_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Every response's first audio comes that much later."""
    die_after_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The connection is torn, without a close frame, that long after its first `session.updated`."""
    expire_after_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The session ends (`session_expired`, close 1001) that long after its first `session.updated`."""
    refuse_status: Literal[0, 401, 403, 404, 429, 500, 503] = 0
    """That HTTP status at the upgrade; the whole server's, like `refuse_key`."""
    breaks_in: Place | None = None
    """The session breaks in an answer: before anything of it (`answer`), in a `word`, in a `call`'s arguments, or once the call is
    out and its `tool` runs."""
    breaks_at: Annotated[int, msgspec.Meta(ge=1)] = 1
    """In which answer of the session, of those that have such a place."""
    breaks_by: Break = "torn"
    """torn: without a close frame. stall: the socket stays open, no event comes. deaf: nothing is read any more either. garbage:
    half an event, and nothing more. 1001, 1011, 4000: closed so. Any other word: an `error` event with that code, and nothing
    more."""
    says: Annotated[str, msgspec.Meta(max_length=120)] = ""
    """The sentence of an error or a close that comes of these; empty: the stand-in's own."""
    sessions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many sessions of a call suffer, the first ones; None: all."""
