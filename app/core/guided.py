"""Guided: the part of a call's machine that follows its mode's flow, and what the caller's keys do.

Entering a state is one update of the session (the state's tools) and one system text (the state's words). A response is asked
for by whoever took the way: at once after a key, with a tool's answer after a tool. Without a flow, or in a state that knows no
keys, keys are gathered until `#` or a pause and told to the model, so that a number is one line of talk and not ten.
"""

from app.core import effects as do
from app.core import events as ev
from app.core.flow import Given, Press
from app.core.phases import FETCHING, GOODBYE, Phase
from app.core.rows import ToolCall
from app.core.stage import Stage
from app.core.tool_calls import TYPED
from app.flows import DESK, END, Go


class Guided(Stage):
    """Keys and ways. Between the stage and the machine; nobody else makes one."""

    # --- keys -------------------------------------------------------------------------------------------------------

    def _key_pressed(self, digit: str, now: float) -> list[do.Effect]:
        """One key: a way at once where the flow knows it; else gathered."""
        if not (self._keys or (self.flow is not None and self.flow.typing)):
            self.record.caller_turns += 1
        effects = self._stay()
        self._quiet_from(now)
        if self.flow is None or not self.flow.reads_keys:
            return [*effects, *self._gather(digit, now)]
        if self._how:  # a person or a goodbye is promised
            return effects
        way = self.flow.way_by_key(digit)
        if self.listening or (way is not None and way.to.startswith(DESK) and self.flow.state.digits is None):
            return [*effects, *self._press(digit, now)]
        self._keys += digit  # kept until the model is there
        return effects

    def _gather(self, digit: str, now: float) -> list[do.Effect]:
        self._keys += digit
        self.timers.set("keys", now + self.terms.keys_seconds)
        return self._send_keys(now) if digit == "#" else []

    def _keys_kept(self, now: float) -> list[do.Effect]:
        """The model is there: what was pressed before is done now, where the flow reads keys."""
        if self.flow is None or not self.flow.reads_keys:
            return []
        keys, self._keys = self._keys, ""
        return [effect for key in keys for effect in self._key_pressed(key, now)]

    def _press(self, key: str, now: float) -> list[do.Effect]:
        """A key where the flow reads them."""
        assert self.flow is not None
        pressed = self.flow.press(key)
        if pressed is Press.KEPT:
            soon = self.terms.keys_seconds if self.flow.may_be_a_way else self.terms.digits_seconds
            self.timers.set("keys", now + soon)
            return self._cut(now, cancel=True)
        if pressed is Press.UNKNOWN:
            return self._gather(key, now)
        return self._pressed(pressed, key, now)

    def _pressed(self, pressed: Go | Given, keys: str, now: float) -> list[do.Effect]:
        """A key or a number that means something here cuts in on what is said."""
        self._keys = ""
        self.timers.drop("keys")
        self._stopped_at = now
        cut = self._cut(now, cancel=True)
        if isinstance(pressed, Given):
            return [*cut, self._told(pressed.keys), *self._run_typed(pressed, now)]
        if pressed.to.startswith(DESK):  # who presses for a person waits for no words
            self.sequencer.wanted = False
            return [*cut, *self._to_desk(pressed, f"pressed {keys}", now)]
        return [*cut, self._told(keys), *self._take(pressed, now), *self._ask(now)]

    def _send_keys(self, now: float) -> list[do.Effect]:
        """Keys were gathered, or no more digits follow. They interrupt what is said, and the server does not know of them."""
        if self._how:  # a person or a goodbye is promised, and is heard out
            self._keys = ""
            return []
        if not self.listening:
            self.timers.set("keys", now + self.terms.keys_seconds)
            return []
        if self.sequencer.caller_speaking and self._await_digits(now):
            return []
        self.timers.drop("keys")
        keys, self._keys = self._keys, ""
        if self.flow is not None and self.flow.reads_keys:
            if self.flow.typing:
                pressed = self.flow.typed()
                if isinstance(pressed, Go | Given):
                    return self._pressed(pressed, pressed.keys if isinstance(pressed, Given) else pressed.key, now)
            return self._wrong_keys(keys, now)
        self._stopped_at = now
        self._expect_answer(now)
        return [*self._cut(now, cancel=True), self._told(keys), *self.sequencer.want()]

    def _await_digits(self, now: float) -> bool:
        """The pause that ends typed digits begins: while the caller speaks it does not run. False if none are awaited."""
        awaited = self.flow is not None and self.flow.typing and not self.flow.may_be_a_way
        if awaited:
            self.timers.set("keys", now + self.terms.digits_seconds)
        return awaited

    def _wrong_keys(self, keys: str, now: float) -> list[do.Effect]:
        """Keys that mean nothing here, all of one burst: a failure, told to the model."""
        assert self.flow is not None
        self._stopped_at = now
        here = self.flow.keys_here()
        wrong = do.AddText("system", f"That means nothing here. Say so, and what may be pressed: {here}.")
        way = self.flow.failed()
        what = [wrong] if way is None else self._take(way, now)
        return [*self._cut(now, cancel=True), self._told(keys), *what, *self._ask(now)]

    def _told(self, keys: str) -> do.AddText:
        return do.AddText("user", f"(The caller pressed {' '.join(keys) or 'nothing'} on the keypad.)")

    # --- ways -------------------------------------------------------------------------------------------------------

    def _take(self, way: Go, now: float) -> list[do.Effect]:
        """A way out of the state; whoever took it asks for words. None once a person or a goodbye is promised."""
        assert self.flow is not None
        if self._how or not (self.phase is Phase.TALKING or self.mending):
            return []
        if way.to.startswith(DESK):
            desk = way.to.removeprefix(DESK)
            return [*self._to_desk(way, _why(way), now), do.AddText("system", FETCHING.format(desk=desk))]
        if way.to == END:
            self.flow.leave()
            self._leave("completed", now)
            return [do.HangUp("the flow's end"), do.AddText("system", GOODBYE)]
        self.flow.enter(way.to)
        self._keys = ""  # what is half-typed was meant for the state that is left
        self.timers.drop("keys")
        self._quiet_from(now)
        entered = self._milestone(f"state_{way.to}", now)
        return [entered, *self._offer_here(), do.AddText("system", self.flow.state.says)]

    def _to_desk(self, way: Go, why: str, now: float) -> list[do.Effect]:
        assert self.flow is not None
        self.flow.leave()
        self._leave("transferred", now)
        return [
            do.PutThrough(to=way.to.removeprefix(DESK), reason=why, outcome=way.outcome),
            self._milestone("transfer_started", now),
        ]

    def _ask(self, now: float) -> list[do.Effect]:
        """The caller waits for words."""
        self._expect_answer(now)
        return list(self.sequencer.want())

    def _offer(self, *, detection: bool = True) -> do.OfferTools:
        return do.OfferTools(detection, None if self.flow is None else self.flow.offered())

    def _offer_here(self) -> list[do.Effect]:
        """A state's tools. Before the first response is done they come with its end, as everything that it did not need."""
        if not self._offered and (self.sequencer.running or self.sequencer.asked):
            return []
        first, self._offered = not self._offered, True
        return [self._offer(detection=first)]

    def _silent(self, now: float) -> list[do.Effect]:
        """The caller says nothing: a failure. Empty where so many of them take no way."""
        way = None if self.flow is None else self.flow.failed()
        return [] if way is None else [*self._take(way, now), *self._ask(now)]

    # --- tools ------------------------------------------------------------------------------------------------------

    def _run_typed(self, given: Given, now: float) -> list[do.Effect]:
        """Typed digits go to their tool as if the model had called it."""
        assert self.flow is not None
        call = ev.ToolCalled("", f"{TYPED}{self.record.tool_calls}", given.tool, given.arguments)
        self.flow.answer(call)
        self.tools.begin(call, now)
        self.timers.drop("dormant")
        begun = do.Write(self.tools.begun(call.call_id))
        return [self._milestone("tool_called", now), begun, do.RunTool(call.call_id, call.name, call.arguments)]

    def _answer_tool(self, call_id: str, row: ToolCall) -> do.Effect:
        """A tool's answer to the model: by the call's id, or in words where the model has not called it."""
        if not call_id.startswith(TYPED):
            return do.AnswerTool(call_id, row.result)
        return do.AddText("user", f"(It was given to the tool {row.name}, which answers: {row.result})")

    def _follow(self, name: str, event: ev.ToolReturned | ev.ToolFinished, now: float) -> list[do.Effect]:
        """Where a tool's answer leads."""
        way = None if self.flow is None else self.flow.came_back(name, event)
        return [] if way is None else self._take(way, now)


def _why(way: Go) -> str:
    """Why a person is needed, for the books and the person."""
    if way.intent:
        return way.intent
    if way.failures:
        return "could not be understood"
    return f"asked for by {way.tool}" if way.tool else "a correction"
