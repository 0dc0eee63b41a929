"""A flow: named states of a talk, what is offered in each, and the ways between them.

The machine drives it (`app/core/flow.py`), the model speaks in it: each state has its own instruction fragment, tools and keys.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from app.tools import Tool

DESK = "desk:"
"""A way that begins with this leads to a person: `desk:office`."""
END = "end"
"""A way that leads to a goodbye."""


class Go(msgspec.Struct, frozen=True, kw_only=True):
    """One way out of a state. Exactly one of tool, key, intent, correction, failures says when it is taken."""

    to: str
    """A state's name, `desk:NAME` (the caller is put through), or `end` (goodbye)."""
    tool: str = ""
    """After this tool came back well, and its answer has the fields of `when`."""
    when: dict[str, Any] = {}
    key: str = ""
    """One of 0-9, * and #."""
    intent: str = ""
    """What the caller wants, in words for the model; it tells by the house's tool `choose`, with its confidence."""
    min_confidence: float = 0.6
    """Below it the wish counts as a failure: the agent asks again."""
    correction: bool = False
    """The caller takes back what was settled."""
    failures: int = 0
    """So many failures in this state: a wrong key, an unclear wish, a refused tool, silence."""
    outcome: dict[str, Any] = {}
    """On a way to a person: fields of the mode's outcome that hold once the person has answered."""


class Digits(msgspec.Struct, frozen=True, kw_only=True):
    """Digits typed in a state are collected up to `ends`, and given to a tool of the state."""

    tool: str
    argument: str
    max_digits: int = 20
    ends: str = "#"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the talk."""

    name: str
    says: str
    """What the model is told on entering: one or two sentences."""
    menu: str = ""
    """What the house says by itself when no model answers: "For appointments, press 1."."""
    tools: Sequence[Tool] = ()
    """Offered here, besides the mode's own, which are offered everywhere."""
    go: Sequence[Go] = ()
    digits: Digits | None = None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """All states of a mode."""

    states: Sequence[State]
    start: str
    start_closed: str = ""
    """Where a call begins outside office hours; empty: at `start` too."""

    def state(self, name: str) -> State | None:
        """A state by its name."""
        return next((state for state in self.states if state.name == name), None)
