"""Sequencer: when a response may be asked for.

A conversation writes one response at a time, and a `response.create` while one runs is an error. So a wish for a response is
granted only when none runs, none is asked for, and the caller is not speaking; otherwise it waits. A response that the server
starts by itself after the caller spoke sees everything that was sent before, and so grants the wishes that came before the
caller's words ended.

A filler, the sentence for a slow tool, is no wish: it is asked for when nobody speaks and nothing is due, or not at all, and it
steps back for what it fills in for.
"""

from dataclasses import dataclass, field

from app.core.effects import RequestResponse

FILLER_ID = "filler-"
"""How the event_id of a request for a filler begins."""


@dataclass(slots=True)
class Sequencer:
    """Who may speak next. `running` holds the ids of the default conversation's responses."""

    running: set[str] = field(default_factory=set)
    asked: str = ""
    """event_id of a request that was neither answered nor refused yet."""
    wanted: bool = False
    caller_speaking: bool = False
    awaits_server: bool = False
    """The caller's words ended, and the server owes a response of its own."""
    seen_by_server: bool = False
    """What is wished for was wished for before the caller's words ended, so that the server's own answer covers it."""
    filler: str = ""
    """The response that reads the latest filler."""
    filler_late: bool = False
    """What the filler fills in for is there, before its response began: it is not said any more."""
    numbered: int = 0
    held: bool = False
    """There is no session to ask: wishes wait."""

    @property
    def idle(self) -> bool:
        """Nothing runs, nothing is asked for, nothing is wanted."""
        return not (self.running or self.asked or self.wanted)

    @property
    def filler_asked(self) -> bool:
        """A filler is asked for, and its response has not begun."""
        return self.asked.startswith(FILLER_ID)

    def want(self) -> list[RequestResponse]:
        """A response is wished for; asked for at once if it may be."""
        self.wanted = True
        self.seen_by_server = False
        return self.grant()

    def grant(self) -> list[RequestResponse]:
        """Ask for the response that is wished for, if it may be now."""
        if not self.wanted or self.held or self.running or self.asked or self.caller_speaking or self.awaits_server:
            return []
        self.wanted = False
        self.numbered += 1
        self.asked = f"ask-{self.numbered}"
        return [RequestResponse(self.asked)]

    def fill(self, sentence: str) -> list[RequestResponse]:
        """Ask for a filler, if nobody speaks or is about to."""
        if not self.idle or self.held or self.caller_speaking or self.awaits_server:
            return []
        self.numbered += 1
        self.asked, self.filler_late = f"{FILLER_ID}{self.numbered}", False
        return [RequestResponse(self.asked, sentence)]

    def forget_filler(self) -> None:
        """A filler that the server does not even begin holds nothing up."""
        if self.filler_asked:
            self.asked = ""

    def caller_spoke(self) -> None:
        """The caller speaks: wishes wait until they are done."""
        self.caller_speaking = True

    def caller_stopped(self) -> None:
        """The caller's words ended; the server answers them by itself, and sees all that was sent until now."""
        self.caller_speaking = False
        self.awaits_server = True
        self.seen_by_server = self.wanted

    def started(self, response_id: str) -> bool:
        """A response of the default conversation began. Returns whether it is one of ours that is not to be heard any more:

        it talks over the caller, or is a filler for what is there already.
        """
        unwanted = bool(self.asked) and self.caller_speaking
        if self.filler_asked:
            self.filler = response_id
            unwanted = unwanted or self.filler_late
        if self.awaits_server and not self.asked and self.seen_by_server:
            self.wanted = False
        if not self.asked:  # the server answers: to its mind the caller is done
            self.caller_speaking = False
        self.awaits_server = False
        self.asked = ""
        self.running.add(response_id)
        return unwanted

    def done(self, response_id: str) -> None:
        """A response of the default conversation is over; what waited for it may be granted."""
        self.running.discard(response_id)

    def refused(self, event_id: str, *, busy: bool) -> None:
        """The server refused a request. busy: because another response runs; then it is wished for again, unless a filler."""
        if event_id and event_id == self.asked:
            self.wanted = self.wanted or (busy and not self.filler_asked)
            self.asked = ""
