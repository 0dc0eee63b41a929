"""The keypad menu's door: a caller goes on by keys alone, when no model answers them.

Where they stand is in the URL that the carrier asks with their keys; it is signed as a whole, and is of our own making. What it
cannot be trusted with (it may be an old one) is looked at again. Nothing here needs the model, nor the database: what is to be
written waits in the journal. A request that is repeated gets the same document, and its tool runs once.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from weakref import WeakKeyDictionary

import msgspec
import structlog

from app import keypad
from app.calls.live_call import LiveCall, Next, outcome_row
from app.calls.switchboard import Switchboard
from app.calls.takeover import of_epoch
from app.core import effects as do
from app.core import events as ev
from app.core.rows import Milestone, ToolCall
from app.flows import Flow
from app.keypad import Ask, Goodbye, Look, Person, Place, Step
from app.mode import Mode
from app.wire import twiml

log = structlog.get_logger()

PATH = "/twilio/menu"
BEGINS = "I am sorry, I cannot talk right now. Please use the keys of your telephone."
NOBODY_FREE = "I am sorry, nobody is free right now."
DIALS = 3
"""So many times a caller is put through from the menu; nobody is there, then."""
QUIET_SECONDS = 180.0
"""A menu that is not asked on within this has lost its caller: longer than the longest prompt and its silence."""
DIGITS_TIMEOUT, KEY_TIMEOUT = 8, 6


class _Menu:
    """What is remembered of one call's menu here; nothing that another process would miss, and nothing that leads to the call.

    That would keep the call in memory for ever: it is the key under which this is found.
    """

    def __init__(self) -> None:
        self.given: dict[str, asyncio.Task[str]] = {}
        """Documents by what was asked."""
        self.step = 0
        self.quiet: asyncio.TimerHandle | None = None


class KeypadMenu:
    """All calls that go by keys. `onward` makes the document of what a call is to do next, as `/twilio/next` would."""

    def __init__(
        self,
        board: Switchboard,
        url: Callable[[str], str],
        onward: Callable[[LiveCall], str],
        nobody: Callable[[LiveCall, str], str],
    ) -> None:
        """nobody: the document for a caller for whom there is no person, with what is said first."""
        self.board = board
        self.url = url
        self.onward = onward
        self.nobody = nobody
        self._menus: WeakKeyDictionary[LiveCall, _Menu] = WeakKeyDictionary()

    def serves(self, mode: Mode) -> bool:
        """Whether a mode's own flow is a menu that speaks by itself."""
        return mode.flow is not None and keypad.menu_of(mode.flow, self.board.office) is not None

    def begin(self, call: LiveCall) -> str:
        """The first question, or the next after nobody was there: where the talk stood, if that place can speak."""
        menu = self._menu(call)
        flow = keypad.menu_of(call.mode.flow, self.board.office_of(call))
        if flow is None:
            return self._document(call, Person("", "no menu"))
        if not call.by_keys:
            self._note(call, "menu_started")
        call.by_keys, call.apologised = True, False
        stood = flow.state(call.record.flow_state)
        start = keypad.begin(flow, open_now=self.board.office_of(call).open_at(datetime.now(UTC)))
        state = stood.name if stood is not None and stood.menu else start.state
        menu.step += 1
        words = NOBODY_FREE if call.menu_dials else BEGINS
        if call.menu_dials >= DIALS:
            return self._nobody(call)
        return self._document(
            call, keypad.ask(flow, self.board.office_of(call), Place(state=state, step=menu.step), words)
        )

    async def answer(self, call: LiveCall, query: str, keys: str) -> str:
        """The document that follows the keys. query: of our own URL, as the carrier asks it; keys: "" for none.

        Asked again, even while the first is not answered yet, it is the same.
        """
        menu = self._menu(call)
        if place_of(query) is None:
            return self.begin(call)
        asked = f"{query}|{keys}"
        if asked not in menu.given:
            menu.given[asked] = asyncio.create_task(self._answer(call, menu, query, keys))
        return await asyncio.shield(menu.given[asked])

    async def _answer(self, call: LiveCall, menu: _Menu, query: str, keys: str) -> str:
        flow = keypad.menu_of(call.mode.flow, self.board.office_of(call))
        place = place_of(query)
        if flow is None or place is None or flow.state(place.state) is None:
            return self.begin(call)
        call.by_keys = True
        call.record.caller_turns += bool(keys)
        menu.step = max(menu.step, place.step)
        if not keypad.KEYS.issuperset(keys):
            keys = ""  # A-D, or what no telephone has
        step = keypad.pressed(flow, self.board.office_of(call), place, keys)
        if isinstance(step, Look):
            step = await self._look(call, flow, step)
        return self._document(call, step)

    async def _look(self, call: LiveCall, flow: Flow, look: Look) -> Step:
        """Run a tool as the talk would: checked, within its deadline, written down. Not one that the caller must agree to first:
        by keys alone nobody reads anything back, and the same digits once more are no yes.
        """
        toolbox = self.board.toolbox(call)
        tool = toolbox.tools.get(look.tool)
        if tool is not None and (tool.writes or any(want.demanded for want in tool.captures.values())):
            log.warning("a tool that asks first is not run by keys alone", mode=call.mode.name, tool=tool.name)
            return keypad.looked(flow, self.board.office_of(call), look.place, look.tool, {}, done=False)
        seq = call.record.tool_calls
        call.record.tool_calls += 1
        order = do.RunTool(f"keys-{seq}", look.tool, _arguments(call.mode, flow, look))
        came = await toolbox.run(order)
        row = ToolCall(
            call_sid=call.info.call_sid,
            seq=seq,
            name=look.tool,
            arguments=order.arguments,
            result=came.output,
            status=came.status,
            ms=came.ms,
        )
        self.board.journal.put(row)
        self.board.journal.put(outcome_row(call.record, call.mode))
        if came.status == "working":  # neither done nor failed; what comes of it is written down by the relay that was
            call.record.working[order.call_id] = row
            place = msgspec.structs.replace(look.place, step=look.place.step + 1)
            return keypad.ask(flow, self.board.office_of(call), place, keypad.WORKING)
        return _wanted(came) or keypad.looked(
            flow, self.board.office_of(call), look.place, look.tool, _fields(came.output), done=came.status == "ok"
        )

    def _document(self, call: LiveCall, step: Step) -> str:
        match step:
            case Ask(say=say, place=place, digits=digits):
                document = twiml.gather(
                    say=say,
                    action_url=self._place_url(call, place),
                    num_digits=digits.max_digits if digits else 1,
                    finish_on_key=digits.ends if digits else "",
                    timeout=DIGITS_TIMEOUT if digits else KEY_TIMEOUT,
                )
                self._moved(call, place)
            case Person():
                document = self._person(call, step)
            case Goodbye(say=say):
                document = self._goodbye(call, " ".join(say))
            case _:
                raise TypeError(f"expected something to say, got {type(step).__name__}")
        call.document = document
        self._keep(call)
        return document

    def _person(self, call: LiveCall, step: Person) -> str:
        """Put the caller through to the desk, or to the first that has a number; goodbye if there is nobody at all."""
        there = [desk.name for desk in self.board.office_of(call).desks.values() if desk.number]
        desk = step.desk if step.desk in there else next(iter(there), "")
        if not desk or call.menu_dials >= DIALS:
            return self._nobody(call)
        call.menu_dials += 1
        call.record.flow_failures = 0
        call.remember(do.PutThrough(desk, step.reason, step.outcome))
        self._note(call, "transfer_started")
        log.info("put through by keys", call_sid=call.info.call_sid, desk=desk, why=step.reason)
        document = self.onward(call)
        return twiml.said_before(" ".join(step.say), document) if call.next.step == "dial" else document

    def _nobody(self, call: LiveCall) -> str:
        """There is no person, or none who answers: the rung below the menu."""
        self._note(call, "menu_ended")
        call.document = self.nobody(call, NOBODY_FREE)
        return call.document

    def _goodbye(self, call: LiveCall, say: str) -> str:
        call.next = Next("hang_up")
        self._note(call, "menu_ended")
        self.board.finish(call)
        return twiml.hang_up(say)

    def _moved(self, call: LiveCall, place: Place) -> None:
        """Where the caller stands is kept as the talk keeps it."""
        if call.record.flow_state != place.state:
            self._note(call, f"state_{place.state}")
        call.record.flow_state, call.record.flow_failures = place.state, place.failures

    def _lost(self, call: LiveCall) -> None:
        """Nobody asked on: the caller has gone, and the carrier did not say so."""
        self._menu(call).quiet = None
        if not call.streaming:
            self.board.finish(call)

    def _keep(self, call: LiveCall) -> None:
        """The call's row and outcome as they stand: nobody else closes a call without a stream."""
        record, menu = call.record, self._menu(call)
        if menu.quiet is not None:
            menu.quiet.cancel()
        if call.next.step != "dial" and not call.finished:
            menu.quiet = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._lost, call)
        call.how = call.how if call.leaves_message else "by_keys"
        self.board.journal.put(record.ended(datetime.now(UTC), call.how))
        self.board.journal.put(outcome_row(record, call.mode))
        self.board.keep(call)

    def _note(self, call: LiveCall, name: str) -> None:
        self.board.journal.put(Milestone(call_sid=call.info.call_sid, name=name, at=datetime.now(UTC)))

    def _menu(self, call: LiveCall) -> _Menu:
        menu = self._menus.get(call)
        if menu is None:
            menu = self._menus[call] = _Menu()
        return menu

    def _place_url(self, call: LiveCall, place: Place) -> str:
        url = self.url(f"{PATH}?{urlencode({'mode': call.mode.name, **msgspec.to_builtins(place)})}")
        return of_epoch(url, call.record.epoch)


def place_of(query: str) -> Place | None:
    """The place in the query of a URL of ours; None if it is none: an old URL, or the door's bare one."""
    fields = dict(parse_qsl(query)[:8])
    counts = [fields.get(name, "") for name in ("failures", "step")]
    if not fields.get("state") or not all(text.isascii() and text.isdecimal() and len(text) < 4 for text in counts):
        return None
    failures, step = map(int, counts)
    return Place(state=fields["state"], failures=failures, step=step)


def _arguments(mode: Mode, flow: Flow, look: Look) -> str:
    """What was typed as the tool's arguments: text, unless it takes a whole number."""
    state = flow.state(look.place.state)
    tools = {tool.name: tool for tool in (*mode.tools, *(state.tools if state is not None else ()))}
    properties = tools[look.tool].parameters.get("properties", {}) if look.tool in tools else {}
    values = {
        name: int(typed) if properties.get(name, {}).get("type") == "integer" else typed
        for name, typed in look.arguments.items()
    }
    return msgspec.json.encode(values).decode()


def _fields(output: str) -> dict[str, Any]:
    """A tool's answer as fields; one that has none is all words."""
    answer = msgspec.json.decode(output)
    return answer if isinstance(answer, dict) else {"result": output}


def _wanted(came: ev.ToolReturned) -> Step | None:
    """What a tool asked for instead of answering."""
    if came.transfer_to:
        return Person(came.transfer_to, came.reason, outcome=came.transfer_outcome)
    return Goodbye() if came.ends_call else None
