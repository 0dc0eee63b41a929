"""What a call's stream goes through, and what it may take: the phase table, the terms, the words of the house."""

from enum import Enum, auto

import msgspec

GONE_FOR_GOOD = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
        "session_expired",
    }
)
"""Errors that no retry heals; they come as `code` or as `type`."""

OFFER_ID = "offer-tools"
"""event_id of the update that offers all tools."""

OPENING_ID = "opening"
"""event_id of the response that is asked for with the session's configuration."""

STILL_THERE = "The caller has been silent for a while. Ask in one short sentence whether they are still there."
ENDLESS_SPEECH = "The line has been noisy for minutes. Say in one short sentence that you cannot hear the caller well."
SILENT_GOODBYE = "The caller is still silent. Say goodbye in one short sentence; the call ends now."
OUT_OF_TIME = "This call has run out of time. Say so and say goodbye in one short sentence; the call ends now."


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
    Phase.TALKING: frozenset({Phase.LEAVING, Phase.OVER}),
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
    moment_seconds: float = 2.0
    first_audio_seconds: float = 5.0
    answer_seconds: float = 3.0
    """A server that owes an answer to the caller's words is asked for one after this."""
    stall_seconds: float = 12.0
    """... and given up on after this without a sound."""
    dormant_seconds: float = 60.0
    goodbye_seconds: float = 15.0
    """Of further silence, after the caller was asked whether they are still there."""
    max_seconds: float = 1800.0
    max_cost_usd: float = 5.0
    leave_seconds: float = 10.0
    speech_seconds: float = 120.0
    """Of speech without an end: turn detection that hears a noisy line as one never-ending word."""
    keys_seconds: float = 1.5
    digits_seconds: float = 5.0
    """Digits of a number come within so much of each other; after it, what was typed is the number."""
