"""What a call's stream goes through, and what it may take: the phase table, the terms, the words of the house."""

from enum import Enum, auto

import msgspec

from app.rules.prices import OURS, Prices

GONE_FOR_GOOD = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
    }
)
"""Errors that no retry heals; they come as `code` or as `type`. Another server may."""

EXPIRED = "session_expired"
"""The session's time was up: another one is as good."""

OFFER_ID = "offer-tools"
"""event_id of the update that offers all tools."""

OPENING_ID = "opening"
"""event_id of the response that is asked for with the session's configuration."""

STILL_THERE = "The caller has been silent for a while. Ask in one short sentence whether they are still there."
ENDLESS_SPEECH = "The line has been noisy for minutes. Say in one short sentence that you cannot hear the caller well."
STILL_NOT_THERE = (
    "The caller is still silent. Ask once more, in other words, and say that the call ends if you hear nothing."
)
NOBODY_SPOKE = "Nobody has said anything yet. Say hello, who you are and why you call, in one or two short sentences."
SILENT_GOODBYE = "The caller is still silent. Say goodbye in one short sentence; the call ends now."
OUT_OF_MONEY = "This call has reached its limit. Say that you have to end it, and say goodbye in one short sentence; the call ends."
OUT_OF_TIME = "This call has run out of time. Say so and say goodbye in one short sentence; the call ends now."


CONTINUES = (
    "You have been reconnected in the middle of this call. What stands above was said and heard; continue without a greeting, and "
    "do not speak of the interruption."
)
BROKE_OFF = 'Your last sentence broke off. The caller heard of it: "{words}" Go on exactly there.'
WAITS = "It is the caller's turn: wait for them."
"""What a session that takes over is told."""

FETCHING = "The caller is being put through to {desk} now. If you have not said so yet, say it in one short sentence."
OPERATOR_HUNG_UP = "The operator hung up."
OPERATOR_PUT_THROUGH = "The operator put the caller through to {desk}."
"""Lines of the house's in the transcript."""
GOODBYE = "That was all. If you have not said goodbye yet, say it in one short sentence; the call ends now."


class Phase(Enum):
    """Where a call's stream stands."""

    WAITING = auto()
    OPENING = auto()
    TALKING = auto()
    LEAVING = auto()
    OVER = auto()


MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.OPENING, Phase.OVER}),
    Phase.OPENING: frozenset({Phase.TALKING, Phase.LEAVING, Phase.OVER}),
    Phase.TALKING: frozenset({Phase.OPENING, Phase.LEAVING, Phase.OVER}),
    Phase.LEAVING: frozenset({Phase.TALKING, Phase.OVER}),
    Phase.OVER: frozenset(),
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a call may take. Seconds, and dollars."""

    model: str = "gpt-realtime-1.5"
    greets: bool = True
    silence_ms: int = 0
    """How long turn detection waits for the caller to go on; 0 where it goes by meaning, and so does not say."""
    server_interrupts: bool = True
    server_truncates: bool = True
    """Whether the model can be made to forget what of its speech was not heard; else it is told so in words."""
    hello_seconds: float = 0.0
    """Where the other end speaks first: a silence after which the agent does; 0: it waits."""
    screen_seconds: float = 0.0
    """Of a call that we placed, while the carrier finds out who picked up: how long the first answer waits for that once the
    callee has spoken. 0: nobody finds out. The session then answers nothing by itself until its first response is done."""
    moment_seconds: float = 2.0
    first_audio_seconds: float = 5.0
    answer_seconds: float = 2.0
    """A server that owes an answer to the caller's words is asked for one after this."""
    stall_seconds: float = 4.0
    """... and replaced after this without an event."""
    think_seconds: float = 8.0
    """... unless it has begun its answer and shows other signs of life, or reasons: so long may it stay without a sound."""
    hush_seconds: float = 2.0
    """A caller who waits for an answer is told after so much silence that one comes."""
    servers: int = 1
    """How many servers there are, the first one's substitutes included."""
    reconnect_seconds: float = 4.0
    """How long one try at another session may take."""
    mend_seconds: float = 5.0
    """After a fault, a try on the same server that came to nothing may be followed by another within so long."""
    rollover_seconds: float = 300.0
    """So long before its time is up a session is replaced, at the next pause."""
    dormant_seconds: float = 60.0
    goodbye_seconds: float = 15.0
    """Of further silence, after the caller was asked whether they are still there."""
    asks: int = 2
    """So many times they are asked; then the call ends."""
    max_seconds: float = 1800.0
    max_cost_usd: float = 5.0
    prices: Prices = OURS
    transcriber: str = ""
    """The model that writes down the caller's words; empty: none does."""
    leave_seconds: float = 10.0
    speech_seconds: float = 120.0
    """Of speech without an end: turn detection that hears a noisy line as one never-ending word."""
    keys_seconds: float = 1.5
    digits_seconds: float = 5.0
    """Digits of a number come within so much of each other; after it, what was typed is the number."""
