"""What a stand-in session was told of the talk before it: lines and tool calls that a client replays when it takes a new session.

The stand-in goes on by that alone, as a model would: it knows the caller's last line, what it has said of its answer since, and
which tools it has called. What the client does not tell it, it does not know.
"""

import re

import msgspec

from app.sim.phrases import key

CONTINUES = re.compile(r"continue without a greeting", re.I)
"""How a client says that the talk is in its midst."""


class Line(msgspec.Struct):
    """Something that was said; `agent`: by us."""

    text: str
    agent: bool


class Call(msgspec.Struct):
    """A tool call; output None: not known (yet)."""

    call_id: str
    name: str
    output: str | None = None


class Past:
    """In order; what the client adds later belongs to it too."""

    def __init__(self) -> None:
        self.told: list[Line | Call] = []
        self.continues = False
        """The client said that the talk is in its midst, and nobody has spoken since."""

    def line(self, text: str, *, agent: bool) -> None:
        """A text item."""
        self.told.append(Line(text, agent))
        self.continues = self.continues or CONTINUES.search(text) is not None

    def output(self, call_id: str, output: str) -> None:
        """A tool's answer."""
        for told in self.told:
            if isinstance(told, Call) and told.call_id == call_id:
                told.output = output

    def since(self, lines: dict[str, int]) -> tuple[int | None, str, list[Call]]:
        """Where the talk stands: the turn of the caller's newest line, what the agent has said since, which tools it has called.

        lines: turns by what the caller says or presses in them. None: the caller has not said anything yet.
        """
        said: list[str] = []
        calls: list[Call] = []
        turn = None
        for told in reversed(self.told):
            if isinstance(told, Call):
                calls.insert(0, told)
            elif told.agent:
                said.insert(0, told.text)
            elif (turn := lines.get(key(told.text))) is not None:
                break
        return turn, " ".join(said), calls


def heard_words(line: str, said: str) -> int:
    """How many words of a line are what was said last."""
    words, spoken = line.split(), f" {key(said)}"
    return next((n for n in range(len(words), 0, -1) if spoken.endswith(f" {key(' '.join(words[:n]))}")), 0)
