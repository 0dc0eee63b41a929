"""What is scripted for a leg of a stand-in call: what becomes of its dials, and which keys are pressed."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from app.sim.people import People


@dataclass(frozen=True)
class DialResult:
    """What becomes of one <Dial>. seconds: how long they talk; digits: keys pressed in the whisper's <Gather>.

    hangs_up: the person does so in the whisper. refused: what the carrier says of somebody who answered and was not joined
    (a choice; the documentation is silent).
    """

    status: Literal["completed", "busy", "no-answer", "failed"] = "completed"
    seconds: float = 5.0
    digits: str = ""
    hangs_up: bool = False
    refused: Literal["completed", "no-answer"] = "no-answer"

    @classmethod
    def of(cls, result: "str | DialResult") -> "DialResult":
        """Read a script's entry. Raises ValueError for a word that is no outcome."""
        match result:
            case DialResult():
                return result
            case "completed" | "busy" | "no-answer" | "failed":
                return cls(result)
            case "accepts":
                return cls(digits="1")
            case "declines":
                return cls(digits="2")
            case "hangs-up":
                return cls(hangs_up=True)
            case "silent" | "voicemail":  # the carrier cannot tell one from the other
                return cls(refused="completed")
        raise ValueError(f"expected one of {', '.join(OUTCOMES)}, got {result!r}")


OUTCOMES = ("completed", "accepts", "declines", "hangs-up", "silent", "voicemail", "busy", "no-answer", "failed")
"""How a script says what becomes of a <Dial>."""


@dataclass
class Script:
    """What a call meets, in order: each <Dial> and each <Gather> takes the next entry. people: decide <Dial> instead of `dials`."""

    dials: deque[DialResult] = field(default_factory=deque)
    gathers: deque[str] = field(default_factory=deque)
    people: People | None = None
