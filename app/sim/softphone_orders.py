"""What a softphone's page may order, as JSON: {"do": "press", "keys": "12#"}. Anything else is refused."""

from typing import Annotated

import msgspec

from app.sim.people import Pickup

Short = Annotated[str, msgspec.Meta(max_length=400)]


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """One thing that the person at the page does."""


class Press(_Order, frozen=True, tag="press"):
    """Press keys."""

    keys: Short


class HangUp(_Order, frozen=True, tag="hang-up"):
    """Put the phone down."""


class Say(_Order, frozen=True, tag="say"):
    """Let a recorded caller say something."""

    text: Short
    voice: Short = "anna"


class Answer(_Order, frozen=True, tag="desk-answers"):
    """Decide as the person at the desk whose phone rings."""

    how: Pickup


class DeskPresses(_Order, frozen=True, tag="desk-presses"):
    """Press a key as that person, in the whisper."""

    key: Short


class DeskHangsUp(_Order, frozen=True, tag="desk-hangs-up"):
    """Put the desk's phone down."""


class Here(_Order, frozen=True, tag="here"):
    """Nothing; but the page is there."""


Order = Here | Press | HangUp | Say | Answer | DeskPresses | DeskHangsUp


def read(text: str | bytes) -> Order:
    """One order. Raises msgspec.DecodeError (ValidationError among them) with what is wrong."""
    return _decoder.decode(text)


_decoder: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
