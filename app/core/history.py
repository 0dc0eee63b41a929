"""History: what a new session of the same call is told of the talk before it, as both sides heard it.

The caller's words, the agent's as far as they were heard (what is still in the carrier's buffer will be), tool calls with their
outputs, and what we told the model in words (keys that were pressed). In the order in which it happened, from the call's record.
"""

from app.core.effects import Called, Said
from app.core.playback import Playback
from app.core.record import CallRecord, Spoken

LONGEST = 400
"""Lines: an hour of talk has fewer; of more, the newest count."""


def lines(record: CallRecord, playback: Playback) -> tuple[Said | Called, ...]:
    """The talk so far. playback: of the stream that goes on."""
    told: list[tuple[int, Said | Called]] = [
        (-1, Said("user" if who == "caller" else "assistant", text)) for who, text in record.earlier if who != "house"
    ]
    for turn in record.spoken:
        text = heard(turn, playback)
        if text and turn.who != "house":
            told.append((turn.start_ms, Said("user" if turn.who == "caller" else "assistant", text)))
    told += [
        (made.start_ms, Called(made.call_id, made.name, made.arguments, made.output)) for made in record.memory.made
    ]
    told += [(at_ms, Said("user", text)) for at_ms, text in record.memory.asides]
    told.sort(key=lambda entry: entry[0])
    return tuple(line for _, line in told[-LONGEST:])


def heard(turn: Spoken, playback: Playback) -> str:
    """A turn's words as the caller knows them, or will once the carrier's buffer is played: nobody throws that away now."""
    if turn.who == "agent" and turn.item_id in playback.of_item and not playback.settled(turn.item_id):
        return turn.text
    return turn.heard_text
