"""Talk: who said what, and what of it was heard. Joins the ledger of audio with the record of words."""

from dataclasses import dataclass, field

from app.core import effects as do
from app.core import events as ev
from app.core.playback import BYTES_A_MS, Playback
from app.core.record import CallRecord, Spoken

FORGETS = do.Truncate | do.DeleteItem
HEARD_PART = 'The caller cut in on you. Of what you were saying they heard this, and nothing after it: "{heard}"'
HEARD_NOTHING = "The caller cut in before they heard anything of what you were about to say."


@dataclass(slots=True)
class Talk:
    """The agent's voice and both sides' words, for one stream of a call."""

    record: CallRecord
    truncates: bool = True
    """Whether the model can be made to forget what was not heard; else it is told in words what was."""
    playback: Playback = field(default_factory=Playback)
    silenced: set[str] = field(default_factory=set)
    """Responses whose audio is not for the caller (any more): cut into, or out of band."""
    voice_of: dict[str, str] = field(default_factory=dict)
    """The response of each item of which audio was sent."""
    unmarked: list[str] = field(default_factory=list)
    """Items with audio behind which no mark was sent yet, oldest first."""
    unsettled: dict[str, Spoken] = field(default_factory=dict)
    """The agent's turns of which more may be heard yet, by item: a mark asks for these, not for the whole call's."""
    marks: int = 0
    elsewhere: set[str] = field(default_factory=set)
    """Items of earlier sessions on this stream: the one that listens now cannot be made to forget any of them."""
    retold: Spoken | None = None
    """A turn of the caller's that no session understood; its sound is told to the next one, and the words are still this turn's."""

    def voiced(self, response_id: str) -> bool:
        """Whether any audio of a response was sent."""
        return response_id in self.voice_of.values()

    def caller_spoke(self, item_id: str, now: float) -> None:
        """The caller begins a turn, or it is the one that is told again."""
        if self.retold is not None:
            self.record.goes_on(self.retold, item_id)
            self.retold = None
        self.record.speaks("caller", item_id, self.record.at_ms(now))

    def caller_stopped(self, item_id: str, now: float) -> None:
        """The caller's turn ends."""
        self.record.speaks("caller", item_id, self.record.at_ms(now)).end_ms = self.record.at_ms(now)

    def caller_transcribed(self, item_id: str, text: str, now: float) -> list[do.Effect]:
        """The caller's words are known; they may come after the answer to them."""
        turn = self.record.speaks("caller", item_id, self.record.at_ms(now))
        turn.text = text.strip()
        return [do.Write(self.record.row(turn))]

    def agent_spoke(self, response_id: str, item_id: str, now: float) -> None:
        """First audio of an item was sent: the agent's turn begins when the caller hears it, behind what is still played."""
        starts = self.record.at_ms(max(now, self.playback.parts[-1].started_at if self.playback.parts else now))
        turn = self.record.speaks("agent", item_id, starts)
        if item_id not in self.voice_of:  # its words may have come before its sound
            turn.start_ms = turn.end_ms = starts
        self.voice_of[item_id] = response_id
        self.unsettled[item_id] = turn
        self.unmarked.append(item_id)

    def agent_said(self, event: ev.AgentSaid, now: float) -> list[do.Effect]:
        """Words of the agent's. Those of a silenced response count only if some of it was heard before."""
        turn = self.record.find(event.item_id)
        if turn is None:
            if event.response_id in self.silenced:
                return []
            turn = self.record.speaks("agent", event.item_id, self.record.at_ms(now))
        turn.text = event.text if event.whole else turn.text + event.text
        if event.ends_ms:
            turn.marks.append((len(turn.text), event.ends_ms))
        return [do.Write(self.record.row(turn))] if event.whole else []

    def audio_ended(self, response_id: str, item_id: str) -> list[do.Effect]:
        """All sound of an item has come. That of a silenced response was not all sent."""
        turn = self.record.find(item_id)
        if turn is not None and response_id not in self.silenced:
            turn.whole = True
        return self.mark(item_id)

    def mark(self, item_id: str) -> list[do.Effect]:
        """Send a mark behind an item whose audio is complete."""
        if item_id not in self.unmarked:
            return []
        self.unmarked.remove(item_id)
        self.marks += 1
        name = f"m{self.marks}"
        self.playback.mark(name)
        return [do.MarkPlayback(name)]

    def mark_response(self, response_id: str) -> list[do.Effect]:
        """Send the marks that a finished response still owes."""
        owed = [item for item in self.unmarked if self.voice_of.get(item) == response_id]
        return [effect for item in owed for effect in self.mark(item)]

    def cut(self, running: set[str], now: float) -> list[do.Effect]:
        """Barge-in: throw away what is unheard, and tell the model and the books what of it was heard."""
        playing = self.playback.playing(now)
        if not playing and not running:
            return []
        self.silenced |= running
        self.unmarked.clear()
        effects: list[do.Effect] = []
        cut = self.playback.clear(now)
        if playing:
            effects.append(do.ClearPlayback())
        for item, index in dict.fromkeys((part.item_id, part.content_index) for part in cut):
            effects += self._cut_item(item, index)
        if cut:
            for turn in self.unsettled.values():  # what was never heard did not begin later than it was thrown away
                turn.start_ms = min(turn.start_ms, self.record.at_ms(now))
            effects += self.settle(now)
            lost = [
                e for e in effects if isinstance(e, FORGETS) and (not self.truncates or e.item_id in self.elsewhere)
            ]
            effects = [*(e for e in effects if e not in lost), *(self._in_words(effect.item_id) for effect in lost)]
        return effects

    def _in_words(self, item_id: str) -> do.Effect:
        """What was heard of an item that was cut, as a note to a model that cannot forget the rest."""
        turn = self.record.find(item_id)
        heard = turn.heard_text if turn is not None else ""
        return do.AddText("system", HEARD_PART.format(heard=heard) if heard else HEARD_NOTHING)

    def _cut_item(self, item_id: str, content_index: int) -> list[do.Effect]:
        """One item's part was cut: truncate it to all that was heard of it, over all its pieces, or forget it."""
        response = self.voice_of.get(item_id)
        if response is None:  # a clip of the house's own: the model knows nothing of it
            return []
        self.silenced.add(response)
        pieces = self.playback.of_item.get(item_id, [])
        heard_ms = sum(part.heard for part in pieces if part.content_index == content_index) // BYTES_A_MS
        if heard_ms:
            return [do.Truncate(item_id, content_index, heard_ms)]
        return [] if sum(part.heard for part in pieces) >= BYTES_A_MS else [do.DeleteItem(item_id)]

    def settle(self, now: float, *, all_turns: bool = False) -> list[do.Effect]:
        """Write down the agent's turns of which more was heard than the books know; at the end, every turn."""
        effects: list[do.Effect] = []
        for turn in list(self.record.spoken if all_turns else self.unsettled.values()):
            item = turn.item_id
            if turn.who == "agent" and item in self.voice_of:
                heard, sent = self.playback.heard_ms(item, now), self.playback.sent_ms(item)
                if self.playback.settled(item):
                    self.unsettled.pop(item, None)
                if (heard, sent) == (turn.heard_ms, turn.sent_ms) and not all_turns:
                    continue
                turn.heard_ms, turn.sent_ms, turn.end_ms = heard, sent, turn.start_ms + heard
            effects.append(do.Write(self.record.row(turn)))
        return effects
