"""What is said in the matrix: two short talks, as the caller waits for them and as the model's script has them."""

from typing import Any

import msgspec

from app.sim.script import Script, parse

GREETING = "Thank you for calling Lakeside Dental. How can I help you today?"
HOURS = "What are your opening hours?"
OPEN = "We are open Monday to Friday, from eight o'clock to five o'clock."
WISH = "Hi, I would like to book an appointment please."
LOOK = "Let me have a look."
BOOKED = "You are booked for Tuesday at nine o'clock."
BYE = "No, that is all. Thank you, goodbye."
GOODBYE = "Thank you for calling. Goodbye."
CALLER = "+14155550133"


class Talk(msgspec.Struct, frozen=True):
    """A greeting, one question or wish with a tool for it, an answer, and leave is taken."""

    says: str
    """The caller's question."""
    tool: str
    arguments: dict[str, str]
    answer: str
    preamble: str = ""
    """Said before the tool is called."""
    insists: bool = False
    """Whether the caller says it again where the line broke, and nothing was said of it since."""

    @property
    def exchanges(self) -> tuple[tuple[str, str], ...]:
        """What the caller waits to hear, and says then."""
        return ((GREETING, self.says), (self.answer, BYE))

    @property
    def lines(self) -> tuple[str, ...]:
        """The agent's lines by which the talk is followed; what is said before a tool may be said again, or not at all."""
        return (GREETING, self.answer, GOODBYE)

    def script(self) -> Script:
        """The rehearsal that the model follows."""
        wish = {"name": self.tool, "arguments": self.arguments}
        bye = {"name": "end_call", "arguments": {"reason": "the caller said goodbye"}}
        told: dict[str, Any] = {
            "title": "The talk of the matrix",
            "mode": "receptionist",
            "caller": {"number": CALLER, "voice": "anna"},
            "vars": {"day": "next tuesday"},
            "turn": [
                {"agent": GREETING},
                {"caller": self.says, "preamble": self.preamble, "tools": [wish], "agent": self.answer},
                {"caller": BYE, "preamble": GOODBYE, "tools": [bye]},
            ],
        }
        return parse(told, "chaos")


ASKS = Talk(HOURS, "opening_hours", {}, OPEN)
"""Nothing is changed anywhere."""
BOOKS = Talk(
    WISH,
    "book_appointment",
    {"name": "Baker", "start": "{{ day }}T09:00", "reason": "check-up"},
    BOOKED,
    preamble=LOOK,
    insists=True,
)
"""The business's backend is changed, once; the caller is told so, if it is so."""
