"""The tools' part of a call's stream: what runs, what its answer brings about, and what is said while it takes its time.

A tool runs beside the audio and comes back as an event. One that is slow has a filler said for it, once, and only into silence; it
steps back if the answer is there before it is heard. One that works in the background has answered at once that it does; what it
brings (ToolFinished) is told to the model whenever that comes, on whichever stream of the call, and is written down even after.
"""

from app.core import effects as do
from app.core import events as ev
from app.core.guided import Guided
from app.core.phases import Phase
from app.core.tool_calls import NEWS

LEAST_SECONDS = 0.05


class ToolStage(Guided):
    """The moves that tools make; the machine's, like its base."""

    # --- running and answering --------------------------------------------------------------------------------------

    def _tool_called(self, event: ev.ToolCalled, now: float) -> list[do.Effect]:
        if not self.tools.begin(event, now):
            return []
        self.timers.drop("stall")
        self.timers.drop("hush")
        self.timers.drop("dormant")
        called = self._milestone("tool_called", now)
        ruled = None if self.flow is None else self.flow.answer(event)
        if ruled is not None:
            return [called, *self._tool_returned(ruled, now)]
        begun = do.Write(self.tools.begun(event.call_id))
        return [called, begun, do.RunTool(event.call_id, event.name, event.arguments)]

    def _tool_returned(self, event: ev.ToolReturned, now: float) -> list[do.Effect]:
        tool = self.tools.end(event)
        if tool is None:
            return []
        effects: list[do.Effect] = [do.Write(tool.row), self._answer_tool(event.call_id, tool.row)]
        if event.transfer_to and self._how in ("", "completed"):
            wish = do.PutThrough(
                to=event.transfer_to,
                reason=event.reason,
                outcome=event.transfer_outcome,
                warm=event.transfer_warm,
                caller_name=event.transfer_caller,
                promised=event.transfer_promised,
            )
            effects += [wish, self._milestone("transfer_started", now)]
            self._leave("transferred", now)
        elif event.ends_call and not self._how:
            effects.append(do.HangUp(event.reason))
            self._leave("completed", now)
        decided = self._how
        effects += self._follow(tool.row.name, event, now)
        self._quiet_from(now)
        if self.tools.of(tool.response_id):
            return effects  # the answer waits for its siblings
        effects += self._overtake_filler(tool.response_id or event.call_id)
        ends_by_flow = self._how == "completed" and not decided
        if self._how and self.talk.voiced(tool.response_id) and not ends_by_flow:
            return effects  # what had to be said is said already; not so where the flow ends with what a tool brought
        self._expect_answer(now)
        return [*effects, *self.sequencer.want()]

    # --- a filler for a slow one ------------------------------------------------------------------------------------

    def _tool_slow(self, event: ev.ToolSlow, now: float) -> list[do.Effect]:
        """One filler for all tools of a response: that of the first that is slow."""
        group = self.tools.group(event.call_id)
        if not group or group in self._filled or self._slow is not None:
            return []
        self._slow = event
        return self._fill(now)

    def _fill(self, now: float) -> list[do.Effect]:
        """Say the filler that is due, into silence; else look again once there has been as much silence as it waits for."""
        slow = self._slow
        group = "" if slow is None else self.tools.group(slow.call_id)
        if slow is None or self.phase is not Phase.TALKING or not group:
            self._slow = None
            return []
        asked = [] if self._keys or self.playback.playing(now) else self.sequencer.fill(slow.sentence)
        if asked:
            self._filled.add(group)
            self._slow = None
        else:
            self.timers.set("filler", max(now, self.playback.ends_at) + max(LEAST_SECONDS, slow.after_ms / 1000))
        return list(asked)

    def _overtake_filler(self, group: str) -> list[do.Effect]:
        """All tools of a response have answered: its filler is not said any more, unless the caller hears it already."""
        if self._slow is not None and not self.tools.group(self._slow.call_id):
            self._slow = None
            self.timers.drop("filler")
        if group not in self._filled:
            return []
        filler = self.sequencer.filler
        if self.sequencer.filler_asked:
            self.sequencer.filler_late = True
        elif filler in self.sequencer.running and filler not in self.talk.silenced and not self.talk.voiced(filler):
            self.talk.silenced.add(filler)
            return [do.CancelResponse(filler)]
        return []

    # --- behind the talk --------------------------------------------------------------------------------------------

    def _tool_finished(self, event: ev.ToolFinished, now: float) -> list[do.Effect]:
        """The news is told as a note, and spoken of at the next free moment; on a stream that leaves, the next one hears it too."""
        row = self.tools.finish(event)
        if row is None:
            return []
        news = do.AddText("system", NEWS.format(name=row.name, output=row.result))
        if self.phase is Phase.TALKING or (self.mending and not self._how and self.phase is not Phase.OVER):
            self._quiet_from(now)
            self._expect_answer(now)
            way = self._follow(row.name, event, now)
            return [do.Write(row), news, *way, *self.sequencer.want()]
        self.record.untold.append(news.text)
        if self.phase is Phase.LEAVING:
            return [do.Write(row), news]
        return [do.Write(row)]

    def _tell_news(self) -> list[do.Effect]:
        """The session is ready: it is told what came back while there was none."""
        untold, self.record.untold = self.record.untold, []
        if not untold:
            return []
        return [*(do.AddText("system", text) for text in untold), *self.sequencer.want()]
