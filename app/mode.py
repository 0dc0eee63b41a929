"""The contract page: everything that a mode may use, and all that it must give.

A mode is one file (or folder) in `modes/` with a `mode = Mode(...)`. The file's name is its name in URLs. A tool is an async
function under `@tool`: its signature is the schema, its docstring is what the model reads, what it *returns* is what it wants:

    text, a struct or a dict     goes to the model as small JSON
    Transfer(to=..., reason=...) the caller is put through to a person, once what is being said has been heard
    EndCall(reason=...)          the call ends, once what is being said has been heard

A tool never touches the telephone, never blocks audio, and always has a deadline. It raises `ToolError` with a sentence that
tells the model what to do instead, and never returns "done" for what was not done.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Literal, Protocol, get_type_hints, overload

import msgspec

from app.errors import BackendDown, BusinessError, NotFound, SlotTaken, ToolError
from app.office import Desk, Office
from app.tools import Tool, about

__all__ = [
    "BackendDown", "Booking", "BusinessError", "CallContext", "Desk", "Effort", "EndCall", "Mode", "NoiseReduction", "NotFound",
    "Office", "SemanticVad", "ServerVad", "SlotTaken", "Store", "Tool", "ToolError", "Transfer", "TurnDetection", "about", "tool",
]  # fmt: skip


class Transfer(msgspec.Struct, frozen=True):
    """What a tool returns to have the caller put through. `to`: a desk of offhook.toml, never a number from the talk."""

    to: str
    reason: str
    outcome: dict[str, Any] = {}
    """Fields of the mode's outcome that hold once the person has answered, and not before."""


class EndCall(msgspec.Struct, frozen=True):
    """What a tool returns to have the call ended after the goodbye was heard."""

    reason: str


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A kept appointment. `start` is local time at the business, without a zone."""

    reference: str
    name: str
    start: datetime
    reason: str


class Store(Protocol):
    """The business's own data: `BUSINESS_API_BASE`, or the built-in tables. Every method may raise `BusinessError`.

    `key` makes a request safe to repeat: the same key books, cancels or writes once, and answers the same again.
    """

    async def free_slots(self, day: date) -> list[datetime]:
        """Starts of free appointments on a day, local time, earliest first; empty when closed or full."""
        ...

    async def book(self, *, name: str, start: datetime, reason: str, phone: str, key: str) -> Booking:
        """Keep a slot. Raises SlotTaken if it is not free."""
        ...

    async def cancel(self, *, name: str, start: datetime, key: str) -> Booking:
        """Give a slot back. Raises NotFound if nobody of that name (any case) has it."""
        ...

    async def add_message(self, *, name: str, text: str, phone: str, key: str) -> str:
        """Keep a message for the office; returns its reference."""
        ...


class CallContext(msgspec.Struct):
    """What a tool knows of the call it works for. Passed by type, hidden from the model."""

    call_sid: str
    caller: str
    """The caller's number as the carrier gave it; empty if withheld."""
    dialled: str
    office: Office
    store: Store
    now: datetime
    """Local time at the business when the tool was called, with its zone."""
    key: str
    """The idempotency key for `store`: the same for the same tool and arguments until that was done once, another after."""
    outcome: dict[str, Any]
    """Fields of the mode's outcome, as tools learn them; checked against `Mode.outcome` when the call ends."""


class SemanticVad(msgspec.Struct, frozen=True):
    """Turn detection by meaning: the model waits until the caller seems done. Not every server has it.

    It waits for at most 8 s (low), 4 s (medium, auto) or 2 s (high).
    """

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class ServerVad(msgspec.Struct, frozen=True):
    """Turn detection by silence, within what a phone line bears: anything else is refused at start-up.

    threshold: 0.55-0.65; below it line noise and the agent's own echo cut in, above it quiet callers are not heard.
    silence_duration_ms: 400-650; below it callers are answered in mid-sentence, above it every answer is late.
    prefix_padding_ms: 0-1000, what of the sound before the speech goes with it.
    """

    threshold: float = 0.6
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500


TurnDetection = SemanticVad | ServerVad
Effort = Literal["", "minimal", "low", "medium", "high", "xhigh"]
NoiseReduction = Literal["none", "near_field", "far_field"]


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of call goes. Everything wrong with any mode is reported at start-up."""

    name: str
    prompt: str
    """File in `prompts/`, a Jinja2 template; `house.md` goes before it."""
    tools: Sequence[Tool]
    first_turn: Sequence[Tool] = ()
    """Offered until the first answer is done, so that the greeting is quick; all tools are offered after it."""
    opening: str = "Greet the caller."
    """Said to the model as the call begins, as if by the caller's line; empty: the caller speaks first."""
    opening_instructions: bool = False
    """Send `opening` as instructions of the first response instead, behind the whole prompt (they would replace it)."""
    first_turn_detection: TurnDetection = SemanticVad(eagerness="high")
    turn_detection: TurnDetection = SemanticVad(eagerness="medium")
    voice: str = "marin"
    model: str = ""
    """Empty: REALTIME_MODEL."""
    reasoning: Effort = ""
    """How hard the model thinks before it speaks. Sent only to a model that reasons; empty: as that model does by itself."""
    noise_reduction: NoiseReduction = "none"
    """The server's filter on the caller's audio, before turn detection: near_field for handsets, far_field for speakerphones."""
    outcome: type[msgspec.Struct] | None = None
    """Type of what comes of a call; a tool fills `CallContext.outcome` field by field."""
    max_prompt_tokens: int = 1500
    """A longer prompt is refused at start-up. 478 is the reference prompt's size; `./offhook show` warns above it."""


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(*, deadline_seconds: float = 3.0, filler: str = "") -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *, deadline_seconds: float = 3.0, filler: str = ""
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of an async function, with or without arguments: `@tool` or `@tool(deadline_seconds=5)`.

    deadline_seconds: past it the model is told that there is no answer. filler: a sentence for the model to say before it
    calls the tool, so that the caller is not left in silence.
    """

    def make(function: Callable[..., Any]) -> Tool:
        hints = get_type_hints(function, include_extras=True)
        return Tool.of(function, hints, CallContext, deadline_seconds=deadline_seconds, filler=filler)

    return make if function is None else make(function)
