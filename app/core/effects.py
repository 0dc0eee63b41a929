"""What a call can want done. Each is an order, in the imperative; the relay carries it out and decides nothing."""

from typing import Any, Literal

import msgspec

from app.clips import ClipName
from app.core.rows import Row


class Effect(msgspec.Struct, frozen=True):
    """Anything that `CallMachine.receive` answers with."""


# --- to the phone -----------------------------------------------------------------------------------------------------


class ClearPlayback(Effect, frozen=True):
    """Throw away all audio that the caller has not heard yet."""


class MarkPlayback(Effect, frozen=True):
    """Send what is left of the item's last frame, then a mark that comes back once all of it was heard."""

    name: str


class PlayClip(Effect, frozen=True):
    """Let the caller hear one of the house's own recordings."""

    name: ClipName


class CloseStream(Effect, frozen=True):
    """Close the phone's link; the carrier then asks what is next."""

    code: int = 1000
    reason: str = ""


# --- to the model -----------------------------------------------------------------------------------------------------


class Truncate(Effect, frozen=True):
    """Tell the model how much of an item the caller heard. heard_ms is at least 1 and at most what was received."""

    item_id: str
    content_index: int
    heard_ms: int


class DeleteItem(Effect, frozen=True):
    """Tell the model that nothing of an item was heard."""

    item_id: str


class CancelResponse(Effect, frozen=True):
    """Stop a response that the server does not stop by itself."""

    response_id: str


class Said(msgspec.Struct, frozen=True):
    """A line of the talk as it was heard, for a session that was not there."""

    role: Literal["user", "assistant"]
    text: str


class Called(msgspec.Struct, frozen=True):
    """A tool call of the talk. output: None while it runs; its answer then follows as AnswerTool."""

    call_id: str
    name: str
    arguments: str
    output: str | None


class TellHistory(Effect, frozen=True):
    """Tell a new session what was said and done in this call before it."""

    lines: tuple[Said | Called, ...]


class AddText(Effect, frozen=True):
    """Put a text into the conversation, as a user's line or as the system's note."""

    role: Literal["user", "system"]
    text: str


class AnswerTool(Effect, frozen=True):
    """Give a tool's output to the model."""

    call_id: str
    output: str


class RequestResponse(Effect, frozen=True):
    """Ask for a response; sent only when none is running. `event_id` comes back if the server refuses it.

    reads: it says exactly this sentence, apart from the talk's instructions and tools; empty: it goes on with the talk.
    """

    event_id: str
    reads: str = ""


class OfferTools(Effect, frozen=True):
    """Offer tools and, with `detection`, the turn detection of all turns after the first.

    tools: as a session's configuration lists them, for a state of a flow; None: all of the mode's.
    """

    detection: bool = True
    tools: tuple[dict[str, Any], ...] | None = None


class Reconnect(Effect, frozen=True, kw_only=True):
    """Let go of the model's session and open another for the same talk; comes back as ModelReady, ModelLost or NoModelLeft.

    rung: `again` the same server, `next` the one that stands in for it, `rollover` the same because its time is up.
    refused: the server that is left will not have us, and no other call should ask it soon.
    afresh: nobody was heard yet, so that the talk begins as it was meant to. retell_ms: so much of the caller's newest sound goes
    to the new session first, as no session has understood it.
    """

    why: str
    rung: Literal["again", "next", "rollover"]
    refused: bool = False
    afresh: bool = False
    retell_ms: int = 0


class CloseModel(Effect, frozen=True):
    """Close the model's link; nothing more is wanted of it."""


# --- to the hands -----------------------------------------------------------------------------------------------------


class RunTool(Effect, frozen=True):
    """Check the arguments and run a tool beside the audio; comes back as ToolReturned."""

    call_id: str
    name: str
    arguments: str


class PutThrough(Effect, frozen=True):
    """Remember for `/twilio/next`: dial the desk. `outcome`: what the call came to, once the person has answered."""

    to: str
    reason: str
    outcome: dict[str, Any] = {}
    warm: bool | None = None
    """Whether the person hears a whisper and accepts by key; None: as the desk is set."""
    caller_name: str = ""
    promised: str = ""


class LeaveMessage(Effect, frozen=True):
    """Remember for `/twilio/next`: say the message to the machine that picked up, and hang up."""


class HangUp(Effect, frozen=True):
    """Remember for `/twilio/next`: the call is over."""

    reason: str
    cap: str = ""
    """The cap that ends it, if one does."""
    unsaid: bool = False
    """The agent took no leave, so the carrier has to."""


class Apologise(Effect, frozen=True):
    """Remember for `/twilio/next`: say sorry, then dial a person, or take leave."""

    reason: str


class Resume(Effect, frozen=True):
    """Remember for `/twilio/next`: go on with the talk on a fresh stream."""

    reason: str


class Write(Effect, frozen=True):
    """Give a row to the journal."""

    row: Row


class Measure(Effect, frozen=True):
    """Count a duration. `turn`: caller stopped to first audio sent; `greeting`: stream start to first audio sent.

    `gap`: without a model, from the fault to the next session; path: the rung that ended it, cause: what began it.
    """

    what: Literal["turn", "greeting", "gap"]
    seconds: float
    path: str = ""
    cause: str = ""


class CallIsOver(Effect, frozen=True):
    """The last effect of a call's stream: cancel what still runs for it. Comes exactly once."""

    outcome: str
    how: str
