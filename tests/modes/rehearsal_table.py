"""Rehearsal: a conversation at a table. The real machine and the real toolbox with a real mode, in memory, in virtual time."""

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from app.adapters.texted import Texted
from app.calls.texting import Texting
from app.calls.toolbox import Toolbox
from app.core import effects as do
from app.core import events as ev
from app.core.rows import CallInfo, Milestone, ToolCall, Who
from app.mode import CallContext, Mode, Office
from tests.core.story import Story, started
from tests.house.samples import no_session
from tests.modes.ledger_store import MONDAY, OFFICE, LedgerStore
from tests.modes.virtual_time import VirtualTime

CALLER, DIALLED = "+14155550123", "+14155550199"


class TextBox:
    """A carrier that takes texts. `answer`: what becomes of the next ones; `slow_seconds`: it takes its time."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str, str]] = []
        self.answer = Texted("sent")
        self.slow_seconds = 0.0

    async def send_text(self, *, to: str, sender: str, body: str) -> Texted:
        self.texts.append((to, sender, body))
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        return self.answer


class Rehearsal(Story):
    """One call, told as it would be overheard. Make it with the `rehearse` fixture, which also ends it.

    `did` asks about what happened since the last line of the talk: the last call of `agent_says`, `waits`, ...
    """

    def __init__(
        self,
        mode: Mode,
        *,
        office: Office = OFFICE,
        store: LedgerStore | None = None,
        caller: str = CALLER,
        at: datetime = MONDAY,
        fields: dict[str, Any] | None = None,
        **terms: Any,
    ) -> None:
        self.loop = VirtualTime()
        terms = {"greets": bool(mode.opening)} | terms  # as the house has it
        super().__init__(mode=mode, open_now=office.open_at(at), starts_at=self.loop.time(), **terms)
        self.mode = mode
        self.office = office
        self.store = store if store is not None else LedgerStore()
        self.at = at
        self.info = CallInfo(call_sid=self.record.call_sid, account_sid="AC1", caller=caller, dialled=DIALLED)
        self.fields = fields or {}
        """What the call was asked for with, if we placed it."""
        self.never_called: list[str] = []
        self.text_box = TextBox()
        self.text_rows: list[Milestone] = []
        self.texting = Texting(self.text_box, DIALLED, self.text_rows.append)
        self.toolbox = Toolbox(mode, self._context)
        self.toolbox.report = self.tell
        self.count = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- lines of the talk --------------------------------------------------------------------------------------------

    def rings(self, *, opening: bool | None = None) -> None:
        """The stream starts and the session is ready; the mode says whether it opens the talk."""
        self.act(started(), ev.ModelReady(bool(self.mode.opening) if opening is None else opening))
        self.loop.run(0)

    def agent_says(self, text: str, ms: float = 2000) -> str:
        """A whole response, made at once and heard in `ms`. Returns the item's id."""
        response, item = self._response()
        self.act(ev.ResponseStarted(response))
        self._voice(response, item, text, ms)
        self.tell(ev.ResponseDone(response, "completed"))
        self.loop.run(0)
        return item

    def caller_says(self, text: str, ms: float = 800) -> None:
        """The caller speaks, cutting in if the agent is still heard, and is understood."""
        self.count += 1
        self.caller_talks(f"caller-{self.count}", text, ms=ms)
        self.loop.run(0)

    def model_calls(self, name: str, /, *, saying: str = "", ms: float = 1000, **arguments: Any) -> None:
        """A response that calls a tool, with a sentence before it if there is one. Tools that need no time return at once."""
        self.model_calls_with(name, msgspec.json.encode(arguments).decode(), saying=saying, ms=ms)

    def model_calls_with(self, name: str, arguments: str, *, saying: str = "", ms: float = 1000) -> None:
        """The same with arguments as the model wrote them: any text."""
        response, item = self._response()
        self.act(ev.ResponseStarted(response))
        if saying:
            self._voice(response, item, saying, ms)
        self.tell(ev.ToolCalled(response, f"call-{self.count}", name, arguments))
        self.tell(ev.ResponseDone(response, "completed"))
        self.loop.run(0)

    def caller_presses(self, keys: str) -> None:
        """Keys, one after the other."""
        self.act(*(ev.KeyPressed(digit) for digit in keys))

    def hangs_up(self) -> None:
        """The caller puts the telephone down."""
        self.act(ev.CallerLeft("stop"))

    def waits(self, ms: float) -> None:
        """Time passes: audio is heard, marks and deadlines come, tools work."""
        self.scene = []
        self.loop.run(ms / 1000)

    def end(self) -> None:
        """Nothing of the call is left."""
        self.loop.end()

    # --- asking -------------------------------------------------------------------------------------------------------

    def answer(self) -> Any:
        """What the model was told by the one tool that returned in this act."""
        return msgspec.json.decode(self.did(do.AnswerTool).output)

    @property
    def outcome(self) -> dict[str, Any]:
        """What the tools learnt."""
        return self.record.outcome

    def last_tool(self) -> ToolCall:
        """The latest row of a tool call."""
        return self.rows(ToolCall)[-1]

    def overheard(self) -> list[tuple[Who, str]]:
        """The talk as both sides heard it."""
        return self.record.history()

    # --- behind the scenes --------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.loop.time()

    def tell(self, event: ev.Event) -> list[do.Effect]:
        effects = super().tell(event)
        self._arm()
        return effects

    def perform(self, effect: do.Effect) -> None:
        super().perform(effect)
        match effect:
            case do.RunTool():
                task = self.loop.create_task(self._run(effect))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case do.CallIsOver():
                for task in self._tasks:
                    task.cancel()

    async def _run(self, order: do.RunTool) -> None:
        self.tell(await self.toolbox.run(order))

    def _context(self, key: str) -> CallContext:
        return CallContext(
            call_sid=self.record.call_sid,
            caller=self.info.caller,
            dialled=DIALLED,
            office=self.office,
            store=self.store,
            now=self.at,
            key=key,
            outcome=self.record.outcome,
            open_now=self.office.open_at(self.at),
            caller_turns=self.record.caller_turns,
            text=self.texting.to(self.info),
            session=no_session,
            fields=self.fields,
            never_call=self._never_call,
        )

    async def _never_call(self) -> None:
        self.never_called.append(self.info.caller)

    def _response(self) -> tuple[str, str]:
        self.count += 1
        return f"response-{self.count}", f"item-{self.count}"

    def _voice(self, response: str, item: str, text: str, ms: float) -> None:
        """Audio in pieces of 200 ms, as servers send it, and the words."""
        sent = 0.0
        while sent < ms:
            self.voice(response, item, min(200, ms - sent))
            sent += 200
        self.tell(ev.AgentSaid(response, item, text, whole=True))
        self.tell(ev.AgentAudioEnded(response, item))

    def _arm(self) -> None:
        """Come back for the next mark or deadline, whichever is first."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        moments = [at for at, _ in self.line.marks[:1]]
        if self.machine.deadline is not None:
            moments.append(self.machine.deadline)
        if moments:
            self._alarm = self.loop.call_at(min(moments), self._come_back)

    def _come_back(self) -> None:
        self._alarm = None
        if self.line.marks and self.line.marks[0][0] <= self.now + 1e-6:
            self.tell(ev.MarkReached(self.line.marks.pop(0)[1]))
        else:
            self.tell(ev.TimePassed())
