"""What can happen to a call. Each is a fact, in the past tense; the machine is told of it together with the time."""

from typing import Any, Literal

import msgspec

ToolStatus = Literal["ok", "refused", "error", "late", "working"]


class Event(msgspec.Struct, frozen=True):
    """Anything that `CallMachine.receive` takes."""


# --- the phone's end --------------------------------------------------------------------------------------------------


class StreamStarted(Event, frozen=True, kw_only=True):
    """The carrier's `start`: from here on the caller hears what we send."""

    stream_sid: str
    call_sid: str
    account_sid: str
    encoding: str
    parameters: dict[str, str]


class KeyPressed(Event, frozen=True):
    """The caller pressed one key: 0-9 * # A-D."""

    digit: str


class MarkReached(Event, frozen=True):
    """A mark came back: all audio before it was played, or a clear threw it away (both look the same on the wire)."""

    name: str


class CallerLeft(Event, frozen=True):
    """The phone's end is over, however that was learned: `stop`, a closed socket, silence of the carrier, a final status."""

    how: str


# --- the model's end --------------------------------------------------------------------------------------------------


class ModelReady(Event, frozen=True):
    """The session is configured as we asked. `opening` tells whether a first response was asked for with it.

    model: who talks in it; empty: as the call's terms have it. lasts_seconds: until the server ends it; None: not known.
    """

    opening: bool = True
    model: str = ""
    lasts_seconds: float | None = None


class ModelLost(Event, frozen=True):
    """The model's end is over or never came to be. `why` is for the log and the record.

    refused: the server will not have us, and would not a moment later.
    """

    why: str
    refused: bool = False


class NoModelLeft(Event, frozen=True):
    """No server could be asked for the session that was wanted."""

    why: str


class HouseFailed(Event, frozen=True):
    """A bug of ours: this talk cannot go on."""

    why: str


class CallerSpoke(Event, frozen=True):
    """The model's turn detection hears the caller begin to speak."""

    item_id: str
    audio_start_ms: int = 0


class CallerStopped(Event, frozen=True):
    """... and end. The clock of the answer's latency starts here."""

    item_id: str
    audio_end_ms: int = 0


class CallerTurnTaken(Event, frozen=True):
    """The caller's audio became a conversation item."""

    item_id: str


class CallerTranscribed(Event, frozen=True):
    """What the caller said in one item; may come after the answer to it. Empty when transcription failed."""

    item_id: str
    text: str
    failed: str = ""
    usage: dict[str, Any] | None = None
    """What writing it down is paid by: the provider's object, as it came."""


class ResponseStarted(Event, frozen=True):
    """A response began. `out_of_band`: it belongs to no conversation, and is never heard."""

    response_id: str
    out_of_band: bool = False


class ResponseDone(Event, frozen=True):
    """A response is over, whatever became of it. `usage` is the provider's object, as it came."""

    response_id: str
    status: str
    reason: str = ""
    error_code: str = ""
    error_type: str = ""
    usage: dict[str, Any] | None = None
    out_of_band: bool = False


class AgentSpoke(Event, frozen=True):
    """The first audio of an item was sent to the caller. Told by the relay, after `Playback.add`."""

    response_id: str
    item_id: str


class AgentSaid(Event, frozen=True):
    """Words of the agent's, as they are generated. `whole`: this is the full text of the part, not a piece of it."""

    response_id: str
    item_id: str
    text: str
    whole: bool = False
    ends_ms: int = 0
    """Where in the item's sound these words end; 0: not known."""


class AgentAudioEnded(Event, frozen=True):
    """No more audio comes for this part of an item."""

    response_id: str
    item_id: str


class ToolCalled(Event, frozen=True):
    """A completed function call in a response's output. `arguments` is JSON text, not yet checked."""

    response_id: str
    call_id: str
    name: str
    arguments: str


class VoiceLost(Event, frozen=True):
    """The voice that spoke for the model is gone: the rest of the call is spoken by the model itself."""

    why: str


class ModelComplained(Event, frozen=True):
    """The model's server sent an `error`; most are harmless and the socket stays open."""

    code: str
    type: str
    message: str
    param: str = ""
    event_id: str = ""


# --- the house's own --------------------------------------------------------------------------------------------------


class ToolReturned(Event, frozen=True, kw_only=True):
    """A tool came back, or was given up on. `output` is what the model is told."""

    call_id: str
    output: str
    status: ToolStatus
    """`working`: it goes on behind the talk, and ToolFinished comes later."""
    asks: bool = False
    """Refused only until the caller has been asked: nothing went wrong."""
    ms: int
    transfer_to: str = ""
    """A desk, if the tool asked for the caller to be put through."""
    transfer_outcome: dict[str, Any] = {}
    """Fields of the outcome that hold once the person has answered."""
    transfer_warm: bool | None = None
    transfer_caller: str = ""
    transfer_promised: str = ""
    ends_call: bool = False
    reason: str = ""


class ToolSlow(Event, frozen=True, kw_only=True):
    """A tool has not come back yet, and has a sentence for that. after_ms: so much silence before it is said."""

    call_id: str
    sentence: str
    after_ms: int


class ToolFinished(Event, frozen=True, kw_only=True):
    """What went on behind the talk has come to its end; on any stream of the call, or after the last."""

    call_id: str
    output: str
    status: ToolStatus
    ms: int


class TimePassed(Event, frozen=True):
    """The machine's own deadline came."""


class CapReached(Event, frozen=True):
    """The house may spend no more on this call: the caller's, the number's or the day's money is gone. Told until it is over."""

    cap: str


class OperatorHungUp(Event, frozen=True):
    """An operator ends the call, now."""


class OperatorPutThrough(Event, frozen=True):
    """An operator has the caller put through to a desk, which can be reached."""

    desk: str


class PickedUp(Event, frozen=True):
    """The carrier says who picked up a call that we placed."""

    who: Literal["person", "machine", "fax"]


class HouseCloses(Event, frozen=True):
    """This process stops: leave by the door, and let another take the call."""
