"""The contract page: everything that a mode may use, and all that it must give.

A mode is one file (or folder) in `modes/` with a `mode = Mode(...)`. The file's name is its name in URLs. A tool is an async
function under `@tool`: its signature is the schema, its docstring is what the model reads, what it *returns* is what it wants:

    text, a struct or a dict     goes to the model as small JSON
    Transfer(to=..., reason=...) the caller is put through to a person, once what is being said has been heard
    EndCall(reason=...)          the call ends, once what is being said has been heard

A tool never touches the telephone, never blocks audio, and always has a deadline. It raises `ToolError` with a sentence that
tells the model what to do instead, and never returns "done" for what was not done.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Any, Literal, Protocol, get_args, get_type_hints, overload

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.captures.captured import (
    Captured,
    Confirmed,
    DateRule,
    DigitRule,
    DigitString,
    EmailAddress,
    LocalDate,
    LocalMoment,
    LocalTime,
    PersonName,
    PhoneNumber,
    PostalCode,
    SpelledWord,
)
from app.errors import BackendDown, BusinessError, NotFound, SlotTaken, ToolError
from app.flows import Digits, Flow, Go, State
from app.rules.elevenlabs import ElevenLabs
from app.rules.office import Desk, Office
from app.tools import Tool, about

__all__ = [
    "BackendDown", "Booking", "BusinessError", "CallContext", "Captured", "Confirmed", "DateRule", "Desk",
    "DigitRule", "DigitString", "Digits", "Disclosure", "Effort", "ElevenLabs", "EmailAddress", "EndCall", "Flow",
    "Go", "LocalDate", "LocalMoment", "LocalTime", "Mode", "NoiseReduction", "NotFound", "Office", "PersonName",
    "PhoneNumber", "PostalCode", "SemanticVad", "ServerVad", "SlotTaken", "SpelledWord", "State", "Store", "Tool",
    "ToolError", "Transfer", "TurnDetection", "about", "tool",
]  # fmt: skip


class Transfer(msgspec.Struct, frozen=True):
    """What a tool returns to have the caller put through. `to`: a desk of offhook.toml, never a number from the talk."""

    to: str
    reason: str
    outcome: dict[str, Any] = {}
    """Fields of the mode's outcome that hold once the person has answered, and not before."""
    warm: bool | None = None
    """The person hears a whisper and accepts by key first; None: as the desk is set."""
    caller_name: str = ""
    """For the whisper: who is calling, if it is known."""
    promised: str = ""
    """For the whisper: what the caller was promised."""


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

    async def names_under(self, phone: str) -> list[str]:
        """Names of earlier bookings and messages under a number (E.164), latest first; empty for a number that nobody knows.

        A number can be forged: nobody is told a name, or anything else, because they call from it.
        """
        ...


async def _no_list() -> None:
    """`CallContext.never_call` where there is no list."""
    raise ToolError("The list cannot be written at the moment. Say so, and offer a person.")


class CallContext(msgspec.Struct):
    """What a tool knows of the call it works for. Passed by type, hidden from the model."""

    call_sid: str
    caller: str
    """The number at the other end of the line, as the carrier gave it; empty if withheld. If we called: the callee's."""
    dialled: str
    office: Office
    store: Store
    now: datetime
    """Local time at the business when the tool was called, with its zone."""
    key: str
    """The idempotency key for `store`: the same for the same tool and arguments until that was done once, another after."""
    outcome: dict[str, Any]
    """Fields of the mode's outcome, as tools learn them; checked against `Mode.outcome` when the call ends."""
    open_now: bool
    """Whether the office is open."""
    caller_turns: int
    """How often the caller has spoken, having heard the agent since they last did, or pressed keys."""
    text: Callable[[str], Awaitable[None]]
    """Sends an SMS to the caller, and to nobody else. Raises ToolError when the number is withheld, or no SMS can be sent."""
    session: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    """One transaction on the house's database, for a mode with tables of its own: committed at its end, rolled back by an error."""
    fields: Mapping[str, Any] = {}
    """What a call that we placed was asked for with, as `Mode.asks` has it; empty when somebody calls us."""
    never_call: Callable[[], Awaitable[None]] = _no_list
    """Puts the number at the other end on the do-not-call list, for good. Raises ToolError when that cannot be done."""


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


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller is told before anything else, and how."""

    ai: bool = True
    """That they talk to a computer."""
    recording: bool = False
    """That the call is recorded."""
    before_stream: bool = False
    """Said by the carrier before the talk begins; else they are the greeting's first words."""
    when: Literal["always", "auto", "never"] = "always"
    """auto: to callers from states in which all parties must agree, and to those whose state is unknown."""


class Caller(msgspec.Struct, frozen=True):
    """Somebody who wants to know what is kept of them, or to have it erased. call_sids: the calls of their number (E.164)."""

    number: str
    call_sids: tuple[str, ...]
    erase: bool = False


class Edition(msgspec.Struct, frozen=True):
    """One version of a mode as it was loaded: a call keeps to the one that it began with, whatever is edited meanwhile."""

    stamp: str = ""
    """12 hex digits, of its code, its prompts and the settings that shape it; the books have it with every call."""
    prompts: tuple[tuple[str, str], ...] = ()
    """The files of `prompts/` that it is made of, by name."""
    office: Office | None = None
    """The business, as offhook.toml described it then."""


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
    voice: str | ElevenLabs = "marin"
    """One of the model's own; or another house's, which speaks what the model writes."""
    model: str = ""
    """Empty: REALTIME_MODEL."""
    reasoning: Effort = ""
    """How hard the model thinks before it speaks. Sent only to a model that reasons; empty: as that model does by itself."""
    noise_reduction: NoiseReduction = "none"
    """The server's filter on the caller's audio, before turn detection: near_field for handsets, far_field for speakerphones."""
    outcome: type[msgspec.Struct] | None = None
    """Type of what comes of a call; a tool fills `CallContext.outcome` field by field."""
    completes: Sequence[str] = ()
    """Fields of `outcome` that the model is asked for after the call, from its transcript, where no tool has written them."""
    flow: Flow | None = None
    """States that the machine drives the talk through; None: one talk with all tools."""
    asks: type[msgspec.Struct] | None = None
    """What it has to be told to place a call (`POST /calls`, `dial`), in words and numbers; None: it places none."""
    voicemail: str = ""
    """Said to an answering machine after its beep: a Jinja2 template as prompts are. Empty: the house's own words."""
    caller_rows: Callable[[AsyncSession, Caller], Awaitable[Mapping[str, list[dict[str, Any]]]]] | None = None
    """What the mode's own tables keep of a caller, by table; deleted as well with `erase`. For `./offhook privacy`."""
    demo: Callable[[AsyncSession], Awaitable[None]] | None = None
    """Puts rows to try the mode with into its own tables; safe to repeat. Run at each start, on the embedded database alone."""
    disclosure: Disclosure = Disclosure(when="never")
    """What is announced, to whom."""
    max_prompt_tokens: int = 1500
    """A longer prompt is refused at start-up. 478 is the reference prompt's size; `./offhook show` warns above it."""
    edition: Edition = Edition()
    """For the registry to fill in: which version of the mode this is."""


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    deadline_seconds: float | None = None,
    answer_bytes: int = 2000,
    filler: str = "",
    filler_after_ms: int = 700,
    background: bool = False,
    writes: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    deadline_seconds: float | None = None,
    answer_bytes: int = 2000,
    filler: str = "",
    filler_after_ms: int = 700,
    background: bool = False,
    writes: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of an async function, with or without arguments: `@tool` or `@tool(deadline_seconds=5)`.

    deadline_seconds: past it the model is told that there is no answer; 3, or 60 in the background, if not given.
    answer_bytes: a longer answer is refused. filler: a sentence that is spoken only if there is no answer after
    `filler_after_ms`, and never over other speech. background: the talk goes on meanwhile, and the answer comes in when it is
    ready. writes: it changes something; the caller is asked first, and done twice by the same `CallContext.key` it is done once.
    """

    def make(function: Callable[..., Any]) -> Tool:
        hints = get_type_hints(function, include_extras=True)
        answer = hints.get("return")
        if background and {Transfer, EndCall} & {answer, *get_args(answer)}:
            raise TypeError(
                f"tool {function.__name__!r}: a background tool can neither put the caller through nor end the call: it comes back "
                "while they talk. Let it return text, and the model call another tool"
            )
        return Tool.of(
            function,
            hints,
            CallContext,
            deadline_seconds=deadline_seconds if deadline_seconds is not None else 60.0 if background else 3.0,
            answer_bytes=answer_bytes,
            filler=filler,
            filler_after_ms=filler_after_ms,
            background=background,
            writes=writes,
        )

    return make if function is None else make(function)
