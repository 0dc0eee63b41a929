"""What the model stand-in says and does: a script tells it, turn by turn; it never makes anything up.

It understands a caller's line by finding the very bytes of it in what it was sent, between speech start and stop (u-law
passes every relay bit-exact; of PCM, those samples are looked at that u-law has). So a rehearsal fails when frames were lost,
doubled or changed: that is the point of it.
A `Rehearsal` is one call's script and memory and outlives a session: a call may have several, one after the other.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from datetime import date
from secrets import token_hex
from typing import Any

import msgspec
import structlog

from app.errors import SetupError
from app.sim.model_faults import Faults
from app.sim.model_past import Past, heard_words
from app.sim.model_sound import Repertoire, from_pcm
from app.sim.phrases import key
from app.sim.script import Script, ToolUse, Turn
from app.sim.script_words import render, render_all

log = structlog.get_logger()

HELLO = "Hello, how can I help you?"
NOT_CAUGHT = "I am sorry, I did not catch that."
DID_NOT_WORK = "I am sorry, that did not work."
STILL_THERE = "Are you still there?"
GOODBYE = "Thank you for calling. Goodbye."
ONE_MOMENT = "One moment please."
# The first that fits: a caller who is "still silent, say goodbye" is said goodbye to
ANSWERS = (
    (re.compile(r"say goodbye|run out of time", re.I), GOODBYE),
    (re.compile(r"\bsilent\b|still there", re.I), STILL_THERE),
    (re.compile(r"goodbye", re.I), GOODBYE),
)
READ_OUT = re.compile(r'Say exactly this sentence and nothing else: "(.+)"', re.S)
"""How a client asks for one sentence, out of the talk's order."""
REMEMBERED_BYTES = 30 * 8000


class Part(msgspec.Struct):
    """A script as far as it has come: the next turn's index, and what templates know."""

    script: Script
    variables: dict[str, Any]
    position: int = 0


class Rehearsal:
    """One call: its script (or, for a caller nobody announced, all scripts that may fit) and what became of it so far."""

    def __init__(
        self, scripts: Sequence[Script], today: Callable[[], date], *, number: str = "", faults: Faults | None = None
    ) -> None:
        self.number = number
        self.today = today
        self.faults = faults
        self.parts = [Part(script, script.variables(today())) for script in scripts]
        self.sessions = 0
        """Sessions that this call has had."""
        self.heard_sessions = 0
        """Of those, the ones that got a caller's audio: a prepared one that nobody claimed takes no opening away."""

    def check(self, repertoire: Repertoire) -> None:
        """Raise SetupError if a caller's line, as far as it is known before the call, is nothing the caller's voice can say."""
        for part in self.parts:
            for n, turn in enumerate(part.script.turn, 1):
                try:
                    line = render(turn.caller, part.variables)
                except SetupError:
                    continue  # it needs what a tool will give
                try:
                    _ = line and repertoire.core(line, part.script.caller.voice)
                except SetupError as error:
                    raise SetupError(f"{part.script.title}: turn {n}: {error}") from error


class PlannedCall(msgspec.Struct, frozen=True):
    """A tool call to make."""

    call_id: str
    name: str
    arguments: dict[str, Any]


class Plan(msgspec.Struct, frozen=True):
    """What one response consists of: something to say, then tools to call."""

    says: str = ""
    calls: Sequence[PlannedCall] = ()


class _Asked(msgspec.Struct):
    """Tools called for a turn, and their answers so far, by call id."""

    part: Part
    turn: Turn
    uses: dict[str, ToolUse]
    answers: dict[str, str] = {}


class Mind:
    """One session's share in a rehearsal. `note` is told what it does, for logs and watchers."""

    def __init__(self, rehearsal: Rehearsal, repertoire: Repertoire, faults: Faults, note: Callable[..., None]) -> None:
        self.rehearsal = rehearsal
        self.repertoire = repertoire
        self.faults = faults
        self.note = note
        self.opened = False
        self.ordinal = rehearsal.heard_sessions
        self.unplaced = b""
        self.keys_pressed = ""
        self.heard: list[tuple[Part, int] | None] = []
        self.texts: list[str] = []
        self.asked: _Asked | None = None
        self.past = Past()

    def hear(self, audio: bytes, transcribed: Callable[[str], None]) -> None:
        """Take what the caller said (u-law). `transcribed` is given it in words, at once or later; empty if not understood."""
        transcribed(self._find_line(audio))

    async def understood(self) -> None:
        """Wait until all that was heard is understood, as far as it can be."""

    def forget(self) -> None:
        """The session is over: nobody waits for anything."""

    @property
    def thinking(self) -> bool:
        """Whether something that was heard is not understood yet: then `plan` has to wait for it."""
        return False

    def _find_line(self, audio: bytes) -> str:
        """The script's line in what the caller said, empty if there is none."""
        audio = (self.unplaced + audio)[-REMEMBERED_BYTES:]
        found = self._find(audio)
        self.unplaced = b"" if found else audio
        self.heard.append(found[:2] if found else None)
        self.note("heard", text=found[2] if found else "")
        return found[2] if found else ""

    def read(self, text: str) -> None:
        """Take a text item, or a response's own instructions: something to answer when a response is asked for."""
        self.past.line(text, agent=False)
        self.texts.append(text)

    def take_answer(self, call_id: str, output: str) -> None:
        """Take a tool's answer."""
        self.past.output(call_id, output)
        if self.asked is not None and call_id in self.asked.uses:
            self.asked.answers[call_id] = output
            self.note("answered", name=self.asked.uses[call_id].name, output=output)

    def drop_calls(self, plan: Plan) -> None:
        """The response was cut off before all its calls were out: their answers are not waited for."""
        if self.asked is not None and any(call.call_id in self.asked.uses for call in plan.calls):
            self.asked = None

    def plan(self, tools: Collection[str], *, history: bool) -> Plan:
        """Decide on a response. `tools`: names that may be called; `history`: the agent has spoken in this conversation.

        Raises SetupError if the script cannot be followed: a template wants what no tool gave.
        """
        if (sentence := self._asked_to_read()) is not None:
            return Plan(sentence)
        texts, self.texts = self.texts, []
        if self.heard:
            caller, self.heard, self.opened, self.past = self.heard[-1], [], True, Past()
            return self._turn(*caller, tools) if caller else Plan(NOT_CAUGHT)
        if self.asked is not None and self.asked.answers.keys() == self.asked.uses.keys():
            asked, self.asked = self.asked, None
            return Plan(self._after_tools(asked) or ONE_MOMENT)
        if self.past.continues and (plan := self._go_on(tools)) is not None:
            self.opened = True
            return plan
        if not self.opened and (opening := self._opening(history)) is not None:
            self.opened = True
            return self._turn(*opening, tools)
        first, self.opened = not self.opened and not history, True
        for text in texts:
            for pattern, answer in ANSWERS:
                if pattern.search(text):
                    return Plan(answer)
        for text in texts:
            if (pressed := self._pressed(text)) is not None:
                return self._turn(*pressed, tools)
        return Plan(HELLO if first else ONE_MOMENT)

    def aside(self, said: Sequence[str]) -> str:
        """An out-of-band answer: what the caller said, in so many words."""
        return "The caller said: " + (" ".join(line for line in said if line) or "nothing that could be understood.")

    def _asked_to_read(self) -> str | None:
        """The sentence, if the newest text asks for one and nothing else."""
        if not self.texts or (read_out := READ_OUT.fullmatch(self.texts[-1])) is None:
            return None
        del self.texts[-1]
        return self._recorded(read_out[1]) or ONE_MOMENT

    def _recorded(self, sentence: str) -> str:
        """A sentence, if the agent's voice can say it."""
        try:
            self.repertoire.say(sentence, "agent")
        except SetupError:
            return ""
        return sentence

    def _find(self, audio: bytes) -> tuple[Part, int, str] | None:
        """The script's line in the audio: the longest, then the one that comes next."""
        best: tuple[tuple[int, bool, int], tuple[Part, int, str]] | None = None
        for part in self.rehearsal.parts:
            for n, turn in enumerate(part.script.turn):
                line, wanted = self._line(turn, part)
                if wanted and (wanted in audio or from_pcm(wanted) in audio):
                    rank = (len(wanted), n >= part.position, -n)
                    if best is None or rank > best[0]:
                        best = (rank, (part, n, line))
        return best[1] if best else None

    def _line(self, turn: Turn, part: Part) -> tuple[str, bytes]:
        """The caller's line of a turn and its sound; both empty while it cannot be said, for want of a tool's answer."""
        try:
            line = render(turn.caller, part.variables) if turn.caller else ""
            return line, self.repertoire.core(line, part.script.caller.voice) if line else b""
        except SetupError:
            return "", b""

    def _opening(self, history: bool) -> tuple[Part, int] | None:
        """The turn with which this session opens. A session that continues a broken one (`history`) may have none."""
        if len(self.rehearsal.parts) != 1:
            return None
        part = self.rehearsal.parts[0]
        openings = part.script.openings
        if not openings or (history and self.ordinal >= len(openings)):
            return None
        if self.ordinal % len(openings) == 0:
            part.variables = part.script.variables(self.rehearsal.today())
        return part, openings[self.ordinal % len(openings)]

    def _go_on(self, tools: Collection[str]) -> Plan | None:
        """What is left to be said or done of the turn that the talk before this session stands in; None if nothing is."""
        if len(self.rehearsal.parts) != 1:
            return None
        part = self.rehearsal.parts[0]
        turns = part.script.turn
        lines = {key(self._line(turn, part)[0]): n for n, turn in enumerate(turns) if turn.caller}
        n, said, calls = self.past.since(lines)
        if n is None:
            n = part.script.openings[0] if part.script.openings else 0
        turn = turns[n]
        uses = {call.call_id: use for call in calls for use in turn.tools if use.name == call.name}
        if turn.tools and not uses:
            plan = self._turn(part, n, tools)
            return Plan(self._rest(plan.says, said), plan.calls)
        answers = {call.call_id: call.output for call in calls if call.call_id in uses and call.output is not None}
        if len(answers) < len(uses):
            return None
        part.position = n + 1
        rest = self._rest(self._after_tools(_Asked(part, turn, uses, answers)), said)
        return Plan(rest) if rest else None

    def _rest(self, line: str, said: str) -> str:
        """What was not said of a line yet; from an earlier word on, where nobody recorded it from there."""
        words, at = line.split(), heard_words(line, said)
        if at == len(words):
            return ""
        rests = (" ".join(words[start:]) for start in range(at, -1, -1))
        return next((rest for rest in rests if self._recorded(rest)), line)

    def _pressed(self, text: str) -> tuple[Part, int] | None:
        digits = re.sub(r"[^0-9*#]", "", text)
        if not digits:
            return None
        self.keys_pressed += digits
        for part in self.rehearsal.parts:
            turns = list(enumerate(part.script.turn))
            for n, turn in turns[part.position :] + turns[: part.position]:
                if turn.keys and (turn.keys in digits or self.keys_pressed.endswith(turn.keys)):
                    self.keys_pressed = ""
                    return part, n
        return None

    def _turn(self, part: Part, n: int, tools: Collection[str]) -> Plan:
        """Take a turn of the script: say what comes before the tools and call them, or say its answer."""
        turn = part.script.turn[n]
        part.position = n + 1
        if not turn.tools or self.faults.no_tools:
            return Plan(render(turn.preamble if turn.tools else turn.agent, part.variables) or ONE_MOMENT)
        if missing := [use.name for use in turn.tools if use.name not in tools]:
            self.note("refused", tools=missing, offered=sorted(tools))
            log.warning("stand-in: the script wants a tool that is not offered", missing=missing, offered=sorted(tools))
            return Plan(DID_NOT_WORK)
        uses = {f"call_{token_hex(8)}": use for use in turn.tools}
        self.asked = _Asked(part, turn, uses)
        calls = [PlannedCall(ref, use.name, render_all(use.arguments, part.variables)) for ref, use in uses.items()]
        return Plan(render(turn.preamble, part.variables), calls)

    def _after_tools(self, asked: _Asked) -> str:
        """What is said once all answers are in; the good ones are kept for later templates."""
        answers = {ref: parsed(output) for ref, output in asked.answers.items()}
        for ref, use in asked.uses.items():
            if isinstance(answers[ref], dict) and "error" in answers[ref]:
                return render(use.agent_if_error, asked.part.variables) or DID_NOT_WORK
            if use.save:
                asked.part.variables[use.save] = answers[ref]
        return render(asked.turn.agent, asked.part.variables)


def parsed(output: str) -> Any:
    """A tool's answer as JSON; as text, if it is none."""
    try:
        return json.loads(output)
    except ValueError:
        return output
