"""Truth: what the agent says that it has done, beside what tools have done.

A sentence that claims a deed ("You are booked for ...") needs a tool of such a name that came back well before it was said.
Questions, promises, conditions and denials claim nothing. Deeds are known by their usual words; a script can name others
(`expect.claims`). So a clean bill means that no known claim was false, not that every word was true.
"""

import re
from collections.abc import Sequence

import msgspec

from app.core.rows import ToolCall, Turn

SLACK_MS = 150
"""Turns are timed by the call's clock and tools by the books'; they are that near."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """says: an expression that a sentence matches which claims a deed. tool: one for the names of tools that do it."""

    says: str
    tool: str


DEEDS = (
    Claim(
        says=r"\bbooked\b|\bscheduled you\b|\bappointment (is|has been) (set|made|confirmed|scheduled|booked)\b",
        tool=r"book|reserv|schedul|appointment",
    ),
    Claim(says=r"\bcancel(l)?ed\b", tool=r"cancel"),
    Claim(
        says=r"\b(written|noted|taken) (that|it|this|your \w+) down\b|\b(saved|recorded|taken|passed on) your (message|request)\b"
        r"|\bmessage (is|has been) (saved|recorded|taken|passed on)\b|\bpassed \S+( \S+){0,4} on to\b",
        tool=r"message|note|ticket|call_?back|write|request",
    ),
    Claim(says=r"\b(sent|texted) you\b|\btext (is|has been) sent\b", tool=r"text|sms|send"),
    Claim(
        says=r"\breturn (is|has been) (set up|registered|arranged)\b|\bregistered (the|your) return\b", tool=r"return"
    ),
    Claim(says=r"\brefunded\b|\brefund (is|has been) (made|issued|processed)\b", tool=r"refund"),
    Claim(
        says=r"\b(changed|updated) (the|your) address\b|\baddress (is|has been) (changed|updated)\b", tool=r"address"
    ),
)
OPEN = re.compile(
    r"\?$|\b(not|nothing|nobody|no|never|cannot|unable|will|would|could|shall|should|may|might|if|unless|until|once|when|before|after|"
    r"to be)\b|n't\b|'ll\b",
    re.IGNORECASE,
)
"""A sentence with one of these says that something is not so, or not yet."""


def untrue(
    turns: Sequence[Turn], tools: Sequence[ToolCall], called_ms: Sequence[int], claims: Sequence[Claim] = ()
) -> list[str]:
    """The agent's sentences, as heard, that claim what no tool had done by then.

    called_ms: when each of `tools` was called, on the clock of `turns`; of another length, the order is not looked at.
    """
    timed = len(called_ms) == len(tools)
    done = [(tool.name, called_ms[n] + tool.ms if timed else 0) for n, tool in enumerate(tools) if tool.status == "ok"]
    found = []
    for turn in turns:
        for sentence in _sentences(turn.heard_text) if turn.who == "agent" else ():
            due = _claimed(sentence, claims) or _claimed(sentence, DEEDS)
            if due and not any(_did(claim, done, turn.start_ms) for claim in due):
                found.append(f'"{sentence}" was said, and no tool had done it')
    return found


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]


def _claimed(sentence: str, claims: Sequence[Claim]) -> list[Claim]:
    if OPEN.search(sentence):
        return []
    return [claim for claim in claims if re.search(claim.says, sentence, re.IGNORECASE)]


def _did(claim: Claim, done: Sequence[tuple[str, int]], by_ms: int) -> bool:
    return any(re.search(claim.tool, name, re.IGNORECASE) and at <= by_ms + SLACK_MS for name, at in done)
