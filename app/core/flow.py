"""FlowLedger: where a talk stands in its mode's flow, and which way out of there it takes. No clock, no I/O.

It is told what the caller and the tools do (a key, a wish with its confidence, a tool's answer, a failure) and says which `Go`
is taken, if any; the machine carries it out and tells by `enter` or `leave` that it did. Where the talk stands is kept on the
call's record, so that the next stream of the same call goes on there; what is half-typed is not.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Annotated, Any

import msgspec

from app.core import events as ev
from app.core.record import CallRecord
from app.flows import Flow, Go, State
from app.mode import Mode
from app.tools import Tool

CHOOSE = "choose"
"""The house's tool by which the model tells what the caller wants."""
CORRECT = "correct"
"""The house's tool by which the model tells that the caller takes something back."""
KEYS = "0123456789*#"
"""What a telephone has."""
REASON_CHARACTERS = 300
"""Of what is wrong with arguments: a model may write a megabyte of them, and an error quotes it."""


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `choose`."""

    intent: str
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `correct`."""

    what: str


class Given(msgspec.Struct, frozen=True):
    """Typed digits are complete: the tool that takes them, and its arguments as JSON text. `keys`: all that was pressed."""

    tool: str
    arguments: str
    keys: str


class Press(Enum):
    """What a key is that takes no way yet."""

    KEPT = auto()
    """One of several digits."""
    UNKNOWN = auto()
    """It means nothing here."""


class FlowLedger:
    """One call's place in its mode's flow. A ledger is of one stream; `record` is what outlasts it."""

    def __init__(self, flow: Flow, everywhere: Sequence[Tool], record: CallRecord, *, open_now: bool = True) -> None:
        """everywhere: tools that are offered in each state. open_now: where a call begins that has no state yet."""
        self.flow = flow
        self.record = record
        self._everywhere = {tool.name: tool for tool in everywhere}
        self._keys = ""
        self._entered = 0
        """Counts every way taken, so that a tool's answer from before one is told apart."""
        self._called_at: dict[str, int] = {}
        self._ruled: dict[str, Go | None] = {}
        """Calls that were answered here, with the ways that they take."""
        if flow.state(record.flow_state) is None:
            record.flow_state = flow.start if open_now else flow.start_closed or flow.start

    @classmethod
    def of(cls, mode: Mode, record: CallRecord, *, open_now: bool) -> "FlowLedger | None":
        """A call's ledger; None for a mode without a flow."""
        return None if mode.flow is None else cls(mode.flow, mode.tools, record, open_now=open_now)

    # --- what holds here --------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the talk stands."""
        state = self.flow.state(self.record.flow_state)
        assert state is not None, self.record.flow_state  # the registry has looked where each way leads
        return state

    @property
    def reads_keys(self) -> bool:
        """Whether keys mean something here; else they are told to the model as they are."""
        return self.state.digits is not None or any(way.key for way in self.state.go)

    def offered(self) -> tuple[dict[str, Any], ...]:
        """The tools of this state as a session's configuration lists them: the mode's, the state's, the house's."""
        return (*(tool.wire() for tool in self._tools().values()), *house_tools(self.state))

    def way_by_key(self, key: str) -> Go | None:
        """The way that a key takes here."""
        return next((way for way in self.state.go if way.key and way.key == key), None)

    def keys_here(self) -> str:
        """The keys that mean something here, in words for the model."""
        named = [way.key for way in self.state.go if way.key]
        if self.state.digits is not None:
            named.append(f"a number ended by {self.state.digits.ends}")
        return ", ".join(named)

    # --- keys -------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> Go | Given | Press:
        """One key. Where digits are collected, 0-9 are digits first: one alone is a way only once no other follows."""
        digits = self.state.digits
        if digits is None or not (key == digits.ends or key in "0123456789"):
            self._keys = ""  # a number is not half a number and another key
            return self._taken(self.way_by_key(key))
        self._keys += key
        if key == digits.ends or len(self._keys) >= digits.max_digits:
            return self.typed()
        return Press.KEPT

    @property
    def typing(self) -> bool:
        """Whether digits are collected just now."""
        return bool(self._keys)

    @property
    def may_be_a_way(self) -> bool:
        """Whether what was typed so far is a key that takes a way, unless another follows soon."""
        return self.way_by_key(self._keys) is not None

    def typed(self) -> Go | Given | Press:
        """The digits are complete: ended, as many as may be, or nothing followed."""
        keys, self._keys = self._keys, ""
        digits = self.state.digits
        assert digits is not None
        number = keys.removesuffix(digits.ends)
        way = self.way_by_key(number)
        if not number or way is not None:
            return self._taken(way)
        schema = self._tools()[digits.tool].parameters["properties"][digits.argument]
        value: Any = int(number) if schema.get("type") == "integer" else number
        return Given(digits.tool, msgspec.json.encode({digits.argument: value}).decode(), keys)

    def _taken(self, way: Go | None) -> Go | Press:
        return Press.UNKNOWN if way is None else way

    # --- tools ------------------------------------------------------------------------------------------------------

    def answer(self, call: ev.ToolCalled) -> ev.ToolReturned | None:
        """A tool call begins. What is answered here: the house's own tools, and tools that this state does not offer."""
        self._called_at[call.call_id] = self._entered
        offered = [tool["name"] for tool in self.offered()]
        if call.name not in offered:
            said = {"error": f"There is no tool {call.name[:80]!r} here; there are: {', '.join(offered) or 'none'}."}
            return self._ruling(call, said, None)
        if call.name == CHOOSE:
            return self._choose(call)
        return self._correct(call) if call.name == CORRECT else None

    def came_back(self, name: str, event: ev.ToolReturned | ev.ToolFinished) -> Go | None:
        """A tool has an answer: the way that is taken by it. One that was called before the last way changes nothing."""
        if event.status == "working":
            return None  # its answer comes later
        entered = self._called_at.pop(event.call_id, None)
        if event.call_id in self._ruled:
            return self._ruled.pop(event.call_id)
        if entered != self._entered or (isinstance(event, ev.ToolReturned) and event.asks):
            return None
        if event.status != "ok":
            return self.failed()
        return next((way for way in self.state.go if way.tool == name and _holds(way.when, event.output)), None)

    def _choose(self, call: ev.ToolCalled) -> ev.ToolReturned:
        try:
            choice = msgspec.json.decode(call.arguments, type=Choice)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
            return self._ruling(call, {"error": f"Wrong arguments for {CHOOSE}: {_brief(wrong)}. Correct them."}, None)
        ways = {way.intent: way for way in self.state.go if way.intent}
        way = ways.get(choice.intent)
        if way is not None and choice.confidence >= way.min_confidence:
            return self._ruling(call, {"result": f"Taken: {choice.intent}."}, way)
        unclear = f"That is not clear enough. Ask the caller again, in other words; there is: {'; '.join(ways)}."
        return self._ruling(call, {"error": unclear}, self.failed())

    def _correct(self, call: ev.ToolCalled) -> ev.ToolReturned:
        try:
            correction = msgspec.json.decode(call.arguments, type=Correction)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
            return self._ruling(call, {"error": f"Wrong arguments for {CORRECT}: {_brief(wrong)}. Correct them."}, None)
        way = next(way for way in self.state.go if way.correction)
        return self._ruling(call, {"result": f"Taken back: {correction.what[:200]}"}, way)

    def _ruling(self, call: ev.ToolCalled, said: dict[str, str], way: Go | None) -> ev.ToolReturned:
        self._ruled[call.call_id] = way
        return ev.ToolReturned(
            call_id=call.call_id,
            output=msgspec.json.encode(said).decode(),
            status="ok" if "result" in said else "refused",
            ms=0,
        )

    def _tools(self) -> dict[str, Tool]:
        return self._everywhere | {tool.name: tool for tool in self.state.tools}

    # --- failures, and ways that were taken -------------------------------------------------------------------------

    def failed(self) -> Go | None:
        """Something went wrong between us and the caller: the way that so many failures take, the strictest first."""
        self.record.flow_failures += 1
        ways = [way for way in self.state.go if 0 < way.failures <= self.record.flow_failures]
        return max(ways, key=lambda way: way.failures, default=None)

    def enter(self, name: str) -> None:
        """The talk stands in this state now. Coming back to the same one (repeat) forgives no failures."""
        if name != self.record.flow_state:
            self.record.flow_failures = 0
        self.record.flow_state = name
        self._keys = ""
        self._entered += 1

    def leave(self) -> None:
        """A person or a goodbye is next; a caller who comes back finds the same state, with nothing held against them."""
        self.record.flow_failures = 0
        self._keys = ""
        self._entered += 1


def house_tools(state: State) -> list[dict[str, Any]]:
    """`choose` and `correct` as the configuration lists them, where the state has a way for them."""
    tools = []
    intents = [way.intent for way in state.go if way.intent]
    if intents:
        what = (
            "Tell what the caller wants, as soon as they have said it. confidence: how sure you are of it, from 0 to 1."
        )
        properties = {
            "intent": {"type": "string", "enum": intents},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        }
        tools.append(_house_tool(CHOOSE, what, properties))
    if any(way.correction for way in state.go):
        what = "The caller takes back or corrects what was settled before."
        properties = {"what": {"type": "string", "description": "what they correct, in their words"}}
        tools.append(_house_tool(CORRECT, what, properties))
    return tools


def _house_tool(name: str, description: str, properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def _brief(wrong: Exception) -> str:
    """An error that may quote what the model wrote, short enough to be read."""
    return str(wrong)[:REASON_CHARACTERS]


def _holds(when: dict[str, Any], output: str) -> bool:
    """Whether a tool's answer (JSON text) has these fields with these values."""
    if not when:
        return True
    try:
        answer = msgspec.json.decode(output)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return isinstance(answer, dict) and all(key in answer and answer[key] == value for key, value in when.items())
