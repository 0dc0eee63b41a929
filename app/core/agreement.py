"""Agreement: whether the caller was asked before something is written, as the house itself can know it.

A model says "the caller agreed" as easily as anything else. So its word is not taken: the first call of a writing tool is a
proposal and runs nothing; the model is told to say what will be done and to ask. Only if the caller has spoken or pressed a key
since then does the same call run. It holds until it was done once, as the idempotency key does.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.captures.captured import Captured
from app.errors import AskFirst

ASK_FIRST = (
    "Nothing was done yet. Tell the caller in one short sentence what will be done, with these details, and ask whether that is "
    "right. Once they have agreed, call {tool} again with exactly the same arguments; if they have not, leave it."
)
NOT_ANSWERED = (
    "Nothing was done: the caller has not answered. Ask, wait for their answer, and call {tool} again only then."
)

FORGOTTEN_TURNS = 6
"""A proposal that was left lying for so many turns of the caller's is made anew: whatever they said then, it was not to this."""
_AT_ENDS = " \t\n.,;:!?"


def wish(tool: str, values: dict[str, Any]) -> str:
    """What a tool call is for, as one text: the same for arguments that differ only in case, spaces and stops between words."""
    return f"{tool} {msgspec.json.encode(_plain(values), order='deterministic', enc_hook=repr).decode()}"


def _plain(value: Any) -> Any:
    match value:
        case str():
            words = (word.strip(_AT_ENDS) for word in value.encode("utf-8", "replace").decode().casefold().split())
            return " ".join(word for word in words if word)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Captured():  # whether it is confirmed is no part of what is wanted
            return _plain(value.value)
        case msgspec.Struct():
            return _plain(msgspec.structs.asdict(value))
    return value


@dataclass(slots=True)
class Agreements:
    """What was proposed in a call, over all its streams: by wish, how many turns the caller had had by then."""

    proposed: dict[str, int] = field(default_factory=dict)
    read_back: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """By tool: the same for the last time that values for it were given to the model to read back, and these values by argument."""

    def demand(self, tool: str, wanted: str, values: dict[str, Any], caller_turns: int) -> None:
        """Raise AskFirst unless this wish was proposed before and the caller had a turn since. wanted: by `wish`.

        Where all that the tool takes was read back to the caller for this very tool, and confirmed, that was the asking. A value
        that was confirmed meanwhile for another tool was not: who asked where an order is has not agreed to give it back.
        """
        captured = [isinstance(value, Captured) and value.confirmed for value in values.values()]
        told_at, told = self.read_back.get(tool, (caller_turns, {}))
        agreed = {argument: str(value) for argument, value in values.items()} == told
        if captured and all(captured) and agreed and told_at < caller_turns:
            return
        asked_at = self.proposed.get(wanted)
        if asked_at is None or caller_turns - asked_at > FORGOTTEN_TURNS:
            self.proposed[wanted] = caller_turns
            raise AskFirst(ASK_FIRST.format(tool=tool))
        if caller_turns <= asked_at:
            raise AskFirst(NOT_ANSWERED.format(tool=tool))

    def fulfilled(self, tool: str, wanted: str) -> None:
        """It was done: the same again is another wish, and asked for again."""
        self.proposed.pop(wanted, None)
        self.read_back.pop(tool, None)
