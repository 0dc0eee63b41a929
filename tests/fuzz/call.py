"""A call that anything may happen to, and what must hold of it whatever does: the machine's and the playback's invariants."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from app.core import events as ev
from app.core.phases import OFFER_ID, Phase, Terms
from app.core.sequencer import FILLER_ID
from tests.core.test_machine_any_order import Delta, Witness

Step = tuple[float, ev.Event]
"""Seconds since the step before, and what happens."""

TERMS = (
    Terms(),
    Terms(server_interrupts=False, max_seconds=100.0),
    Terms(dormant_seconds=5.0, goodbye_seconds=3.0, max_cost_usd=0.01, greets=False),
)


class Bystander(Witness):
    """Knows, beside what a witness knows, how long a call may take to leave, and that what was heard never goes back."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.heard: dict[tuple[str, int], int] = {}

    def step(self, wait: float, event: ev.Event) -> None:
        """Something happens, `wait` seconds later; all deadlines between come first."""
        super().step(wait, event)
        self.look()

    def note(self, event: ev.Event, phase: Phase) -> None:
        """A filler that the server does not even begin is given up on, in time: then something else may be asked for."""
        if isinstance(event, ev.ResponseStarted) and not (self.asked or event.out_of_band):
            self.speech_ends = None  # the server answers by itself: to its mind the caller is done
        super().note(event, phase)
        if isinstance(event, ev.ModelComplained) and event.event_id == OFFER_ID:
            self.offers = 0  # that offer was not taken: it is made once more, without turn detection
        due = self.machine.timers.due.get("answer", self.now + 1)
        if isinstance(event, ev.TimePassed) and self.asked.startswith(FILLER_ID) and due <= self.now:
            self.asked = ""

    def look(self) -> None:
        """What holds at any moment."""
        machine, now = self.machine, self.now
        if machine.phase is Phase.LEAVING:
            assert machine.deadline is not None, "a call that leaves is waited for without end"
            assert machine.deadline <= now + machine.terms.leave_seconds, "leaving takes longer than it may"
        assert machine.listening is False or machine.phase in (Phase.TALKING, Phase.LEAVING)
        playback = machine.playback
        for number, part in enumerate(playback.parts):
            before = self.heard.get((part.item_id, number), 0)
            assert before <= part.heard <= part.sent, "what was heard goes back, or is more than was sent"
            self.heard[part.item_id, number] = part.heard
        assert not playback.flushed & playback.pending.keys(), "a mark is both flushed and awaited"
        assert sum(map(len, playback.of_item.values())) == len(playback.parts)


def bystander(steps: Iterable[Step], terms: Terms) -> Bystander:
    """Let all of it happen; then the caller hangs up. Raises AssertionError, or whatever the machine does."""
    it = Bystander(terms)
    for wait, event in steps:
        it.step(wait, event)
    it.step(0.0, ev.CallerLeft("stop"))
    assert it.ends == 1, "the call did not end once"
    return it


# --- steps as text, for the corpus ------------------------------------------------------------------------------------

KINDS: dict[str, type[ev.Event]] = {
    kind.__name__: kind for kind in (*vars(ev).values(), Delta) if isinstance(kind, type) and issubclass(kind, ev.Event)
}


def to_plain(steps: Sequence[Step]) -> list[Any]:
    """Steps as JSON has them: [seconds, kind, fields]."""
    return [[wait, type(event).__name__, msgspec.to_builtins(event)] for wait, event in steps]


def from_plain(plain: Sequence[Any]) -> list[Step]:
    """... and back."""
    return [(float(wait), msgspec.convert(fields, KINDS[kind])) for wait, kind, fields in plain]
