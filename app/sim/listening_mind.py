"""The model stand-in's mind for a caller whom no script announced: hears phrases, finds the wish, holds a talk about it.

It knows only what a model is told: the prompt, the tools on offer, and what the house says in words. Where nobody can listen (no
recogniser for the platform) it is a `Mind` like any other. It is plain about its limits: what it does not understand, it says so,
and what it does understand.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from secrets import token_hex
from typing import Any

import structlog

from app.sim.hearing_worker import Hearing
from app.sim.listening import NAMED, Heard, book, grammar, hints, known_tools
from app.sim.model_faults import Faults
from app.sim.model_mind import ANSWERS, NOT_CAUGHT, ONE_MOMENT, Mind, Plan, PlannedCall, Rehearsal, parsed
from app.sim.model_shapes import Settings
from app.sim.model_sound import Repertoire
from app.sim.script_words import spell
from app.sim.talks import DONE, NOT_WORKED, Ask, Scene, Talk, Use, refused
from app.sim.talks_more import MORE, choose, intents

log = structlog.get_logger()

SAY_FIRST = re.compile(r'Say exactly this sentence(?: first)?, word for word, [\w ]+: "(.+?)"', re.S)
SENTENCE = re.compile(r"[^.?!]+[.?!]")
DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b")
MOST_HINTS = 2
MOST_TOOLS = 3
SMALL_TALK = {
    "greets": "How can I help you?",
    "yes": "Please go ahead. How can I help you?",
    "wait": "Of course.",
    "machine": "Yes. You are speaking with an AI assistant.",
    "changed": "All right. How can I help you?",
}


class ListeningMind(Mind):
    """One session's. `settings`: the session's configuration as it is now."""

    def __init__(
        self, rehearsal: Rehearsal, repertoire: Repertoire, faults: Faults, note: Callable[..., None], hearing: Hearing,
        settings: Callable[[], Settings],
    ) -> None:  # fmt: skip
        super().__init__(rehearsal, repertoire, faults, note)
        self.hearing = hearing
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()
        self._meant: list[Heard] = []
        self._talk: Talk | None = None
        self._asked = ""
        self._wants: frozenset[str] = frozenset()
        self._call = ""
        self._use: Use | None = None
        self._answer: Any = None
        self._answered = False
        self._said = ""

    def hear(self, audio: bytes, transcribed: Callable[[str], None]) -> None:
        """Take what the caller said; it is understood in the background."""
        if not self.hearing.available:
            return super().hear(audio, transcribed)
        allowed = grammar(frozenset(self._settings().tool_names), self._wants)

        async def listen() -> None:
            heard = await self.hearing.understand(audio, allowed)
            if not self.hearing.available:
                return Mind.hear(self, audio, transcribed)
            self._meant.append(heard)
            self.note("heard", text=heard.text)
            return transcribed(heard.text)

        return self._spawn(asyncio.get_running_loop().create_task(listen()))

    async def understood(self) -> None:
        """Wait until all that was heard is understood, as far as it can be."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def thinking(self) -> bool:
        """Whether something that was heard is not understood yet."""
        return bool(self._tasks)

    def forget(self) -> None:
        """The session is over."""
        for task in self._tasks:
            task.cancel()
        if self._talk is not None:
            self._talk.close()

    def take_answer(self, call_id: str, output: str) -> None:
        """Take a tool's answer."""
        super().take_answer(call_id, output)
        if call_id == self._call and self._use is not None:
            self._answer, self._answered = parsed(output), True
            self.note("answered", name=self._use.tool, output=output)

    def drop_calls(self, plan: Plan) -> None:
        """The response was cut off before its call was out: it is made again if the caller says nothing of meaning."""
        super().drop_calls(plan)
        if any(call.call_id == self._call for call in plan.calls):
            self._call = ""

    def plan(self, tools: Collection[str], *, history: bool) -> Plan:
        """Decide on a response."""
        if not self.hearing.available:
            return super().plan(tools, history=history)
        if (sentence := self._asked_to_read()) is not None:
            return Plan(sentence)
        texts, self.texts = self.texts, []
        scene = self._scene(tools)
        if self._meant:
            understood = [heard for heard in self._meant if heard.wish]
            heard, self._meant, self.opened = (understood or self._meant)[-1], [], True
            return self._respond(heard, scene)
        if self._answered:
            answer, self._answered, self._call, self._use = self._answer, False, "", None
            return self._go(answer, scene)
        first, self.opened = not self.opened and not history, True
        if first:
            self._spawn_waking()
            return self._greet(texts, scene)
        return self._told(texts, scene)

    def _scene(self, tools: Collection[str]) -> Scene:
        settings = self._settings()
        on_offer = {tool["name"]: tool.get("parameters") or {} for tool in settings.tools if tool.get("name") in tools}
        written = DAY.search(settings.instructions)
        try:
            today = date.fromisoformat(written[0]) if written else self.rehearsal.today()
        except ValueError:
            today = self.rehearsal.today()
        return Scene(on_offer, today, settings.instructions)

    def _greet(self, texts: list[str], scene: Scene) -> Plan:
        """The first words of a call; what the house wants said before, first."""
        before = [found[1] for text in texts if (found := SAY_FIRST.search(text))]
        says = next(greeting.says for greeting in book().greeting if greeting.prompt in scene.prompt)
        return self._saying(" ".join([*before, says]))

    def _told(self, texts: list[str], scene: Scene) -> Plan:
        """Answer what the house says in words: of silence, keys and places of a menu."""
        for text in texts:
            for pattern, answer in ANSWERS:
                if pattern.search(text):
                    return Plan(answer)
        for told in book().told:
            if any(re.search(told.pattern, text) for text in texts):
                if told.wish:
                    return self._begin(MORE[told.wish](Heard(wish=told.wish), scene), scene)
                return self._saying(told.says)
        return Plan(ONE_MOMENT)

    def _respond(self, heard: Heard, scene: Scene) -> Plan:
        """Answer a caller: go on with the talk, begin another, or say that it was not understood."""
        if self._talk is not None and heard.wish in self._wants:
            return self._go(heard, scene)
        if not heard.wish:
            if self._use is not None and not self._call:
                return self._calling(self._use, scene)
            return self._lost(scene)
        if heard.wish == "again":
            return self._saying(self._said or "How can I help you?")
        if heard.wish.startswith(NAMED):
            return self._begin(_by_name(heard.wish.removeprefix(NAMED), scene), scene)
        if book().intents.get(heard.wish) in intents(scene):
            return self._begin(choose(heard, scene), scene)
        if heard.wish == "no":
            heard = Heard(wish="goodbye")
        if heard.wish in MORE and not (heard.wish == "changed" and "correct" not in scene.tools):
            return self._begin(MORE[heard.wish](heard, scene), scene)
        self._end_talk()
        return self._saying(SMALL_TALK[heard.wish]) if heard.wish in SMALL_TALK else self._lost(scene, heard)

    def _lost(self, scene: Scene, heard: Heard | None = None) -> Plan:
        """Say that it was not understood, and what would be; in a talk, ask again."""
        if self._talk is not None and self._asked:
            return Plan(self._sayable(f"{NOT_CAUGHT} {self._asked}"))
        says = [f"I heard, {heard.text}." if heard is not None and heard.text else NOT_CAUGHT]
        if known_tools(scene.tools):
            says += hints(scene.tools)[:MOST_HINTS]
        else:
            named = [self._name_of(tool) for tool in sorted(scene.tools)[:MOST_TOOLS]]
            says += ["I understand only a few sentences.", *(f"You can ask for, {name}." for name in named)]
        return self._saying(" ".join(says))

    def _name_of(self, tool: str) -> str:
        """A tool's name to be said: a word that nobody recorded is spelled."""
        words = re.findall(r"[^\W_]+", tool)
        return ", ".join(word if self._recorded(word) else spell(word) for word in words)

    def _begin(self, talk: Talk, scene: Scene) -> Plan:
        self._end_talk()
        self._talk = talk
        return self._go(None, scene)

    def _end_talk(self) -> None:
        if self._talk is not None:
            self._talk.close()
        self._talk, self._asked, self._wants, self._call, self._use = None, "", frozenset(), "", None

    def _go(self, value: Any, scene: Scene) -> Plan:
        """Tell the talk what it waits for, and do what it wants next."""
        if self._talk is None:
            return Plan(ONE_MOMENT)
        try:
            match self._talk.send(value):
                case Ask(says=says, wants=wants):
                    self._asked, self._wants = self._sayable(says), wants
                    return self._saying(says)
                case Use() as use:
                    return self._calling(use, scene)
        except StopIteration as last:
            self._end_talk()
            return self._saying(last.value)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            log.warning("stand-in: a tool's answer is not what the talk expects", error=repr(wrong))
            self._end_talk()
            return Plan(NOT_WORKED)

    def _calling(self, use: Use, scene: Scene) -> Plan:
        """Call a tool, if it is on offer."""
        if use.tool not in scene.tools or self.faults.no_tools:
            self.note("refused", tools=[use.tool], offered=sorted(scene.tools))
            return self._go({"error": "not offered"}, scene)
        self._use, self._call, self._answered, self._wants = use, f"call_{token_hex(8)}", False, frozenset()
        says = self._sayable(use.says) if use.says else ""
        return Plan(says, [PlannedCall(self._call, use.tool, use.arguments)])

    def _saying(self, says: str) -> Plan:
        self._said = self._sayable(says)
        return Plan(self._said)

    def _sayable(self, says: str) -> str:
        """The sentences of it that are recorded; a name or a time that is not, is not invented."""
        if self._recorded(says):
            return says
        return " ".join(s.strip() for s in SENTENCE.findall(says) if self._recorded(s)) or ONE_MOMENT

    def _spawn(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _spawn_waking(self) -> None:
        """Start the recogniser while the greeting is heard."""

        async def wake() -> None:
            await self.hearing.wake()

        self._spawn(asyncio.get_running_loop().create_task(wake()))


def _by_name(tool: str, scene: Scene) -> Talk:
    """Call a tool that the caller named; one that wants arguments is beyond what the stand-in can ask for."""
    schema: Mapping[str, Any] = scene.tools.get(tool, {})
    if schema.get("required"):
        return "I cannot do that without a script."
    answer = yield Use(tool, {}, ONE_MOMENT)
    return f"{NOT_WORKED} Is there anything else?" if refused(answer) else DONE
