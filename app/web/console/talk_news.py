"""What happens in a talk, told to a page as it happens: who speaks, the words, the tools, how long each answer took.

A `relay.Watcher`: it sees the machine's events and what came of them, never the audio, and keeps nobody waiting.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from app.core import effects as do
from app.core import events as ev
from app.core.record import Spoken
from app.core.rows import Milestone, Turn

MOST_TEXT = 4000
"""Characters of a tool's arguments or answer that a page gets."""


class Page(Protocol):
    """Who is told."""

    def tell(self, kind: str, **what: Any) -> None:
        """One thing that happened."""
        ...


class TalkNews:
    """One call's. find: the turn of an item of the talk, as it stands; pages join what they are told by its `seq`."""

    def __init__(self, page: Page, find: Callable[[str], Spoken | None]) -> None:
        self.page = page
        self.find = find
        self._running: dict[str, str] = {}
        """Names of tools that run, by call_id."""

    def __call__(self, event: ev.Event, effects: Sequence[do.Effect]) -> None:
        """Tell what of it people want to know."""
        self._happened(event)
        for effect in effects:
            self._done(effect)

    def _happened(self, event: ev.Event) -> None:
        tell = self.page.tell
        match event:
            case ev.CallerSpoke(item_id=item):
                tell("speaks", who="caller", on=True)
                self._words(item)
            case ev.CallerStopped():
                tell("speaks", who="caller", on=False)
            case ev.AgentSpoke(item_id=item):
                tell("speaks", who="agent", on=True)
                self._words(item)
            case ev.AgentSaid(item_id=item) | ev.CallerTranscribed(item_id=item):
                self._words(item)
            case ev.MarkReached():
                tell("speaks", who="agent", on=False)
            case ev.ToolReturned(call_id=call_id, status=status, output=output, ms=ms):
                self._tool(call_id, status, output, ms)
            case ev.ToolFinished(call_id=call_id, status=status, output=output, ms=ms):
                self._tool(call_id, status, output, ms)
            case ev.ModelLost(why=why):
                tell("house", text=f"the model is gone: {why}", bad=True)
            case ev.ModelComplained(message=message):
                tell("house", text=f"the model complains: {message}", bad=True)

    def _done(self, effect: do.Effect) -> None:
        tell = self.page.tell
        match effect:
            case do.ClearPlayback():
                tell("speaks", who="agent", on=False, cut=True)
            case do.RunTool(call_id=call_id, name=name, arguments=arguments):
                self._running[call_id] = name
                tell("tool", id=call_id, name=name, arguments=arguments[:MOST_TEXT], status="runs")
            case do.Measure(what=what, seconds=seconds, path=path):
                tell("latency", what=what, ms=round(seconds * 1000), path=path)
            case do.Write(row=Turn(seq=seq, who=who, generated_text=text, heard_text=heard, start_ms=start)):
                tell("turn", seq=seq, who=who, text=text, heard=heard, at_ms=start)
            case do.Write(row=Milestone(name=name)):
                tell("milestone", name=name)
            case do.PlayClip(name=name):
                tell("house", text=f"a recording of the house is played: {name.replace('_', ' ')}")
            case do.PutThrough(to=desk):
                tell("house", text=f"the caller is put through to {desk}")
            case do.HangUp():
                tell("house", text="the agent hangs up")
            case do.Apologise(reason=reason):
                tell("house", text=f"the call falls back: {reason}", bad=True)
            case do.Resume(reason=reason):
                tell("house", text=f"the talk is taken up on a fresh stream: {reason}", bad=True)

    def _words(self, item: str) -> None:
        """The words of an item as far as they are known; `turn` follows with what of them was heard."""
        turn = self.find(item)
        if turn is not None:
            self.page.tell("words", seq=turn.seq, who=turn.who, text=turn.text, at_ms=turn.start_ms)

    def _tool(self, call_id: str, status: str, output: str, ms: int) -> None:
        name = self._running.get(call_id, "")
        self.page.tell("tool", id=call_id, name=name, status=status, result=output[:MOST_TEXT], ms=ms)
